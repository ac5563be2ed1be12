//! One client: the engine.io session that carries its connections to namespaces, its outbound traffic, and its end.
//!
//! The socket.io library has sessions of its own and gives no access to them. A [`Session`] is stored in the extensions
//! of the request that opened it. The library keeps that request as long as its own session, so both are dropped
//! together.

mod capacity;
mod ends;
mod probe;

pub use self::probe::Probe;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tokio::sync::mpsc::UnboundedSender;

use crate::ending::Ending;
use crate::lock::lock;
use crate::metrics::{EndedClient, Metrics};
use crate::outbound::{Outbound, OutboundMemory, WeakList};
use crate::payload::Failure;

/// The bounds on all sessions together and on each of them.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The most sessions at a time.
    pub sessions: usize,
    /// The most sessions at a time that have not joined a namespace.
    pub unclaimed: usize,
    /// The most packets that may wait for one client.
    pub packets: usize,
    /// The most bytes that may wait for one client.
    pub bytes: u64,
    /// The longest time that a client may take nothing of what waits for it.
    pub stall: Duration,
    /// The longest time that a client may take to join a namespace.
    pub connect: Duration,
}

/// All sessions that are open.
///
/// A bound is compared with the value that `fetch_add` returned, and each such step is atomic with any ordering.
/// `AcqRel` and `Acquire` only let readers see changes of two counters in the order in which a session made them.
#[derive(Debug)]
pub struct Sessions {
    bounds: Bounds,
    memory: Arc<OutboundMemory>,
    metrics: Arc<Metrics>,
    /// The sessions that are open.
    all: WeakList<Session>,
    /// The TCP connections that are open, with or without a session.
    connections: WeakList<Outbound>,
    open: AtomicUsize,
    unclaimed: AtomicUsize,
    /// The number of open sessions that have, or had, a websocket.
    with_websocket: AtomicUsize,
    /// Sessions that were opened by polling. Only these are looked up by their key.
    by_key: Mutex<HashMap<String, Weak<Session>>>,
    /// Receives the library's ids of polling sessions to close. Only the owner of the library's server can close them.
    closing: UnboundedSender<String>,
}

impl Sessions {
    /// Makes an empty set of sessions. The ids of polling sessions that have to be closed are sent to `closing`.
    pub fn new(
        bounds: Bounds,
        memory: Arc<OutboundMemory>,
        metrics: Arc<Metrics>,
        closing: UnboundedSender<String>,
    ) -> Arc<Self> {
        Arc::new(Self {
            bounds,
            memory,
            metrics,
            all: WeakList::default(),
            connections: WeakList::default(),
            open: AtomicUsize::new(0),
            unclaimed: AtomicUsize::new(0),
            with_websocket: AtomicUsize::new(0),
            by_key: Mutex::default(),
            closing,
        })
    }

    /// Returns the counters of the server.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Returns the memory of what waits to be sent, of all clients together.
    pub fn memory(&self) -> &OutboundMemory {
        &self.memory
    }

    /// Makes the traffic of a TCP connection that was opened.
    pub fn connect(&self) -> Arc<Outbound> {
        let outbound = Outbound::of_connection(&self.memory);
        self.connections.add(&outbound);
        outbound
    }

    /// Returns the sessions that are open.
    pub fn all(&self) -> Vec<Arc<Session>> {
        self.all.values()
    }

    /// Returns the traffic of the TCP connections that are open.
    pub fn connections(&self) -> Vec<Arc<Outbound>> {
        self.connections.values()
    }

    /// Counts and logs the end of a TCP connection that the server ended.
    pub fn connection_ended(&self, ending: Ending, remote: SocketAddr) {
        let client = EndedClient {
            socket: None,
            namespace: None,
            remote: &remote,
        };
        self.metrics.ended(ending, client, &ending.cause());
    }

    /// Returns the numbers of sessions that have, or had, a websocket, and of those that poll.
    pub fn by_transport(&self) -> (usize, usize) {
        // The two counters change one after the other, so a reader may see more websockets than sessions.
        let open = self.open.load(Ordering::Acquire);
        let websocket = self.with_websocket.load(Ordering::Acquire).min(open);
        (websocket, open - websocket)
    }

    /// Returns the number of sessions that have not joined a namespace.
    pub fn unclaimed(&self) -> usize {
        self.unclaimed.load(Ordering::Acquire)
    }

    /// Opens a session of a client at `remote`, over a websocket or by polling. Fails with 503 if too many are open.
    pub fn open(
        self: &Arc<Self>,
        remote: IpAddr,
        websocket: Option<Arc<Outbound>>,
    ) -> Result<Arc<Session>, Failure> {
        if websocket.is_some() {
            self.with_websocket.fetch_add(1, Ordering::AcqRel);
        }
        // Sessions are counted first and compared afterwards, so that two clients cannot both get the last place. A
        // session that is refused is dropped here, and `Drop` subtracts it again.
        let session = Arc::new(Session {
            remote,
            opened: Instant::now(),
            polling: OnceLock::new(),
            name: OnceLock::new(),
            probe: Probe::default(),
            has_spoken: AtomicBool::new(false),
            polls: Outbound::of_polls(&self.memory),
            websocket: ArcSwapOption::from(websocket),
            claimed: AtomicBool::new(false),
            is_unclaimed: AtomicBool::new(true),
            ending: OnceLock::new(),
            ends_soon: AtomicBool::new(false),
            shutdown_noted: AtomicBool::new(false),
            turn: tokio::sync::Mutex::default(),
            reserving: tokio::sync::Mutex::default(),
            sessions: Arc::clone(self),
        });
        let open = self.open.fetch_add(1, Ordering::AcqRel);
        let unclaimed = self.unclaimed.fetch_add(1, Ordering::AcqRel);
        let (bound, name) = if open >= self.bounds.sessions {
            (self.bounds.sessions, "socket.max-sockets")
        } else if unclaimed >= self.bounds.unclaimed {
            (self.bounds.unclaimed, "socket.max-unclaimed")
        } else {
            self.all.add(&session);
            return Ok(session);
        };
        if let Some(total) = self.metrics.turned_away.count() {
            tracing::warn!(%remote, "a session was turned away: there are {bound} ({name}); {total} so far");
        }
        Err(Failure::new(503, "too many clients are connected"))
    }

    /// Stores the id that the library gave to a polling session, and the secret key by which requests of its client
    /// name the session. Further ids are ignored.
    pub fn name(&self, session: &Arc<Session>, key: &str, library: &str) {
        let ids = PollingIds {
            key: key.to_owned(),
            library: library.to_owned(),
        };
        if session.polling.set(ids).is_ok() {
            lock(&self.by_key).insert(key.to_owned(), Arc::downgrade(session));
        }
    }

    /// Waits until nothing is left to send to polling clients, which may be between two polls.
    pub async fn emptied(&self) {
        let polling: Vec<_> = lock(&self.by_key)
            .values()
            .filter_map(Weak::upgrade)
            .collect();
        for session in polling {
            while session.ending().is_none()
                && session.websocket.load().is_none()
                && session.polls.backlog() > 0
            {
                session.polls.progress().await;
            }
        }
    }

    /// Returns the polling session of this key, unless it was ended.
    pub fn find(&self, key: &str) -> Option<Arc<Session>> {
        let session = lock(&self.by_key).get(key)?.upgrade()?;
        session.ending.get().is_none().then_some(session)
    }
}

/// The two ids of a session that was opened by polling.
#[derive(Debug)]
struct PollingIds {
    /// The secret by which the client's requests name the session.
    key: String,
    /// The id that the library has for the session, which is also the public id of its sockets.
    library: String,
}

/// The session of one client.
#[derive(Debug)]
pub struct Session {
    /// The address that opened it.
    pub remote: IpAddr,
    opened: Instant,
    /// The ids of a polling session.
    polling: OnceLock<PollingIds>,
    /// The id of its sockets.
    name: OnceLock<String>,
    /// The move of a polling session to a websocket.
    pub probe: Probe,
    /// True once the client has sent a packet of socket.io.
    has_spoken: AtomicBool,
    /// The traffic of the polls. What the server itself holds for the client is counted here for both transports.
    polls: Arc<Outbound>,
    websocket: ArcSwapOption<Outbound>,
    claimed: AtomicBool,
    /// True while the session counts among those that have not joined a namespace.
    is_unclaimed: AtomicBool,
    ending: OnceLock<Ending>,
    ends_soon: AtomicBool,
    shutdown_noted: AtomicBool,
    turn: tokio::sync::Mutex<()>,
    /// Held by the answer that is the next to get place.
    reserving: tokio::sync::Mutex<()>,
    sessions: Arc<Sessions>,
}

impl Session {
    /// Returns the traffic of the client's polls.
    pub fn polls(&self) -> &Arc<Outbound> {
        &self.polls
    }

    /// Returns true if the session has a websocket.
    pub fn has_websocket(&self) -> bool {
        self.of_websocket(|websocket| !websocket.is_closed())
    }

    /// Returns the id that the library has for a polling session; none for a session over a websocket.
    pub fn library_id(&self) -> Option<&str> {
        self.polling.get().map(|ids| ids.library.as_str())
    }

    /// Returns true if the client has sent a packet of socket.io.
    pub fn has_spoken(&self) -> bool {
        self.has_spoken.load(Ordering::Relaxed)
    }

    /// Notes that the client has sent a packet of socket.io.
    pub fn set_spoken(&self) {
        self.has_spoken.store(true, Ordering::Relaxed);
    }

    /// Moves the session to a websocket.
    pub fn upgrade(&self, websocket: &Arc<Outbound>) {
        if self.websocket.swap(Some(Arc::clone(websocket))).is_none() {
            self.sessions.with_websocket.fetch_add(1, Ordering::AcqRel);
        }
        // The session may have ended meanwhile. `end` sets `ending` and then reads `websocket`; this function sets
        // `websocket` and then reads `ending`. At least one of both ends the websocket.
        if let Some(ending) = self.ending() {
            websocket.end(ending);
        }
    }

    /// Notes that the client has joined a namespace. `name` is the id of its sockets.
    pub fn claim(&self, name: &str) {
        // Each further namespace sets the same id again.
        let _ = self.name.set(name.to_owned());
        self.claimed.store(true, Ordering::Release);
        self.leave_unclaimed();
    }

    /// Notes that the client has closed its only transport. The library may keep the session for a while.
    pub fn set_closed(&self) {
        self.leave_unclaimed();
    }

    /// Subtracts the session from those that have not joined a namespace, once, even if two namespaces are joined at
    /// the same time.
    fn leave_unclaimed(&self) {
        if self.is_unclaimed.swap(false, Ordering::AcqRel) {
            self.sessions.unclaimed.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Returns the traffic that is in use now.
    fn outbound(&self) -> Arc<Outbound> {
        let is_open = |websocket: &Arc<Outbound>| !websocket.is_closed();
        let websocket = self.websocket.load_full().filter(is_open);
        websocket.unwrap_or_else(|| Arc::clone(&self.polls))
    }

    /// Returns the reason for which the server ended the session, if it did.
    pub fn ending(&self) -> Option<Ending> {
        self.ending.get().copied()
    }

    /// Returns the answer of `ask` about the websocket, or false if there never was one.
    pub fn of_websocket(&self, ask: impl FnOnce(&Outbound) -> bool) -> bool {
        let websocket = self.websocket.load();
        websocket.as_ref().is_some_and(|outbound| ask(outbound))
    }

    /// Returns the counters of the server.
    pub fn metrics(&self) -> &Metrics {
        self.sessions.metrics()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(ending) = self.unreported_ending() {
            self.note_end(ending, None, &ending.cause());
        }
        self.sessions.open.fetch_sub(1, Ordering::AcqRel);
        // A websocket that is closed keeps its place in the session, so each one that was counted is subtracted here.
        if self.websocket.load().is_some() {
            self.sessions.with_websocket.fetch_sub(1, Ordering::AcqRel);
        }
        self.leave_unclaimed();
        if let Some(ids) = self.polling.get() {
            lock(&self.sessions.by_key).remove(&ids.key);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    pub(crate) fn sessions(most: usize) -> (Arc<Sessions>, UnboundedReceiver<String>) {
        make(most, u64::MAX)
    }

    /// Makes a set of sessions for which `memory` bytes may wait.
    pub(crate) fn sessions_within(memory: u64) -> (Arc<Sessions>, UnboundedReceiver<String>) {
        make(usize::MAX, memory)
    }

    fn make(most: usize, memory: u64) -> (Arc<Sessions>, UnboundedReceiver<String>) {
        let bounds = Bounds {
            sessions: most,
            unclaimed: 2,
            packets: 4,
            bytes: 100,
            stall: Duration::ZERO,
            connect: Duration::MAX,
        };
        let (closing, closed) = unbounded_channel();
        let memory = OutboundMemory::new(memory);
        let sessions = Sessions::new(bounds, memory, Arc::default(), closing);
        (sessions, closed)
    }

    fn open(sessions: &Arc<Sessions>) -> Result<Arc<Session>, Failure> {
        sessions.open([127, 0, 0, 1].into(), None)
    }

    #[test]
    fn s11_sessions_are_counted_and_those_without_a_namespace_too() {
        let (sessions, _closed) = sessions(3);
        let first = open(&sessions).unwrap();
        let _second = open(&sessions).unwrap();
        assert_eq!(open(&sessions).unwrap_err().code, 503, "two are unclaimed");
        first.claim("id");
        first.claim("id");
        let third = open(&sessions).unwrap();
        third.claim("other");
        assert_eq!(open(&sessions).unwrap_err().code, 503, "three are open");
        drop(third);
        assert!(open(&sessions).is_ok());
        assert_eq!(sessions.metrics().turned_away.total(), 2);
    }

    #[tokio::test]
    async fn s13_a_polling_session_that_takes_nothing_is_closed_by_its_id() {
        let (sessions, mut closed) = sessions(3);
        let session = open(&sessions).unwrap();
        sessions.name(&session, "key", "id");
        assert!(sessions.find("key").is_some() && sessions.find("id").is_none());
        for _ in 0..2 {
            assert!(!session.may_be_full());
            session.add_queued(30);
        }
        assert!(session.may_be_full() && session.is_heavy());
        while session.ending().is_none() {
            session.progress().await;
        }
        assert_eq!(closed.recv().await.as_deref(), Some("id"));
        assert!(sessions.find("key").is_none(), "it is nobody's any more");
        assert_eq!(sessions.metrics().slow_readers.total(), 1);
    }
}
