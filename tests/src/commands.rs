//! Runs commands of `hitchy` to their end in a folder, without settings from the environment.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::server::binary;

/// Runs `hitchy` in a folder until it exits.
///
/// # Panics
/// Panics if `hitchy` does not start.
pub fn hitchy(folder: &Path, args: &[&str]) -> Output {
    program(Command::new(binary()), folder)
        .args(args)
        .output()
        .expect("hitchy starts")
}

/// Prepares a command to run in a folder, without settings and without colours from the environment.
pub fn program(mut command: Command, folder: &Path) -> Command {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HITCHY_") {
            command.env_remove(name);
        }
    }
    command.current_dir(folder).env("NO_COLOR", "1");
    // The user's cache of compiled code is left alone.
    command.env("HITCHY_CACHE__DIR", "off");
    command
}

/// Asserts that the command exited with this code and printed only one error sentence, which contains these words.
///
/// # Panics
/// Panics if the assertion does not hold.
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

/// Returns the JSON that the command printed on standard output.
///
/// # Panics
/// Panics if the output is not JSON.
#[track_caller]
pub fn json_of(output: &Output) -> Value {
    let text = out(output);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}\n{}", err(output)))
}

/// Returns the command's standard output.
pub fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Returns the command's standard error.
pub fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Creates an empty folder, which is deleted on drop.
///
/// # Panics
/// Panics if the folder cannot be created.
pub fn folder() -> TempDir {
    TempDir::with_prefix("hitchy-").expect("a temporary folder can be made")
}
