//! The receivers of an event or an operation, and the acks that they send.

use crate::payload::{Failure, Payload};

/// The receivers of an event or an operation.
#[derive(Clone, Debug)]
pub struct Audience {
    /// The namespace: `/` or one that a handler declares.
    pub namespace: String,
    /// The rooms whose sockets are reached. An empty list reaches all sockets of the namespace.
    pub rooms: Vec<String>,
    /// The rooms whose sockets are left out.
    pub excluding: Vec<String>,
    /// True if only sockets that are connected to this server are reached.
    pub this_node_only: bool,
    /// True if the event may be lost for a client that is not keeping up.
    pub droppable: bool,
}

impl Audience {
    /// Returns the audience of everyone in a namespace.
    pub fn everyone(namespace: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            rooms: Vec::new(),
            excluding: Vec::new(),
            this_node_only: false,
            droppable: false,
        }
    }
}

/// The acks of many sockets, by their ids.
pub type Acks = Vec<(String, Result<Payload, Failure>)>;
