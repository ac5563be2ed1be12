//! The types that hooks, schedules and `after` policies can return: nothing, or an error.

use crate::error::{Error, Result};

/// A type that hooks, schedules and `after` policies can return: `()`, or a `Result` of it.
///
/// An error refuses the client in `on_connect`. Everywhere else it is written to the log.
#[diagnostic::on_unimplemented(
    message = "a function that answers nothing cannot return `{Self}`",
    label = "must be `()` or `Result<()>`"
)]
pub trait IntoOutcome {
    /// Converts the value into a result.
    ///
    /// # Errors
    /// Returns the error of the function.
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
