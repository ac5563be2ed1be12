//! A socket of the library: the connection that belongs to it, its end, and the failures of what is sent to it.

use std::sync::Arc;

use socketioxide::adapter::Adapter;
use socketioxide::extract::SocketRef;
use socketioxide::socket::{Sid, Socket};
use socketioxide::{AckError, SocketError, SocketIo};

use crate::ending::Ending;
use crate::names::{REQUESTS, RESERVED};
use crate::payload::Failure;
use crate::sockets::{Connection, not_connected};

/// Refuses names that socket.io reserves.
pub(super) fn check_event(event: &str) -> Result<(), Failure> {
    if RESERVED.contains(&event) {
        return Err(Failure::new(
            400,
            format!("the event name {event:?} is reserved by socket.io"),
        ));
    }
    Ok(())
}

/// Refuses the namespace in which requests are answered.
pub(super) fn check_namespace(namespace: &str) -> Result<(), Failure> {
    if namespace == REQUESTS || namespace.starts_with("/hitchy/") {
        return Err(Failure::new(
            403,
            "nothing can be sent to the namespace /hitchy; it answers requests only",
        ));
    }
    Ok(())
}

/// Returns the connection that belongs to a socket of the library.
pub(super) fn connection<A: Adapter>(socket: &Socket<A>) -> Option<Arc<Connection>> {
    socket.extensions.get::<Arc<Connection>>()
}

/// Disconnects a socket from its namespace.
pub(super) fn disconnect<A: Adapter>(socket: SocketRef<A>) {
    let connection = connection(&socket);
    if let Some(connection) = &connection {
        connection.dismiss();
    }
    // A client whose send buffer is full cannot receive the disconnect.
    if let (Err(SocketError::InternalChannelFull), Some(connection)) =
        (socket.disconnect(), connection)
    {
        let cause = "its send buffer is full, so that it cannot be told that it is disconnected";
        connection
            .session
            .end_slow_reader_as(Ending::SendBuffer, cause);
    }
}

/// Disconnects a client from all its namespaces, in each of which its id is the same. The official client then closes
/// the connection by itself.
pub(super) fn disconnect_everywhere<A: Adapter>(io: &SocketIo<A>, id: Sid) {
    for namespace in io.nsps() {
        if let Some(socket) = namespace.get_socket(id) {
            if let Some(connection) = connection(&socket) {
                connection.session.end_soon();
            }
            disconnect(socket);
        }
    }
}

pub(super) fn not_keeping_up() -> Failure {
    Failure::new(503, "the client is not keeping up with what is sent to it")
}

pub(super) fn ack_failure(error: AckError) -> Failure {
    match error {
        AckError::Timeout => Failure::new(504, "the client did not answer in time"),
        AckError::Socket(SocketError::InternalChannelFull) => not_keeping_up(),
        AckError::Socket(SocketError::Closed) => not_connected(),
        AckError::Decode(error) => Failure::new(
            400,
            format!("the client's answer is no JSON array: {error}"),
        ),
    }
}
