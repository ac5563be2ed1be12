//! What was emitted.

use serde::de::DeserializeOwned;

use crate::double::world::EmitRecord;
use crate::error::{Failure, Result};
use crate::payload::Payload;
use crate::socket::Socket;

/// One emit: to one socket, to rooms or to a whole namespace.
#[derive(Clone, Debug)]
pub struct Emitted {
    /// The event's name.
    pub event: String,
    /// Where.
    pub namespace: String,
    /// To whom: none is everyone; a socket's own emit has its id here.
    pub rooms: Vec<String>,
    /// But not to whom.
    pub excluding: Vec<String>,
    /// As it travels.
    pub arguments: Payload,
    /// Whether it was for this node only.
    pub local: bool,
    /// Whether it may be left out for slow clients.
    pub volatile: bool,
    receivers: Vec<String>,
}

impl Emitted {
    pub(super) fn new(record: &EmitRecord) -> Self {
        let EmitRecord {
            audience,
            event,
            arguments,
            receivers,
        } = record.clone();
        Emitted {
            event,
            namespace: audience.namespace,
            rooms: audience.rooms,
            excluding: audience.excluding,
            arguments: arguments.into(),
            local: audience.this_node_only,
            volatile: audience.droppable,
            receivers,
        }
    }

    /// The arguments: a tuple takes several, anything else the first.
    ///
    /// # Errors
    /// When they do not fit.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        self.arguments.data()
    }

    /// Whether this client got it.
    pub fn reached(&self, client: &Socket) -> bool {
        client.namespace() == self.namespace && self.receivers.contains(&client.id())
    }
}
