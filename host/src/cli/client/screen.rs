//! Standard output and standard error: lines of colour for people at a terminal, plain ones for everybody else.

use std::io::{ErrorKind, IsTerminal, Write, stderr, stdout};

/// Text that should catch the eye.
#[derive(Clone, Copy)]
pub(super) enum Colour {
    Good,
    Odd,
    Bad,
    Name,
}

/// Standard output could not be written to.
#[derive(Debug, thiserror::Error)]
#[error("the output cannot be written: {0}")]
pub(super) struct Unwritten(std::io::Error);

impl Unwritten {
    /// Its reader has gone.
    pub(super) fn is_closed(&self) -> bool {
        self.0.kind() == ErrorKind::BrokenPipe
    }
}

/// Returns true if a person reads standard output.
pub(super) fn is_terminal() -> bool {
    stdout().is_terminal()
}

/// Writes to standard output, at once.
pub(super) fn write(bytes: &[u8]) -> Result<(), Unwritten> {
    let mut stdout = stdout().lock();
    stdout
        .write_all(bytes)
        .and_then(|()| stdout.flush())
        .map_err(Unwritten)
}

/// Writes a line to standard output, at once.
pub(super) fn line(line: &str) -> Result<(), Unwritten> {
    write(format!("{line}\n").as_bytes())
}

/// Writes a line to standard error. Whoever closed it does not want it.
pub(super) fn note(line: &str) {
    let _ = writeln!(stderr(), "{line}");
}

/// The text in colour, if standard output shows colours.
pub(super) fn coloured(text: &str, colour: Colour) -> String {
    paint(text, colour, is_terminal())
}

/// The text in colour, if standard error shows colours.
pub(super) fn coloured_note(text: &str, colour: Colour) -> String {
    paint(text, colour, stderr().is_terminal())
}

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
