//! One client: the engine.io session in which its connections to namespaces live, the lines over which it is reached,
//! and its end.
//!
//! The socket.io library has sessions of its own and shows nothing of them. Ours travel in the extensions of the
//! request that opened them, which the library keeps as long as its own: when that is dropped, ours is.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::MutexGuard;
use tokio::sync::mpsc::UnboundedSender;

use crate::lock::lock;
use crate::metrics::Metrics;
use crate::outbound::Outbound;
use crate::payload::Failure;

/// The time that a client has to close its connection after it was disconnected from all namespaces.
const GOODBYE: Duration = Duration::from_secs(1);
/// The time that broadcasts wait for one client that takes something, but not enough, before it is disconnected.
const PATIENCE: Duration = Duration::from_secs(1);

/// Bytes that go over a websocket at most before a session goes on over it: the head of the answer, and the answer to
/// the probe.
const UPGRADING: u64 = 1024;

/// The bounds on sessions.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The most sessions at a time.
    pub sessions: usize,
    /// Of these, such as have not joined a namespace.
    pub unclaimed: usize,
    /// Packets that may wait for one client.
    pub packets: usize,
    /// Bytes that may wait for one client.
    pub bytes: u64,
    /// The longest time that a client may take nothing of what waits for it.
    pub stall: Duration,
}

/// All sessions.
#[derive(Debug)]
pub struct Sessions {
    bounds: Bounds,
    metrics: Arc<Metrics>,
    open: AtomicUsize,
    unclaimed: AtomicUsize,
    /// Those that have, or had, a websocket.
    with_websocket: AtomicUsize,
    /// Those that were opened by polling: others cannot be reached by their id.
    by_id: Mutex<HashMap<String, Weak<Session>>>,
    /// Ids of polling sessions that are to be closed: only who knows the library can.
    closing: UnboundedSender<String>,
}

impl Sessions {
    /// None yet. The ids of polling sessions that have to be closed are sent to `closing`.
    pub fn new(
        bounds: Bounds,
        metrics: Arc<Metrics>,
        closing: UnboundedSender<String>,
    ) -> Arc<Self> {
        Arc::new(Self {
            bounds,
            metrics,
            open: AtomicUsize::new(0),
            unclaimed: AtomicUsize::new(0),
            with_websocket: AtomicUsize::new(0),
            by_id: Mutex::default(),
            closing,
        })
    }

    /// Returns the counters.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Returns the numbers of sessions that have, or had, a websocket, and of those that poll.
    pub fn by_transport(&self) -> (usize, usize) {
        let open = self.open.load(Ordering::Acquire);
        let websocket = self.with_websocket.load(Ordering::Acquire).min(open);
        (websocket, open - websocket)
    }

    /// Returns the number of sessions that have not joined a namespace.
    pub fn unclaimed(&self) -> usize {
        self.unclaimed.load(Ordering::Acquire)
    }

    /// A new session of a client at `remote`, over a websocket or by polling. 503 when there are too many.
    pub fn open(
        self: &Arc<Self>,
        remote: IpAddr,
        websocket: Option<Arc<Outbound>>,
    ) -> Result<Arc<Session>, Failure> {
        if websocket.is_some() {
            self.with_websocket.fetch_add(1, Ordering::AcqRel);
        }
        // Dropping it gives its places back: they are taken before they are looked at.
        let session = Arc::new(Session {
            remote,
            id: OnceLock::new(),
            name: OnceLock::new(),
            polls: Arc::new(Outbound::of_polls()),
            websocket: ArcSwapOption::from(websocket),
            claimed: AtomicBool::new(false),
            ending: OnceLock::new(),
            said_why: AtomicBool::new(false),
            ends_soon: AtomicBool::new(false),
            turn: tokio::sync::Mutex::default(),
            sessions: Arc::clone(self),
        });
        let open = self.open.fetch_add(1, Ordering::AcqRel);
        let unclaimed = self.unclaimed.fetch_add(1, Ordering::AcqRel);
        let (bound, name) = if open >= self.bounds.sessions {
            (self.bounds.sessions, "socket.max-sockets")
        } else if unclaimed >= self.bounds.unclaimed {
            (self.bounds.unclaimed, "socket.max-unclaimed")
        } else {
            return Ok(session);
        };
        if let Some(total) = self.metrics.turned_away.count() {
            tracing::warn!(%remote, "a session was turned away: there are {bound} ({name}); {total} so far");
        }
        Err(Failure::new(503, "too many clients are connected"))
    }

    /// Notes the id that the library gave to a polling session.
    pub fn name(&self, session: &Arc<Session>, id: &str) {
        if session.id.set(id.to_owned()).is_ok() {
            lock(&self.by_id).insert(id.to_owned(), Arc::downgrade(session));
        }
    }

    /// Returns when nothing waits any more for those who poll: they may be between two polls.
    pub async fn emptied(&self) {
        let polling: Vec<_> = lock(&self.by_id)
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

    /// The polling session of this id, unless it was ended.
    pub fn find(&self, id: &str) -> Option<Arc<Session>> {
        let session = lock(&self.by_id).get(id)?.upgrade()?;
        session.ending.get().is_none().then_some(session)
    }
}

/// The reason for which the server ended a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It did not take what it was sent.
    NotTaking,
    /// It went on sending far too much.
    Flood,
    /// It sent something far too large.
    TooLarge,
    /// A handler closed the session.
    Closed,
}

impl Ending {
    /// The reason, as socket.io names it.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotTaking => "transport error",
            Self::TooLarge => "parse error",
            Self::Flood | Self::Closed => "forced server close",
        }
    }
}

/// The session of one client.
#[derive(Debug)]
pub struct Session {
    /// The address that opened it.
    pub remote: IpAddr,
    /// The key of a polling session.
    id: OnceLock<String>,
    /// The id of its sockets.
    name: OnceLock<String>,
    polls: Arc<Outbound>,
    websocket: ArcSwapOption<Outbound>,
    claimed: AtomicBool,
    ending: OnceLock<Ending>,
    said_why: AtomicBool,
    ends_soon: AtomicBool,
    turn: tokio::sync::Mutex<()>,
    sessions: Arc<Sessions>,
}

impl Session {
    /// The line of its polls.
    pub fn polls(&self) -> &Outbound {
        &self.polls
    }

    /// Returns true if the session has a websocket.
    pub fn has_websocket(&self) -> bool {
        self.of_websocket(|line| !line.is_gone())
    }

    /// Goes on over a websocket.
    pub fn upgrade(&self, line: &Arc<Outbound>) {
        if self.websocket.swap(Some(Arc::clone(line))).is_none() {
            self.sessions.with_websocket.fetch_add(1, Ordering::AcqRel);
        }
        // It may have been ended meanwhile.
        if self.ending.get().is_some() {
            line.end();
        }
    }

    /// A client that has joined a namespace is one. `name` is the id of its sockets.
    pub fn claim(&self, name: &str) {
        // Set again for each namespace, to the same.
        let _ = self.name.set(name.to_owned());
        if !self.claimed.swap(true, Ordering::AcqRel) {
            self.sessions.unclaimed.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// The line over which it is reached now. That of an upgrade which may never be completed does not count yet.
    fn line(&self) -> Arc<Outbound> {
        let is_polling = self.id.get().is_some();
        let is_used = |line: &Arc<Outbound>| !is_polling || line.written() > UPGRADING;
        let websocket = self.websocket.load_full();
        let websocket = websocket.filter(|line| !line.is_gone() && is_used(line));
        websocket.unwrap_or_else(|| Arc::clone(&self.polls))
    }

    /// Something with so many bytes of payload is handed over for sending.
    pub fn hand(&self, bytes: usize) {
        self.line().hand(bytes);
    }

    /// It was not, after all.
    pub fn take_back(&self, bytes: usize) {
        self.line().take_back(bytes);
    }

    /// Returns true if so much waits that the library's send buffer may be full.
    pub fn may_be_full(&self) -> bool {
        self.line().may_have(self.sessions.bounds.packets / 2)
    }

    /// Returns true if so many bytes wait that packets for this client alone have to wait.
    pub fn is_heavy(&self) -> bool {
        self.line().backlog() > self.sessions.bounds.bytes
    }

    /// The same for broadcasts. What a client asked for itself does not hold them up while it takes it: up to twice as
    /// much may wait.
    pub fn is_heavy_for_others(&self) -> bool {
        let (line, most) = (self.line(), self.sessions.bounds.bytes);
        let backlog = line.backlog();
        backlog > most && (backlog > most.saturating_mul(2) || !line.is_taking())
    }

    /// The turn of who has something for this client and found no room: one waits for room, the others for the one.
    pub async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Waits a moment for something to go out. Ends the session when it has taken nothing for too long.
    pub async fn progress(&self) {
        let line = self.line();
        line.progress().await;
        if line.stopped_for() > self.sessions.bounds.stall {
            self.end_slow_reader("it took nothing within server.write-stall");
        }
    }

    /// The same for a broadcast. Ends the session when it takes nothing, or others have waited for it long enough.
    pub async fn progress_or_end(&self) {
        let line = self.line();
        if !line.is_taking() || line.delay().await > PATIENCE {
            self.end_slow_reader("too much waits for it (socket.send-buffer, socket.send-bytes)");
        }
    }

    /// Ends it because it does not take what it is sent.
    pub fn end_slow_reader(&self, how: &str) {
        if !self.end(Ending::NotTaking) {
            return;
        }
        let backlog = self.line().backlog();
        if let Some(total) = self.metrics().slow_readers.count() {
            tracing::warn!(socket = self.socket(), remote = %self.remote, "a client was disconnected that does not take what it is sent: {how}, {backlog} bytes wait; {total} so far");
        }
    }

    /// The id of its sockets, for the log.
    fn socket(&self) -> &str {
        self.name.get().map_or("", String::as_str)
    }

    /// Ends it because it goes on sending far too much.
    pub fn end_flood(&self) {
        if self.end(Ending::Flood)
            && let Some(total) = self.metrics().floods.count()
        {
            tracing::warn!(socket = self.socket(), remote = %self.remote, "a client was disconnected that went on sending more than ten times what it may; {total} so far");
        }
    }

    /// Ends it. Whether it had not been ended before.
    pub fn end(&self, why: Ending) -> bool {
        if self.ending.set(why).is_err() {
            return false;
        }
        if let Some(line) = &*self.websocket.load() {
            line.end();
        }
        if let Some(id) = self.id.get() {
            // Nobody listens once the server has closed; then there is nothing left to close.
            let _ = self.sessions.closing.send(id.clone());
        }
        true
    }

    /// Ends it when the client had time to close by itself.
    pub fn end_soon(self: &Arc<Self>) {
        if self.ends_soon.swap(true, Ordering::AcqRel) {
            return;
        }
        let session = Arc::downgrade(self);
        tokio::spawn(async move {
            tokio::time::sleep(GOODBYE).await;
            if let Some(session) = session.upgrade() {
                session.end(Ending::Closed);
            }
        });
    }

    /// Returns the reason for which the server ended the session, if it did.
    pub fn ending(&self) -> Option<Ending> {
        self.ending.get().copied()
    }

    /// Asks something of the websocket's line, if there is or was one.
    pub fn of_websocket(&self, ask: impl FnOnce(&Outbound) -> bool) -> bool {
        let websocket = self.websocket.load();
        websocket.as_ref().is_some_and(|line| ask(line))
    }

    /// Returns true for the first caller, which then logs why the session ended.
    pub fn asks_why(&self) -> bool {
        !self.said_why.swap(true, Ordering::AcqRel)
    }

    /// Returns the counters.
    pub fn metrics(&self) -> &Metrics {
        self.sessions.metrics()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.sessions.open.fetch_sub(1, Ordering::AcqRel);
        if self.websocket.load().is_some() {
            self.sessions.with_websocket.fetch_sub(1, Ordering::AcqRel);
        }
        if !*self.claimed.get_mut() {
            self.sessions.unclaimed.fetch_sub(1, Ordering::AcqRel);
        }
        if let Some(id) = self.id.get() {
            lock(&self.sessions.by_id).remove(id);
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
        };
        let (closing, closed) = unbounded_channel();
        (Sessions::new(bounds, Arc::default(), closing), closed)
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
        sessions.name(&session, "id");
        assert!(sessions.find("id").is_some());
        for _ in 0..2 {
            assert!(!session.may_be_full());
            session.hand(30);
        }
        assert!(session.may_be_full() && session.is_heavy());
        while session.ending().is_none() {
            session.progress().await;
        }
        assert_eq!(closed.recv().await.as_deref(), Some("id"));
        assert!(sessions.find("id").is_none(), "it is nobody's any more");
        assert_eq!(sessions.metrics().slow_readers.total(), 1);
    }
}
