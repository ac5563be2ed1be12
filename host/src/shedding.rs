//! Ends clients when what waits for all of them has used up its memory.
//!
//! Clients that do not read go before those that do, and among them those for which most waits.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use crate::ending::Ending;
use crate::outbound::Outbound;
use crate::session::{Session, Sessions};

/// Time between two sums of what the library has queued.
const SUMMING_UP: Duration = Duration::from_millis(250);

/// Time in which clients that were ended are cleared away, before others are ended.
const RELIEF: Duration = Duration::from_millis(20);

/// Ends clients whenever too much waits, for ever.
pub async fn shed(sessions: Arc<Sessions>) {
    let memory = sessions.memory();
    loop {
        // An error means that the time is over, which is a reason to look too.
        let _ = tokio::time::timeout(SUMMING_UP, memory.exceeded()).await;
        sum_up(&sessions);
        if memory.used() > memory.total() {
            relieve(&sessions);
            // What was held for the clients is not released at once.
            tokio::time::sleep(RELIEF).await;
        }
    }
}

/// Stores the sum of what the library has queued for all clients.
fn sum_up(sessions: &Sessions) {
    let all = sessions.all();
    let queued = all.iter().map(|session| session.queued()).sum();
    sessions.memory().set_queued(queued);
}

/// Ends clients until what waits for the others is within the budget.
fn relieve(sessions: &Sessions) {
    let mut clients = waiting_clients(sessions);
    clients.sort_by_key(|client| (client.is_taking, Reverse(client.bytes)));
    let mut waiting: u64 = clients.iter().map(|client| client.bytes).sum();
    for client in clients {
        if waiting <= sessions.memory().total() {
            return;
        }
        waiting -= client.bytes;
        client.end();
    }
}

/// A client for which something waits.
struct WaitingClient {
    bytes: u64,
    /// True if the client takes what it is sent.
    is_taking: bool,
    kind: Kind,
}

enum Kind {
    Session(Arc<Session>),
    /// A connection on which responses are sent.
    Connection(Arc<Outbound>),
}

/// Returns the clients for which something waits, without those that were ended.
fn waiting_clients(sessions: &Sessions) -> Vec<WaitingClient> {
    let of_session = |session: Arc<Session>| WaitingClient {
        bytes: session.queued().saturating_add(session.reserved()),
        is_taking: session.is_taking(),
        kind: Kind::Session(session),
    };
    let of_connection = |connection: Arc<Outbound>| WaitingClient {
        bytes: connection.sending(),
        is_taking: connection.is_taking(),
        kind: Kind::Connection(connection),
    };
    let connections = sessions.connections().into_iter();
    let open_connections = connections.filter(|connection| !connection.is_ended());
    let all = sessions.all().into_iter();
    all.filter(|session| session.ending().is_none())
        .map(of_session)
        .chain(open_connections.map(of_connection))
        .filter(|client| client.bytes > 0)
        .collect()
}

impl WaitingClient {
    /// Ends the client. The task of a connection logs and counts the end.
    fn end(self) {
        match self.kind {
            Kind::Session(session) => session.end_slow_reader(Ending::OutboundMemory),
            Kind::Connection(connection) => connection.end(Ending::OutboundMemory),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::tests::sessions_within;

    #[tokio::test]
    async fn i11_25_those_that_do_not_read_go_before_those_that_do_and_the_largest_first() {
        let (sessions, _closed) = sessions_within(1000);
        let open = |bytes: u64| {
            let websocket = sessions.connect();
            let opened = sessions.open([127, 0, 0, 1].into(), Some(Arc::clone(&websocket)));
            let session = opened.expect("opened");
            session.claim("id");
            let held = session.hold(bytes);
            (session, websocket, held)
        };
        let (reader, small, middle, large) = (open(900), open(100), open(200), open(300));
        for (session, websocket, _) in [&small, &middle, &large] {
            websocket.stop();
            while session.is_taking() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        relieve(&sessions);
        let endings = [&reader, &small, &middle, &large].map(|(session, ..)| session.ending());
        let ended = Some(Ending::OutboundMemory);
        assert_eq!(endings, [None, None, ended, ended]);
    }
}
