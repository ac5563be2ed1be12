//! One call of a handler, as whoever makes it describes it, and what comes of it.

use std::net::SocketAddr;
use std::time::Instant;

use super::error::CallError;
use crate::message::CallId;
use crate::payload::Failure;

/// The properties in which calls differ.
#[derive(Clone, Debug)]
pub struct CallContext {
    /// The id under which the client and the log know the call.
    pub id: CallId,
    /// The deadline of whoever calls, if it has one of its own; the handler's deadline holds in any case.
    pub until: Option<Instant>,
    /// The number of dispatches that the call is deep; 0 for a call from a door.
    pub depth: u32,
    /// The address of the client that caused the call.
    pub remote: SocketAddr,
}

impl CallContext {
    /// Makes the context of a call from a door.
    pub fn new(id: CallId, remote: SocketAddr) -> Self {
        Self {
            id,
            until: None,
            depth: 0,
            remote,
        }
    }
}

/// The answer of a guest: something usable, or a failure that the guest returned.
pub type Outcome<T> = Result<Result<T, Failure>, CallError>;
