//! Runs conversations with a server, and turns answers into exit codes.

use crate::cli::error::CommandError;
use crate::cli::executor::{self, Threads};

/// Runs a conversation with a server on this thread.
pub(super) fn run_client<T>(
    conversation: impl Future<Output = Result<T, CommandError>>,
) -> Result<T, CommandError> {
    let runtime = executor::runtime(Threads::Current)?;
    let done = runtime.block_on(conversation);
    // The lookup of a name is a blocking call that may still run. It is not waited for.
    runtime.shutdown_background();
    done
}

/// Returns the failure for an answer with an error status. The exit code is 4 for a fault of the client and 5 for one
/// of the server, as in HTTPie.
pub(super) fn outcome(code: u64) -> Result<(), CommandError> {
    match code {
        400..500 => Err(CommandError::Reported(4)),
        500..600 => Err(CommandError::Reported(5)),
        _ => Ok(()),
    }
}
