//! The event at hand.

use std::fmt;

use serde::de::DeserializeOwned;

use crate::error::{Failure, Result};
use crate::payload::Payload;
use crate::socket::Socket;

/// An event from a client, as [`FromEvent`](crate::FromEvent) sees it.
pub struct Event {
    pub(crate) socket: Socket,
    pub(crate) name: String,
    pub(crate) arguments: Payload,
    pub(crate) ack_wanted: bool,
}

impl Event {
    /// The sender.
    pub fn socket(&self) -> &Socket {
        &self.socket
    }

    /// The event's name: what a listener to `*` needs to know.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The arguments as they came.
    pub fn arguments(&self) -> &Payload {
        &self.arguments
    }

    /// The arguments: a tuple takes several, anything else the first.
    ///
    /// # Errors
    /// A 400 that says what does not fit.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        self.arguments.data()
    }

    /// Returns true if the client passed a callback.
    pub fn ack_wanted(&self) -> bool {
        self.ack_wanted
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Event({} from {:?})", self.name, self.socket)
    }
}
