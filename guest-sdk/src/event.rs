//! An event that a listener handles.

use std::fmt;

use serde::de::DeserializeOwned;

use crate::error::{Failure, Result};
use crate::payload::Payload;
use crate::socket::Socket;

/// An event from a client: the source from which [`FromEvent`](crate::FromEvent) extracts.
pub struct Event {
    pub(crate) socket: Socket,
    pub(crate) name: String,
    pub(crate) arguments: Payload,
    pub(crate) ack_wanted: bool,
}

impl Event {
    /// Returns the socket of the sender.
    pub fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Returns the name of the event. It is of use to a listener for `*`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the arguments as the client sent them.
    pub fn arguments(&self) -> &Payload {
        &self.arguments
    }

    /// Reads the arguments. A tuple takes several arguments, and any other type takes the first.
    ///
    /// # Errors
    /// Returns a 400 with a sentence that says which value does not fit.
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
