//! `docs/settings.md`, the reference of the settings, which is made from the server's own table of them.

use std::path::PathBuf;

use crate::sources;

/// The command that writes it anew.
pub const COMMAND: &str = "cargo build --workspace --bin settings && target/debug/settings";

/// The file.
pub fn file() -> PathBuf {
    sources().join("../docs/settings.md")
}

/// Returns true if the file agrees with the table of settings.
pub fn is_up_to_date() -> bool {
    std::fs::read_to_string(file()).is_ok_and(|text| text == hitchy::config::reference())
}
