//! Makes sure that a broadcast reaches everyone in its audience: a receiver without capacity is waited for while it
//! takes what it is sent, and is disconnected otherwise. A client that missed an event without knowing would be worse
//! off.

use futures_util::future::join_all;
use serde::ser::Error;
use serde::{Serialize, Serializer};
use socketioxide::adapter::Adapter;
use socketioxide::extract::SocketRef;
use socketioxide::operators::BroadcastOperators;
use socketioxide::socket::Socket;
use socketioxide::{SendError, SocketError};

use super::socket::connection;
use crate::ending::Ending;
use crate::session::Session;

/// Waits until every local receiver in an audience has capacity for a packet of `bytes` bytes, and counts the packet.
pub(super) async fn make_capacity<A: Adapter>(operators: &BroadcastOperators<A>, bytes: usize) {
    let sockets = operators.clone().local().sockets();
    let crowded = sockets
        .iter()
        .filter(|socket| is_crowded_for_others(socket));
    join_all(crowded.map(wait_for)).await;
    for socket in &sockets {
        if let Some(connection) = connection(socket) {
            connection.session.add_queued(bytes);
        }
    }
}

async fn wait_for<A: Adapter>(socket: &SocketRef<A>) {
    let Some(connection) = connection(socket) else {
        return;
    };
    while is_crowded_for_others(socket) {
        connection.session.progress_or_end().await;
    }
}

/// Returns true if a client has no capacity for another packet that is for it alone. One that has disconnected has
/// capacity.
pub(crate) fn is_crowded<A: Adapter>(socket: &Socket<A>) -> bool {
    is_crowded_by(socket, Session::is_heavy)
}

/// Returns true if a client has no capacity for another packet of a broadcast.
fn is_crowded_for_others<A: Adapter>(socket: &Socket<A>) -> bool {
    is_crowded_by(socket, Session::is_heavy_for_others)
}

fn is_crowded_by<A: Adapter>(socket: &Socket<A>, is_heavy: fn(&Session) -> bool) -> bool {
    let is_crowded = |session: &Session| {
        session.ending().is_none()
            && (is_heavy(session) || (session.may_be_full() && is_full(socket)))
    };
    socket.connected()
        && connection(socket).is_some_and(|connection| is_crowded(&connection.session))
}

/// Disconnects receivers that had no capacity after all, because others were faster: their send buffer is full. A
/// receiver that has capacity again is not found, and has lost an event.
pub(super) fn end_losers<A: Adapter>(operators: &BroadcastOperators<A>, losses: usize) {
    let mut losses = Some(losses as u64);
    for socket in operators.clone().local().sockets() {
        let Some(connection) = connection(&socket) else {
            continue;
        };
        let session = &connection.session;
        session
            .metrics()
            .lost_events
            .add(losses.take().unwrap_or_default());
        if is_full(&socket) {
            let cause = "its send buffer is full, and it lost an event";
            session.end_slow_reader_as(Ending::SendBuffer, cause);
        }
    }
}

/// Returns true if the library's send buffer of a socket is full. The library (socketioxide 0.18.9) does not offer
/// this, but it reserves a place before it serialises, so a value that cannot be serialised finds out.
fn is_full<A: Adapter>(socket: &Socket<A>) -> bool {
    let sent = socket.emit("", &Nothing);
    matches!(
        sent,
        Err(SendError::Socket(SocketError::InternalChannelFull))
    )
}

/// A value that cannot be serialised.
struct Nothing;

impl Serialize for Nothing {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom("nothing is to be sent"))
    }
}
