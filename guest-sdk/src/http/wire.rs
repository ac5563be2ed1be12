//! What is passed to the host and comes back from it, the same for WebAssembly and for the test double.

use std::time::Duration;

use super::error::ErrorKind;

/// A request, taken apart.
pub(crate) struct Parts {
    pub(crate) method: String,
    /// True for `https`, false for `http`.
    pub(crate) is_secure: bool,
    pub(crate) authority: String,
    /// The path and the query.
    pub(crate) path: String,
    /// The headers, with names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    #[cfg_attr(not(target_family = "wasm"), allow(dead_code))]
    pub(crate) timeout: Option<Duration>,
}

/// A response. The names of its headers are in lower case.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// A request that got no response.
#[derive(Clone)]
pub(crate) struct Failed {
    pub(crate) kind: ErrorKind,
    pub(crate) cause: String,
}

impl Failed {
    pub(crate) fn new(kind: ErrorKind, cause: &str) -> Self {
        Failed {
            kind,
            cause: cause.to_owned(),
        }
    }
}
