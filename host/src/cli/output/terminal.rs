//! Writes to standard output and standard error, with colours if they are terminals.

use std::fmt::Display;
use std::io::{ErrorKind, IsTerminal, Write, stderr, stdout};

/// The meaning of a coloured text.
#[derive(Clone, Copy)]
pub(in crate::cli) enum Colour {
    Good,
    Odd,
    Bad,
    Name,
}

/// The error of standard output that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("the output cannot be written: {0}")]
pub(in crate::cli) struct OutputError(std::io::Error);

impl OutputError {
    /// Returns true if the reader closed its end.
    pub(in crate::cli) fn is_closed(&self) -> bool {
        self.0.kind() == ErrorKind::BrokenPipe
    }
}

/// Returns true if standard output is a terminal.
pub(in crate::cli) fn is_terminal() -> bool {
    stdout().is_terminal()
}

/// Writes to standard output and flushes it.
///
/// # Errors
/// Standard output cannot be written.
pub(in crate::cli) fn write(bytes: &[u8]) -> Result<(), OutputError> {
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
pub(in crate::cli) fn line(line: &str) -> Result<(), OutputError> {
    write(format!("{line}\n").as_bytes())
}

/// Prints a line to standard output. Errors are ignored, because a reader that closed the output does not need it.
pub(in crate::cli) fn print(text: impl Display) {
    let _ = line(&text.to_string());
}

/// Prints an error with its causes to standard error.
pub(in crate::cli) fn print_error(error: &anyhow::Error) {
    note(&format!("error: {error:#}"));
}

/// Writes a line to standard error. Errors are ignored, because a reader that closed it does not need the line.
pub(in crate::cli) fn note(line: &str) {
    let _ = writeln!(stderr(), "{line}");
}

/// Returns true if standard error is a terminal and colours are not turned off.
pub(in crate::cli) fn has_coloured_notes() -> bool {
    stderr().is_terminal() && colours_wanted()
}

/// Writes the text of another program to standard error. On a terminal, it replaces the progress that the program may
/// have drawn in the last line. Errors are ignored, as in [`note`].
pub(in crate::cli) fn pass_on(text: &str) {
    let mut stderr = stderr().lock();
    let start = if stderr.is_terminal() {
        "\r\u{1b}[K"
    } else {
        ""
    };
    let _ = write!(stderr, "{start}{text}").and_then(|()| stderr.flush());
}

/// Returns a text in colour if standard output is a terminal and colours are not turned off.
pub(in crate::cli) fn coloured(text: &str, colour: Colour) -> String {
    paint(text, colour, is_terminal())
}

/// Returns a text in colour if standard error is a terminal and colours are not turned off.
pub(in crate::cli) fn coloured_note(text: &str, colour: Colour) -> String {
    paint(text, colour, stderr().is_terminal())
}

/// Returns true unless `NO_COLOR` turns colours off (<https://no-color.org>).
pub(in crate::cli) fn colours_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Returns a text in colour if it goes to a terminal and colours are not turned off.
fn paint(text: &str, colour: Colour, terminal: bool) -> String {
    if !terminal || !colours_wanted() {
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
