//! Sees to it that a broadcast reaches everyone it is for: who has no room for it is waited for while it takes what it is sent, else
//! its connection is ended. A client that misses an event and does not know of it would be worse off.

use serde::ser::Error;
use serde::{Serialize, Serializer};
use socketioxide::adapter::Adapter;
use socketioxide::extract::SocketRef;
use socketioxide::operators::BroadcastOperators;
use socketioxide::socket::Socket;
use socketioxide::{SendError, SocketError};

use super::connection;

/// Makes room for a packet of so many bytes with everyone in an audience, as far as they are connected here.
pub(super) async fn make<A: Adapter>(operators: &BroadcastOperators<A>, bytes: usize) {
    for socket in operators.clone().local().sockets() {
        if let Some(connection) = connection(&socket) {
            if connection.session.may_be_full() || connection.session.is_heavy() {
                wait_for(&socket).await;
            }
            connection.session.hand(bytes);
        }
    }
}

async fn wait_for<A: Adapter>(socket: &SocketRef<A>) {
    let Some(connection) = connection(socket) else {
        return;
    };
    let session = &connection.session;
    while socket.connected()
        && session.ending().is_none()
        && (session.is_heavy() || is_full(socket))
    {
        session.progress_or_end().await;
    }
}

/// Ends those who had no room after all, since others were faster: their send buffer is full.
pub(super) fn end_losers<A: Adapter>(operators: &BroadcastOperators<A>, losses: usize) {
    let mut losses = Some(losses);
    for socket in operators.clone().local().sockets() {
        if is_full(&socket)
            && let Some(connection) = connection(&socket)
        {
            let session = &connection.session;
            let uncounted = losses.take().unwrap_or_default();
            session.metrics().lost_events.add(uncounted as u64);
            session.end_slow_reader("its send buffer is full, and it lost an event");
        }
    }
}

/// Whether the library has no room for another packet for a socket. It does not say; but it looks for room before it serialises.
pub(crate) fn is_full<A: Adapter>(socket: &Socket<A>) -> bool {
    let sent = socket.emit("", &Nothing);
    matches!(
        sent,
        Err(SendError::Socket(SocketError::InternalChannelFull))
    )
}

/// Cannot be sent.
struct Nothing;

impl Serialize for Nothing {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom("nothing is to be sent"))
    }
}
