//! The reasons for which an operation on a bucket fails.

use std::fmt;

use crate::host::kv;

/// The reason for which an operation on a bucket failed.
///
/// The `?` operator turns it into an internal error: the client gets a 500, and the log has the text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// No bucket has this name.
    NoSuchStore {
        /// The name of the bucket.
        bucket: String,
    },
    /// The operator did not grant the bucket to the handler, or only for reading.
    AccessDenied {
        /// The name of the bucket.
        bucket: String,
    },
    /// The store failed, as a sentence: a key or value is too large, the bucket is full, the disk is full.
    Store(String),
    /// The value of a key is not what it was read as, or cannot be written as JSON.
    Invalid {
        /// The key.
        key: String,
        /// The reason, as serde gives it.
        reason: String,
    },
    /// Other calls changed the key each time that an update was tried.
    Contended {
        /// The key.
        key: String,
    },
}

impl Error {
    /// Converts an error of the host about a bucket.
    pub(super) fn of(bucket: &str, error: kv::Error) -> Self {
        let name = || bucket.to_owned();
        match error {
            kv::Error::NoSuchStore => Error::NoSuchStore { bucket: name() },
            kv::Error::AccessDenied => Error::AccessDenied { bucket: name() },
            kv::Error::Other(sentence) => Error::Store(sentence),
        }
    }

    /// Makes the error about a value that is not JSON of the expected shape.
    pub(super) fn invalid(key: &str, reason: &serde_json::Error) -> Self {
        Error::Invalid {
            key: key.to_owned(),
            reason: reason.to_string(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NoSuchStore { bucket } => write!(f, "there is no bucket `{bucket}`"),
            Error::AccessDenied { bucket } => write!(
                f,
                "this handler may not do that with the bucket `{bucket}`: grant it in the handler's settings, buckets = {{ {bucket} = \
                 \"read-write\" }}"
            ),
            Error::Store(sentence) => write!(f, "the key-value store failed: {sentence}"),
            Error::Invalid { key, reason } => {
                write!(f, "the value of `{key}` does not fit: {reason}")
            }
            Error::Contended { key } => {
                write!(
                    f,
                    "`{key}` was changed by other calls each time it was updated"
                )
            }
        }
    }
}

impl std::error::Error for Error {}
