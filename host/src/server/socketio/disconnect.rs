//! The end of a connection: names the reason as socket.io names it, and logs a client that is at fault.

use std::sync::Arc;

use socketioxide::TransportType;
use socketioxide::adapter::Adapter;
use socketioxide::handler::DisconnectHandler;
use socketioxide::socket::{DisconnectReason, Socket};
use tokio::sync::mpsc::UnboundedSender;

use super::inbox::Item;
use crate::outbound::Outbound;
use crate::sockets::{Connection, CountGuard};

/// The reason of a connection that the server ended.
pub(super) const SERVER_DISCONNECT: &str = "server namespace disconnect";

/// Handles the end of a connection, which the library reports.
///
/// The rooms are remembered within that call. If a second cause follows (a client closes a connection that the
/// server has just disconnected), the library forgets the rooms without another call.
pub(super) struct OnDisconnect<A: Adapter> {
    pub(super) connection: Arc<Connection>,
    pub(super) items: UnboundedSender<Item<A>>,
    /// Size of a packet above which its connection is ended, in bytes.
    pub(super) packet_limit: usize,
    /// Counts the connection among the sockets of its namespace.
    pub(super) guard: CountGuard,
}

impl<A: Adapter> DisconnectHandler<A, OnDisconnect<A>> for OnDisconnect<A> {
    fn call_with_defer(
        &self,
        socket: Arc<Socket<A>>,
        reason: DisconnectReason,
        forget: fn(Arc<Socket<A>>),
    ) {
        self.guard.release();
        self.connection.mark_ended();
        let session = &self.connection.session;
        if session.of_websocket(Outbound::is_stalled) {
            session.end_slow_reader("it took nothing within server.write-stall");
        }
        let reason = match session.ending() {
            Some(ending) => ending.reason(),
            None => {
                self.log_fault(reason, &socket);
                match reason {
                    // A TCP connection that was closed without a close frame is an error to the library only.
                    DisconnectReason::TransportError
                        if session.of_websocket(Outbound::is_cut_off) =>
                    {
                        reason_name(DisconnectReason::TransportClose)
                    }
                    reason => reason_name(reason),
                }
            }
        };
        // Fails if the worker has ended, which happens while the server shuts down.
        let _ = self.items.send(Item::Disconnected(reason));
        forget(socket);
    }
}

impl<A: Adapter> OnDisconnect<A> {
    /// Logs what the client did wrong, once for all connections of its session.
    fn log_fault(&self, reason: DisconnectReason, socket: &Socket<A>) {
        let (limit, session) = (self.packet_limit, &self.connection.session);
        let is_websocket = socket.transport_type() == TransportType::Websocket;
        let fault = match reason {
            DisconnectReason::PacketParsingError => {
                "it sent a packet that cannot be understood (parse error): none of socket.io's, or more than 10 attachments, or an ack id of more than 64 bits".to_owned()
            }
            DisconnectReason::MultipleHttpPollingError => {
                "it polled twice at the same time".to_owned()
            }
            // The TCP connection was still open, so that the library refused a message of the client.
            DisconnectReason::TransportError
                if is_websocket && session.of_websocket(|outbound| !outbound.is_cut_off()) =>
            {
                format!(
                    "it sent a message of more than {limit} bytes (four times server.body-limit), or none that a websocket can carry (RFC 6455)"
                )
            }
            _ => return,
        };
        if session.is_first_to_log_end()
            && let Some(total) = session.metrics().malformed.count()
        {
            let Connection { id, namespace, .. } = &*self.connection;
            tracing::warn!(socket = %id, %namespace, remote = %session.remote, "the connection of a client was closed: {fault}; {total} such connections so far");
        }
    }
}

/// Returns the name that socket.io gives to a reason.
fn reason_name(reason: DisconnectReason) -> &'static str {
    match reason {
        DisconnectReason::TransportClose => "transport close",
        DisconnectReason::TransportError | DisconnectReason::MultipleHttpPollingError => {
            "transport error"
        }
        DisconnectReason::PacketParsingError => "parse error",
        DisconnectReason::HeartbeatTimeout => "ping timeout",
        DisconnectReason::ClientNSDisconnect => "client namespace disconnect",
        DisconnectReason::ServerNSDisconnect => SERVER_DISCONNECT,
        DisconnectReason::ClosingServer => "server shutting down",
    }
}
