//! The file `docs/settings.md`, the reference of the settings, which is generated from the server's table of settings.

use std::path::PathBuf;

use crate::sources;

/// The command that generates the file.
pub const COMMAND: &str = "cargo build --workspace --bin settings && target/debug/settings";

/// Returns the path of the file.
pub fn file() -> PathBuf {
    sources().join("../docs/settings.md")
}

/// Returns true if the file is what the table of settings generates.
pub fn is_up_to_date() -> bool {
    std::fs::read_to_string(file()).is_ok_and(|text| text == hitchy::config::reference())
}
