//! The reasons for which a file of the folder is not served as it is now.

use super::conflicts::Conflict;
use super::folder::ReadError;
use crate::config;
use crate::runtime::{LoadError, ScriptError};

/// The reason for which a file is not served. Each sentence says the cause and what to do; whoever reports it names the
/// file.
#[derive(Debug, thiserror::Error)]
pub enum FileRefusal {
    /// The content is not a handler.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// An instance of the handler begins with more memory than it may have.
    #[error("{error}; {remedy}")]
    Memory {
        /// The two sizes.
        error: LoadError,
        /// The setting to raise, and where it is.
        remedy: String,
    },
    /// The file, or its sidecar, cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// The sidecar, or a setting for the file, is wrong.
    #[error(transparent)]
    Settings(#[from] config::Error),
    /// A secret that the settings name is missing.
    #[error(transparent)]
    Secret(#[from] config::SecretError),
    /// Another file serves one of its routes.
    #[error(transparent)]
    Conflict(#[from] Conflict),
}

impl From<ReadError> for FileRefusal {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Load(error) => Self::Load(error),
            ReadError::Unreadable(sentence) => Self::Unreadable(sentence),
        }
    }
}

impl From<tokio::task::JoinError> for FileRefusal {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::Unreadable(error.to_string())
    }
}

impl FileRefusal {
    /// Returns true if the file is a script without any declaration.
    pub(super) fn is_without_declarations(&self) -> bool {
        let nothing =
            |error: &LoadError| matches!(error, LoadError::Script(ScriptError::DeclaresNothing));
        matches!(self, Self::Load(error) if nothing(error))
    }

    /// Returns true if the same file may be served when it is tried again, because the machine and not the file is the
    /// cause.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Load(error) => error.is_transient(),
            Self::Unreadable(_) => true,
            Self::Secret(error) => error.is_transient(),
            Self::Settings(_) | Self::Conflict(_) | Self::Memory { .. } => false,
        }
    }
}
