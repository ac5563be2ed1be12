//! The context that a caller passes with a call of a handler, and the result of a call.

use std::net::SocketAddr;
use std::time::Instant;

use super::error::CallError;
use super::last_error::LastError;
use crate::message::CallId;
use crate::payload::Failure;

/// The context of one call.
#[derive(Clone, Debug)]
pub struct CallContext {
    /// The id of the call in the log and, for requests, in the answer.
    pub id: CallId,
    /// The caller's own deadline. The call ends at this time or at the handler's deadline, whichever comes first.
    pub until: Option<Instant>,
    /// The number of nested dispatches above the call; 0 for a call that is not nested.
    pub depth: u32,
    /// The address of the client that caused the call. The unspecified address if no client did.
    pub remote: SocketAddr,
    /// Where the last error is kept that the guest logs. `None` if nobody wants to know it.
    pub last_error: Option<LastError>,
}

impl CallContext {
    /// Makes the context of a call that is not nested in another and has no deadline of its caller.
    pub fn new(id: CallId, remote: SocketAddr) -> Self {
        Self {
            id,
            until: None,
            depth: 0,
            remote,
            last_error: None,
        }
    }

    /// Makes the context of a call that no client causes.
    pub fn without_client(id: CallId) -> Self {
        Self::new(id, SocketAddr::from(([0, 0, 0, 0], 0)))
    }
}

/// The result of a call: a usable answer, or a [`Failure`] that the guest returned on purpose.
///
/// The outer error is a call that gave no usable answer.
pub type Outcome<T> = Result<Result<T, Failure>, CallError>;
