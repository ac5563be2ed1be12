//! A recorded emit.

use serde::de::DeserializeOwned;

use crate::double::state::EmitRecord;
use crate::error::{Failure, Result};
use crate::payload::Payload;
use crate::socket::Socket;

/// One emit to a socket, to rooms or to a namespace.
#[derive(Clone, Debug)]
pub struct Emitted {
    /// Name of the event.
    pub event: String,
    /// Namespace of the receivers.
    pub namespace: String,
    /// Rooms of the receivers. The list is empty for all sockets of the namespace. An emit to one socket has the
    /// socket's id here.
    pub rooms: Vec<String>,
    /// Rooms whose sockets were excluded.
    pub excluding: Vec<String>,
    /// Arguments in encoded form.
    pub arguments: Payload,
    /// True if the emit was limited to this node.
    pub local: bool,
    /// True if the server could leave out slow clients.
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

    /// Decodes the arguments. A tuple takes several arguments, and any other type takes the first.
    ///
    /// # Errors
    /// Fails when the arguments do not fit the type.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        self.arguments.data()
    }

    /// Returns true if this client received the event.
    pub fn reached(&self, client: &Socket) -> bool {
        client.namespace() == self.namespace && self.receivers.contains(&client.id())
    }
}
