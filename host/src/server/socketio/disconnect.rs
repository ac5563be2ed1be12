//! The end of a connection: remembered, named as socket.io names it, and told in the log when the client is at fault.

use std::sync::Arc;

use socketioxide::TransportType;
use socketioxide::adapter::Adapter;
use socketioxide::handler::DisconnectHandler;
use socketioxide::socket::{DisconnectReason, Socket};
use tokio::sync::mpsc::UnboundedSender;

use crate::outbound::Outbound;
use crate::server::socketio::inbox::Item;
use crate::sockets::{Connection, CountGuard};

/// The reason of a connection that the server ended.
pub(in crate::server) const DISMISSED: &str = "server namespace disconnect";

/// Is told by the library that a connection has ended. It remembers the rooms within that very call: when there is a second cause
/// (a client that closes what the server has just disconnected), the library forgets them without telling anybody.
pub(in crate::server) struct OnDisconnect<A: Adapter> {
    pub(in crate::server) connection: Arc<Connection>,
    pub(in crate::server) items: UnboundedSender<Item<A>>,
    /// Bytes above which a packet ends its connection.
    pub(in crate::server) packet_limit: usize,
    /// Its place in the count of the namespace's sockets.
    pub(in crate::server) guard: CountGuard,
}

impl<A: Adapter> DisconnectHandler<A, OnDisconnect<A>> for OnDisconnect<A> {
    fn call_with_defer(
        &self,
        socket: Arc<Socket<A>>,
        reason: DisconnectReason,
        forget: fn(Arc<Socket<A>>),
    ) {
        self.guard.leave();
        self.connection.leave_for_good();
        let session = &self.connection.session;
        if session.of_websocket(Outbound::is_stalled) {
            session.end_slow_reader("it took nothing within server.write-stall");
        }
        let reason = match session.ending() {
            Some(ending) => ending.reason(),
            None => {
                self.blame(reason, &socket);
                match reason {
                    // A client that dies does not say goodbye. To the library that is an error.
                    DisconnectReason::TransportError
                        if session.of_websocket(Outbound::is_cut_off) =>
                    {
                        name(DisconnectReason::TransportClose)
                    }
                    reason => name(reason),
                }
            }
        };
        // The queue's other end may have gone with the process's last task.
        let _ = self.items.send(Item::Gone(reason));
        forget(socket);
    }
}

impl<A: Adapter> OnDisconnect<A> {
    /// Says in the log what the client did, once for all its connections.
    fn blame(&self, reason: DisconnectReason, socket: &Socket<A>) {
        let (most, session) = (self.packet_limit, &self.connection.session);
        let is_websocket = socket.transport_type() == TransportType::Websocket;
        let fault = match reason {
            DisconnectReason::PacketParsingError => {
                "it sent a packet that cannot be understood (parse error): none of socket.io's, or more than 10 attachments, or an event name with a quote, a backslash or a control character".to_owned()
            }
            DisconnectReason::MultipleHttpPollingError => {
                "it polled twice at the same time".to_owned()
            }
            // The connection below was in order: the library did not like what came over it.
            DisconnectReason::TransportError
                if is_websocket && session.of_websocket(|line| !line.is_cut_off()) =>
            {
                format!(
                    "it sent a message of more than {most} bytes (four times server.body-limit), or none that a websocket can carry (RFC 6455)"
                )
            }
            _ => return,
        };
        if session.asks_why()
            && let Some(total) = session.metrics().malformed.count()
        {
            let Connection { id, namespace, .. } = &*self.connection;
            tracing::warn!(socket = %id, %namespace, remote = %session.remote, "the connection of a client was closed: {fault}; {total} such connections so far");
        }
    }
}

/// Why a connection ended, in socket.io's words.
fn name(reason: DisconnectReason) -> &'static str {
    match reason {
        DisconnectReason::TransportClose => "transport close",
        DisconnectReason::TransportError | DisconnectReason::MultipleHttpPollingError => {
            "transport error"
        }
        DisconnectReason::PacketParsingError => "parse error",
        DisconnectReason::HeartbeatTimeout => "ping timeout",
        DisconnectReason::ClientNSDisconnect => "client namespace disconnect",
        DisconnectReason::ServerNSDisconnect => DISMISSED,
        DisconnectReason::ClosingServer => "server shutting down",
    }
}
