//! The end of a connection: names the reason as socket.io names it, and logs a client that is at fault.

use std::sync::Arc;

use socketioxide::TransportType;
use socketioxide::adapter::Adapter;
use socketioxide::handler::DisconnectHandler;
use socketioxide::socket::{DisconnectReason, Socket};
use tokio::sync::mpsc::UnboundedSender;

use super::inbox::Item;
use crate::ending::Ending;
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
        if let Some(ending) = self.ending(reason, &socket) {
            self.note(ending);
        }
        let reason = match self.connection.session.ending() {
            Some(ending) => ending.reason(),
            None => self.reason_name(reason),
        };
        // Fails if the worker has ended, which happens while the server shuts down.
        let _ = self.items.send(Item::Disconnected(reason));
        forget(socket);
    }
}

impl<A: Adapter> OnDisconnect<A> {
    /// Returns the reason for which the server or the library ended the session; none if the client left, or if a
    /// handler disconnected it.
    fn ending(&self, reason: DisconnectReason, socket: &Socket<A>) -> Option<Ending> {
        let session = &self.connection.session;
        let is_websocket = socket.transport_type() == TransportType::Websocket;
        match reason {
            DisconnectReason::PacketParsingError => Some(Ending::Malformed),
            DisconnectReason::MultipleHttpPollingError => Some(Ending::DoublePoll),
            DisconnectReason::HeartbeatTimeout => Some(Ending::PingTimeout),
            DisconnectReason::ClosingServer => Some(Ending::Shutdown),
            DisconnectReason::TransportError | DisconnectReason::TransportClose => {
                let ended = session.websocket_ending();
                let failed = || match reason {
                    DisconnectReason::TransportClose => None,
                    _ if !is_websocket || session.of_websocket(Outbound::is_cut_off) => None,
                    // The TCP connection was still open, so that the library refused a message of the client.
                    _ => Some(Ending::BadMessage),
                };
                ended.or_else(failed)
            }
            DisconnectReason::ClientNSDisconnect | DisconnectReason::ServerNSDisconnect => None,
        }
    }

    /// Counts and logs an end, once for all connections of the session.
    fn note(&self, ending: Ending) {
        let (limit, connection) = (self.packet_limit, &self.connection);
        let cause = match ending {
            Ending::Malformed => {
                "it sent a packet that cannot be understood (parse error): none of socket.io's, or more than 10 attachments, or an ack id of more than 64 bits".to_owned()
            }
            Ending::BadMessage => {
                format!(
                    "it sent a message of more than {limit} bytes (four times server.body-limit), or none that a websocket can carry (RFC 6455)"
                )
            }
            other => other.cause().to_owned(),
        };
        let namespace = Some(&*connection.namespace);
        connection.session.note_end(ending, namespace, &cause);
    }

    /// Returns the name that socket.io gives to the end of a client that left.
    fn reason_name(&self, reason: DisconnectReason) -> &'static str {
        let session = &self.connection.session;
        let is_cut_off = || session.of_websocket(Outbound::is_cut_off);
        match reason {
            // A TCP connection that was closed without a close frame is an error to the library only.
            DisconnectReason::TransportError if is_cut_off() => "transport close",
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
}
