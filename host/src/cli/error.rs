//! The failure of a command and its exit code.

use crate::config;

/// The failure of a command. Each variant has its exit code.
pub(super) enum CommandError {
    /// The command line or a setting is wrong; the exit code is 2.
    Usage(anyhow::Error),
    /// The command failed for any other reason; the exit code is 1.
    Failure(anyhow::Error),
    /// The command has printed the failure itself; the value is the exit code.
    Reported(u8),
}

impl From<anyhow::Error> for CommandError {
    fn from(error: anyhow::Error) -> Self {
        Self::Failure(error)
    }
}

impl From<config::Error> for CommandError {
    fn from(error: config::Error) -> Self {
        Self::Usage(error.into())
    }
}
