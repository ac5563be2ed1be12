//! The reasons why a server does not start.

use std::path::PathBuf;

use crate::config::SecretError;
use crate::kv::OpenError;

/// A reason why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The wasmtime engine could not be set up.
    #[error("the runtime of the handlers cannot be set up: {0}")]
    Runtime(String),
    /// A listening socket could not be used, for example because it has no local address.
    #[error("a listening socket is of no use: {0}")]
    Listener(#[from] std::io::Error),
    /// The file of `outbound.ca-file` cannot be used.
    #[error("{0} (outbound.ca-file) is of no use as a file of certificates in PEM format: {1}")]
    Certificates(PathBuf, std::io::Error),
    /// The page of `server.fallback` cannot be served. The text is the whole sentence.
    #[error("{0}")]
    Fallback(String),
    /// A secret of `[cluster]` cannot be read. The text is its key.
    #[error("{0}: {1}")]
    Password(&'static str, SecretError),
    /// Redis cannot be asked with these settings. The text is the end of the sentence.
    #[error("the settings of [cluster] are of no use: {0}")]
    Cluster(String),
    /// The key-value storage cannot be opened. The text is the whole sentence.
    #[error(transparent)]
    KeyValue(#[from] OpenError),
}
