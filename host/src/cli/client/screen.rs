//! Writes to standard output and standard error, with colours if they are terminals.

use std::io::{ErrorKind, IsTerminal, Write, stderr, stdout};

/// The meaning of a coloured text.
#[derive(Clone, Copy)]
pub(super) enum Colour {
    Good,
    Odd,
    Bad,
    Name,
}

/// The error of standard output that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("the output cannot be written: {0}")]
pub(super) struct OutputError(std::io::Error);

impl OutputError {
    /// Returns true if the reader closed its end.
    pub(super) fn is_closed(&self) -> bool {
        self.0.kind() == ErrorKind::BrokenPipe
    }
}

/// Returns true if standard output is a terminal.
pub(super) fn is_terminal() -> bool {
    stdout().is_terminal()
}

/// Writes to standard output and flushes it.
///
/// # Errors
/// Standard output cannot be written.
pub(super) fn write(bytes: &[u8]) -> Result<(), OutputError> {
    let mut stdout = stdout().lock();
    stdout
        .write_all(bytes)
        .and_then(|()| stdout.flush())
        .map_err(OutputError)
}

/// Writes a line to standard output and flushes it.
///
/// # Errors
/// Standard output cannot be written.
pub(super) fn line(line: &str) -> Result<(), OutputError> {
    write(format!("{line}\n").as_bytes())
}

/// Writes a line to standard error. Errors are ignored, because a reader that closed it does not need the line.
pub(super) fn note(line: &str) {
    let _ = writeln!(stderr(), "{line}");
}

/// Returns a text in colour if standard output is a terminal and colours are not turned off.
pub(super) fn coloured(text: &str, colour: Colour) -> String {
    paint(text, colour, is_terminal())
}

/// Returns a text in colour if standard error is a terminal and colours are not turned off.
pub(super) fn coloured_note(text: &str, colour: Colour) -> String {
    paint(text, colour, stderr().is_terminal())
}

/// Returns a text in colour if it goes to a terminal and `NO_COLOR` is not set (<https://no-color.org>).
fn paint(text: &str, colour: Colour, terminal: bool) -> String {
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if !terminal || !wanted {
        return text.to_owned();
    }
    let code = match colour {
        Colour::Good => 32,
        Colour::Odd => 33,
        Colour::Bad => 31,
        Colour::Name => 36,
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}
