//! The values that hooks and `after` policies return: nothing, or an error.

use crate::error::{Error, Result};

/// The return value of a function that answers nothing: `()`, or a `Result` of it.
///
/// An error refuses the client in `on_connect`; everywhere else it is written to the log.
#[diagnostic::on_unimplemented(
    message = "a function that answers nothing cannot return `{Self}`",
    label = "must be `()` or `Result<()>`"
)]
pub trait IntoOutcome {
    /// Returns the error, if there is one.
    ///
    /// # Errors
    /// What went wrong.
    fn into_outcome(self) -> Result<()>;
}

impl IntoOutcome for () {
    fn into_outcome(self) -> Result<()> {
        Ok(())
    }
}

impl<E: Into<Error>> IntoOutcome for Result<(), E> {
    fn into_outcome(self) -> Result<()> {
        self.map_err(Into::into)
    }
}
