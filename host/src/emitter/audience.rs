//! The receivers of an event or an operation, and the acks that they send.

use crate::payload::{Failure, Payload};

/// The receivers of an event or an operation.
#[derive(Clone, Debug)]
pub struct Audience {
    /// `/` or a declared namespace.
    pub namespace: String,
    /// Sockets in any of these; none means all.
    pub rooms: Vec<String>,
    /// But not those in any of these.
    pub excluding: Vec<String>,
    /// True for only sockets that are connected to this server.
    pub this_node_only: bool,
    /// May be left out for a client that is not keeping up.
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
