//! The import `log`. It prints each message, which `cargo test` shows for a test that fails.

use super::state;

/// Severity of a record.
#[derive(Debug)]
pub(crate) enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

/// Prints a record and appends its message to the state.
#[expect(
    clippy::print_stderr,
    reason = "cargo test captures it and shows it with what failed"
)]
pub(crate) fn write(level: Level, message: &str) {
    eprintln!("{level:?}: {message}");
    state::with(|state| state.logged.push(message.to_owned()));
}
