//! The receivers of an event or an operation, and the acks that they send.

use crate::payload::{Failure, Payload};

/// Largest size of the name of a room, a namespace or an event in bytes.
pub const MAX_NAME: usize = 1024;
/// Rooms that an audience may name, those it leaves out included.
const MAX_ROOMS: usize = 4096;

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

    /// Checks the sizes of an audience, which the server may hold while it waits for clients. Fails with 413.
    pub fn check(&self) -> Result<(), Failure> {
        let names = self.rooms.iter().chain(&self.excluding);
        let mut names = names.chain([&self.namespace]);
        if self.rooms.len() + self.excluding.len() > MAX_ROOMS
            || names.any(|name| name.len() > MAX_NAME)
        {
            return Err(Failure::new(
                413,
                format!("an audience names at most {MAX_ROOMS} rooms of {MAX_NAME} bytes each"),
            ));
        }
        Ok(())
    }
}

/// Checks the size of the name of an event. Fails with 413.
pub fn check_event_length(event: &str) -> Result<(), Failure> {
    if event.len() > MAX_NAME {
        return Err(Failure::new(
            413,
            format!("the name of an event may have {MAX_NAME} bytes"),
        ));
    }
    Ok(())
}

/// The acks of many sockets, by their ids.
pub type Acks = Vec<(String, Result<Payload, Failure>)>;
