//! One client: the engine.io session that carries its connections to namespaces, its outbound traffic, and its end.
//!
//! The socket.io library has sessions of its own and gives no access to them. A [`Session`] is stored in the extensions
//! of the request that opened it. The library keeps that request as long as its own session, so both are dropped
//! together.

use std::collections::HashMap;
use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tokio::sync::MutexGuard;
use tokio::sync::mpsc::UnboundedSender;

use crate::ending::Ending;
use crate::lock::lock;
use crate::metrics::{EndedClient, Metrics};
use crate::outbound::{Held, Outbound, OutboundMemory, WeakList};
use crate::payload::Failure;
use crate::probe::Probe;

/// The time that a client has to close its connection after it was disconnected from all namespaces.
const CLOSE_GRACE: Duration = Duration::from_secs(1);
/// The time that broadcasts wait for one client that takes something, but not enough, before it is disconnected.
const MAX_BROADCAST_DELAY: Duration = Duration::from_secs(1);

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
    /// True once the client has asked to join a namespace.
    has_spoken: AtomicBool,
    /// The traffic of the polls. What the server itself holds for the client is counted here for both transports.
    polls: Arc<Outbound>,
    websocket: ArcSwapOption<Outbound>,
    claimed: AtomicBool,
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

    /// Returns true if the client has asked to join a namespace.
    pub fn has_spoken(&self) -> bool {
        self.has_spoken.load(Ordering::Relaxed)
    }

    /// Notes that the client has asked to join a namespace.
    pub fn set_spoken(&self) {
        self.has_spoken.store(true, Ordering::Relaxed);
    }

    /// Ends the session of a client that does not speak socket.io's protocol. `what` it began with completes the
    /// sentence in the log.
    pub fn end_as_foreign(&self, what: &str) {
        let cause = format_args!("it began with {what}; {}", Ending::Foreign.cause());
        if self.note_end(Ending::Foreign, None, &cause) {
            self.metrics().foreign_clients.add(1);
        }
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
        // The swap subtracts a session once, even if two namespaces are joined at the same time.
        if !self.claimed.swap(true, Ordering::AcqRel) {
            self.sessions.unclaimed.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Returns the traffic that is in use now.
    fn outbound(&self) -> Arc<Outbound> {
        let is_open = |websocket: &Arc<Outbound>| !websocket.is_closed();
        let websocket = self.websocket.load_full().filter(is_open);
        websocket.unwrap_or_else(|| Arc::clone(&self.polls))
    }

    /// Counts a packet with `bytes` of payload that is handed over for sending.
    pub fn add_queued(&self, bytes: usize) {
        self.outbound().add_queued(bytes);
    }

    /// Undoes [`Session::add_queued`] for a packet that could not be handed over.
    pub fn remove_queued(&self, bytes: usize) {
        self.outbound().remove_queued(bytes);
    }

    /// Returns true if so much waits that the library's send buffer may be full.
    pub fn may_be_full(&self) -> bool {
        self.outbound().may_have(self.sessions.bounds.packets / 2)
    }

    /// Returns true if so many bytes wait that packets for this client alone have to wait.
    pub fn is_heavy(&self) -> bool {
        self.outbound().waiting() > self.sessions.bounds.bytes
    }

    /// Returns the most bytes that may wait for the client.
    pub fn most_bytes(&self) -> u64 {
        self.sessions.bounds.bytes
    }

    /// Counts an answer of `bytes` bytes that is in memory, and is not handed over yet.
    pub fn hold(&self, bytes: u64) -> Held {
        Held::reserved(&self.polls, bytes)
    }

    /// Waits until an answer of `bytes` bytes has place among what waits for the client, and counts it from then on.
    /// Answers get place one after the other. Returns none if the session was ended, or once `has_gone` returns true.
    pub async fn reserve(&self, bytes: u64, has_gone: impl Fn() -> bool) -> Option<Held> {
        let _reserving = self.reserving.lock().await;
        while !self.has_place(bytes) {
            if self.ending().is_some() || has_gone() {
                return None;
            }
            self.progress().await;
        }
        Some(self.hold(bytes))
    }

    /// Returns true if an answer of `bytes` bytes has place. An answer that is larger than the bound has place alone.
    fn has_place(&self, bytes: u64) -> bool {
        let (reserved, most) = (self.polls.reserved(), self.sessions.bounds.bytes);
        let waiting = self.outbound().waiting();
        let fits = reserved.saturating_add(waiting).saturating_add(bytes) <= most;
        fits || (reserved == 0 && waiting <= most)
    }

    /// Returns the bytes of answers that are being made, or that wait for capacity.
    pub fn reserved(&self) -> u64 {
        self.polls.reserved()
    }

    /// Returns the bytes that the library has queued, estimated. While the client takes everything, nothing waits for
    /// longer than a moment, and the estimate would be worse than zero.
    pub fn queued(&self) -> u64 {
        let outbound = self.outbound();
        if outbound.stopped_for().is_zero() {
            return 0;
        }
        outbound.backlog()
    }

    /// Returns true if the client takes what it is sent, or did a moment ago.
    pub fn is_taking(&self) -> bool {
        self.outbound().is_taking()
    }

    /// Returns true if so many bytes wait that broadcasts have to wait. While the client takes what it is sent, twice
    /// the bound may wait, so that what the client itself asked for does not hold up broadcasts.
    pub fn is_heavy_for_others(&self) -> bool {
        let outbound = self.outbound();
        let most = self.sessions.bounds.bytes;
        let backlog = outbound.waiting();
        backlog > most && (backlog > most.saturating_mul(2) || !outbound.is_taking())
    }

    /// Waits until no other sender is blocked on this client. Senders that found no capacity proceed one after the
    /// other.
    pub async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Waits a moment for something to leave. Ends the session if the client has taken nothing for too long.
    pub async fn progress(&self) {
        let outbound = self.outbound();
        outbound.progress().await;
        if outbound.stopped_for() > self.sessions.bounds.stall {
            self.end_slow_reader(Ending::WriteStall);
        }
    }

    /// Waits a moment on behalf of a broadcast. Ends the session if the client takes nothing, or if broadcasts have
    /// waited for it for a second in total.
    pub async fn progress_or_end(&self) {
        let outbound = self.outbound();
        if !outbound.is_taking() || outbound.delay().await > MAX_BROADCAST_DELAY {
            self.end_slow_reader(Ending::SendBuffer);
        }
    }

    /// Ends the session because the client does not take what it is sent.
    pub fn end_slow_reader(&self, why: Ending) {
        self.end_slow_reader_as(why, why.cause());
    }

    /// Ends the session because the client does not take what it is sent. `cause` completes the sentence in the log.
    pub fn end_slow_reader_as(&self, why: Ending, cause: &str) {
        let waiting = self.outbound().waiting().saturating_add(self.reserved());
        let cause = format_args!("{cause}; {waiting} bytes wait for it");
        self.end_with(why, &cause);
    }

    /// Ends the session. Does nothing if it was ended before.
    pub fn end(&self, why: Ending) {
        self.end_with(why, &why.cause());
    }

    fn end_with(&self, why: Ending, cause: &dyn Display) {
        if !self.note_end(why, None, cause) {
            return;
        }
        if let Some(websocket) = &*self.websocket.load() {
            websocket.end(why);
        }
        if let Some(ids) = self.polling.get() {
            // The receiver is dropped once the server has closed. No session is left to close then.
            let _ = self.sessions.closing.send(ids.library.clone());
        }
    }

    /// Counts and logs an end that the library brought about, and its cause. Returns false if an end was noted before.
    pub fn note_end(&self, why: Ending, namespace: Option<&str>, cause: &dyn Display) -> bool {
        if self.ending.set(why).is_err() {
            return false;
        }
        // A handler disconnects connections, and each of these is counted by itself. A shutdown is noted first.
        let is_counted = match why {
            Ending::Closed => true,
            Ending::Shutdown => self.shutdown_noted.swap(true, Ordering::Relaxed),
            _ => false,
        };
        if !is_counted {
            self.metrics()
                .ended(why, self.ended_client(namespace), cause);
        }
        true
    }

    /// Ends the session after a second, in which the client may close it by itself.
    pub fn end_soon(self: &Arc<Self>) {
        if self.ends_soon.swap(true, Ordering::AcqRel) {
            return;
        }
        let session = Arc::downgrade(self);
        tokio::spawn(async move {
            tokio::time::sleep(CLOSE_GRACE).await;
            if let Some(session) = session.upgrade() {
                session.end(Ending::Closed);
            }
        });
    }

    /// Returns the reason for which the server ended the session, if it did.
    pub fn ending(&self) -> Option<Ending> {
        self.ending.get().copied()
    }

    /// Returns the reason for which the server ended the websocket, if it did.
    pub fn websocket_ending(&self) -> Option<Ending> {
        let websocket = self.websocket.load();
        websocket.as_ref().and_then(|websocket| websocket.ending())
    }

    /// Counts and logs that the server shuts down, once for all connections of the session. The session goes on until
    /// the client has got its last packets.
    pub fn note_shutdown(&self) {
        if self.ending().is_some() || self.shutdown_noted.swap(true, Ordering::Relaxed) {
            return;
        }
        let client = self.ended_client(None);
        self.metrics()
            .ended(Ending::Shutdown, client, &Ending::Shutdown.cause());
    }

    /// Counts and logs that a handler disconnected a socket from a namespace.
    pub fn note_dismissal(&self, socket: &str, namespace: &str) {
        let client = EndedClient {
            socket: Some(socket),
            namespace: Some(namespace),
            remote: &self.remote,
        };
        self.metrics()
            .ended(Ending::Closed, client, &Ending::Closed.cause());
    }

    fn ended_client<'a>(&'a self, namespace: Option<&'a str>) -> EndedClient<'a> {
        EndedClient {
            socket: self.name.get().map(String::as_str),
            namespace,
            remote: &self.remote,
        }
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

impl Session {
    /// Returns the reason for which the library ended the session, if it did before the client joined a namespace. It
    /// reports no such end.
    fn unreported_ending(&self) -> Option<Ending> {
        let ended = self.websocket_ending();
        let is_cut_off = self.of_websocket(Outbound::is_cut_off);
        let is_late = self.opened.elapsed() >= self.sessions.bounds.connect;
        let has_joined = self.claimed.load(Ordering::Acquire);
        let late = || (!has_joined && is_late && !is_cut_off).then_some(Ending::ConnectTimeout);
        ended.or_else(late)
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
        if !*self.claimed.get_mut() {
            self.sessions.unclaimed.fetch_sub(1, Ordering::AcqRel);
        }
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
        let bounds = Bounds {
            sessions: most,
            unclaimed: 2,
            packets: 4,
            bytes: 100,
            stall: Duration::ZERO,
            connect: Duration::MAX,
        };
        let (closing, closed) = unbounded_channel();
        let memory = OutboundMemory::new(u64::MAX);
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
