//! The operations on one client: a socket of the library as a [`Link`].

use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::future::BoxFuture;
use socketioxide::adapter::Adapter;
use socketioxide::socket::Socket;
use socketioxide::{SendError, SocketError, SocketIo};

use super::ack::AckValue;
use super::socket::{
    ack_failure, check_event, check_namespace, connection, disconnect, disconnect_everywhere,
    not_keeping_up,
};
use crate::payload::{Failure, Payload};
use crate::sockets::{Connection, Link, not_connected};

/// A socket of the library. The reference is weak because the library's socket owns the [`Connection`], and the
/// connection owns this link.
pub struct SocketLink<A: Adapter> {
    io: SocketIo<A>,
    socket: Weak<Socket<A>>,
}

impl<A: Adapter> SocketLink<A> {
    /// Makes the link to a socket of `io`.
    pub fn new(io: SocketIo<A>, socket: &Arc<Socket<A>>) -> Self {
        Self {
            io,
            socket: Arc::downgrade(socket),
        }
    }
}

impl<A: Adapter> Link for SocketLink<A> {
    fn emit(&self, event: &str, payload: &Payload) -> Result<(), Failure> {
        check_event(event)?;
        let arguments = payload.arguments()?;
        let socket = self.socket.upgrade().ok_or_else(not_connected)?;
        check_namespace(socket.ns())?;
        let counted = Counted::of(&socket, payload.size())?;
        counted.after(socket.emit(event, &arguments))
    }

    fn emit_with_ack<'a>(
        &'a self,
        event: &'a str,
        payload: &'a Payload,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Payload, Failure>> {
        Box::pin(async move {
            check_event(event)?;
            let waiting = {
                let arguments = payload.arguments()?;
                let socket = self.socket.upgrade().ok_or_else(not_connected)?;
                check_namespace(socket.ns())?;
                let counted = Counted::of(&socket, payload.size())?;
                let sent = socket
                    .timeout(timeout)
                    .emit_with_ack::<_, AckValue>(event, &arguments);
                counted.after(sent)?
            };
            waiting.await.map(|value| value.0).map_err(ack_failure)
        })
    }

    fn rooms(&self) -> Vec<String> {
        let Some(socket) = self.socket.upgrade() else {
            return Vec::new();
        };
        let rooms = socket.rooms();
        rooms.into_iter().map(|room| room.into_owned()).collect()
    }

    fn join(&self, rooms: Vec<String>) {
        if let Some(socket) = self.socket.upgrade() {
            socket.join(rooms);
        }
    }

    fn leave(&self, rooms: Vec<String>) {
        if let Some(socket) = self.socket.upgrade() {
            socket.leave(rooms);
        }
    }

    fn disconnect(&self, close: bool) {
        let Some(socket) = self.socket.upgrade() else {
            return;
        };
        if close {
            disconnect_everywhere(&self.io, socket.id);
        } else {
            disconnect(socket.into());
        }
    }
}

/// The packet that is about to be sent to one client, counted among the bytes that wait for it.
struct Counted {
    connection: Option<Arc<Connection>>,
    bytes: usize,
}

impl Counted {
    /// Counts a packet of `bytes` bytes. Fails with 503 if too much waits for the client already.
    fn of<A: Adapter>(socket: &Socket<A>, bytes: usize) -> Result<Self, Failure> {
        let connection = connection(socket);
        if let Some(connection) = &connection {
            if connection.session.is_heavy() {
                return Err(not_keeping_up());
            }
            connection.session.add_queued(bytes);
        }
        Ok(Self { connection, bytes })
    }

    /// Undoes the count if the packet was not sent, and converts the error.
    fn after<T>(self, sent: Result<T, SendError>) -> Result<T, Failure> {
        if let (Err(_), Some(connection)) = (&sent, &self.connection) {
            connection.session.remove_queued(self.bytes);
        }
        sent.map_err(send_failure)
    }
}

fn send_failure(error: SendError) -> Failure {
    match error {
        SendError::Socket(SocketError::Closed) => not_connected(),
        SendError::Socket(SocketError::InternalChannelFull) => not_keeping_up(),
        SendError::Serialize(error) => Failure::new(400, error.to_string()),
    }
}
