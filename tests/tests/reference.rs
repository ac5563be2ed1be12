//! What is written about the settings is what they are.

use hitchy_tests::settings::{COMMAND, is_up_to_date};

#[test]
fn the_settings_reference_is_up_to_date() {
    assert!(
        is_up_to_date(),
        "docs/settings.md is not what the settings are; write it anew: {COMMAND}"
    );
}
