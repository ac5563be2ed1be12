//! Commands of `hitchy` that run to their end in a folder, without settings from outside.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::server::binary;

/// Runs `hitchy` in a folder to its end.
///
/// # Panics
/// Panics if it does not start.
pub fn hitchy(folder: &Path, args: &[&str]) -> Output {
    program(Command::new(binary()), folder)
        .args(args)
        .output()
        .expect("hitchy starts")
}

/// A command of the test in a folder, without settings from outside.
pub fn program(mut command: Command, folder: &Path) -> Command {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HITCHY_") {
            command.env_remove(name);
        }
    }
    command.current_dir(folder).env("NO_COLOR", "1");
    command
}

/// Asserts that it ended with this code and one sentence that has these words, and printed nothing else.
///
/// # Panics
/// Panics if it is not so.
#[track_caller]
pub fn refused(output: &Output, code: i32, words: &[&str]) {
    let said = err(output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert_eq!(out(output), "", "nothing but the sentence");
    assert_eq!(said.lines().count(), 1, "one sentence: {said}");
    assert!(said.starts_with("error: "), "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is missing in: {said}");
    }
}

/// The JSON that it printed.
///
/// # Panics
/// Panics if it printed something else.
#[track_caller]
pub fn json_of(output: &Output) -> Value {
    let text = out(output);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}\n{}", err(output)))
}

/// The lines that it printed.
pub fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Its standard error.
pub fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// An empty folder, which goes when this is dropped.
///
/// # Panics
/// Panics if there can be none.
pub fn folder() -> TempDir {
    TempDir::with_prefix("hitchy-").expect("a temporary folder can be made")
}
