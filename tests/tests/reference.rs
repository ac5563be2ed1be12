//! The reference of the settings matches the settings.

use hitchy_tests::settings::{COMMAND, is_up_to_date};

#[test]
fn the_settings_reference_is_up_to_date() {
    assert!(
        is_up_to_date(),
        "docs/settings.md is not what the settings are; write it anew: {COMMAND}"
    );
}
