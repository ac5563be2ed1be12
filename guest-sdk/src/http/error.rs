//! The error of a request to another server.

use std::fmt;

use crate::error::Failure;

/// The error of a request to another server. Its text names method and URL, without the query.
///
/// ```
/// use hitchy_guest::http::{self, ErrorKind};
/// use hitchy_guest::testing;
///
/// testing::on_http("GET", "https://api.example.com/slow?token=secret", ErrorKind::TimedOut);
/// let error = http::get("https://api.example.com/slow?token=secret").unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::TimedOut);
/// assert!(error.to_string().starts_with("GET https://api.example.com/slow: "));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    request: String,
    cause: String,
}

/// The kind of an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The handler may not call this server: it is not in the setting `outbound`, or its name does not lead to a public
    /// address.
    Refused,
    /// The server, or the way to it, took too long.
    TimedOut,
    /// The server could not be reached, broke off, or did not speak HTTP, or a limit was exceeded.
    Failed,
    /// The server answered with this status. Only [`Response::error_for_status`](super::Response::error_for_status)
    /// returns it.
    Status(u16),
    /// The body of the response is not what was expected.
    Body,
    /// The request is not valid, so nothing was sent.
    Invalid,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, request: String, cause: String) -> Self {
        Error {
            kind,
            request,
            cause,
        }
    }

    /// Returns the kind.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns true if the handler may not call this server.
    pub fn is_refused(&self) -> bool {
        self.kind == ErrorKind::Refused
    }

    /// Returns true if the server, or the way to it, took too long.
    pub fn is_timeout(&self) -> bool {
        self.kind == ErrorKind::TimedOut
    }

    /// Returns the failure that the client of the handler sees, or `None` if the handler is at fault.
    pub(crate) fn failure(&self) -> Option<Failure> {
        match self.kind {
            ErrorKind::Refused | ErrorKind::Invalid => None,
            ErrorKind::TimedOut => Some(Failure::new(504, "another server did not answer in time")),
            ErrorKind::Failed | ErrorKind::Status(_) | ErrorKind::Body => {
                Some(Failure::new(502, "another server failed"))
            }
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.request, self.cause)
    }
}

impl std::error::Error for Error {}
