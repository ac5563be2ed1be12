//! Sees to it that a broadcast reaches everyone it is for: who has no room for it is waited for while it takes what it is sent, else
//! its connection is ended. A client that misses an event and does not know of it would be worse off.

use futures_util::future::join_all;
use serde::ser::Error;
use serde::{Serialize, Serializer};
use socketioxide::adapter::Adapter;
use socketioxide::extract::SocketRef;
use socketioxide::operators::BroadcastOperators;
use socketioxide::socket::Socket;
use socketioxide::{SendError, SocketError};

use super::connection;
use crate::session::Session;

/// Makes room for a packet of so many bytes with everyone in an audience, as far as they are connected here, and counts it.
pub(super) async fn make_capacity<A: Adapter>(operators: &BroadcastOperators<A>, bytes: usize) {
    let sockets = operators.clone().local().sockets();
    let crowded = sockets
        .iter()
        .filter(|socket| is_crowded_for_others(socket));
    join_all(crowded.map(wait_for)).await;
    for socket in &sockets {
        if let Some(connection) = connection(socket) {
            connection.session.hand(bytes);
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

/// Whether there is no room for another packet that is for this client alone. One that is not there any more has room.
pub(crate) fn is_crowded<A: Adapter>(socket: &Socket<A>) -> bool {
    is_crowded_by(socket, Session::is_heavy)
}

/// The same for a broadcast.
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

/// Ends those who had no room after all, since others were faster: their send buffer is full. One that has made room by now is not
/// found any more, and has lost an event.
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
            session.end_slow_reader("its send buffer is full, and it lost an event");
        }
    }
}

/// Whether the library has no room for another packet for a socket. It does not say; but it looks for room before it serialises.
fn is_full<A: Adapter>(socket: &Socket<A>) -> bool {
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
