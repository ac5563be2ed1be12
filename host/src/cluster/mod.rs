//! A node that is one of several: what it says to the others through Redis, and what they say to it.
//!
//! A server without `[cluster]` has none of this. A node never waits for Redis to serve its own clients, except at its
//! start if the settings say so. What goes from node to node arrives at most once, and from one node in its order.

mod backoff;
mod counters;
mod frame;
mod inbox;
mod link;
mod members;
mod message;
mod outbox;
mod queue;
mod settings;
mod trouble;

pub use self::counters::{ClusterCounters, Noted};
pub use self::inbox::Receiver;
pub use self::message::{Attachment, Emit, EmitRef};
pub use self::settings::{ClusterSettings, Mode, Password, RedisUrl};

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::frame::{Origin, Seal};
use self::inbox::Inbox;
use self::link::{Link, LinkState, Purpose, Target, session};
use self::members::Members;
use self::message::Sent;
use self::outbox::Outbox;

/// The time between two signs of life.
const BEAT: Duration = Duration::from_secs(1);
/// Bytes of a message besides its payload: the names of the most rooms that an audience may have, and the rest.
const BESIDES_PAYLOAD: usize = (4 << 20) + (64 << 10);

/// A node that is one of several. Its tasks end when it is dropped.
pub struct Cluster {
    /// Host and port of Redis, for people.
    place: Arc<str>,
    links: [Link; 2],
    outbox: Arc<Outbox>,
    members: Arc<Members>,
    counters: Arc<ClusterCounters>,
    mode: Mode,
    start_timeout: Duration,
    started: Instant,
    /// True once all connections were open at the same time.
    has_been_up: AtomicBool,
    /// The tasks that publish and that give signs of life.
    _tasks: JoinSet<()>,
}

/// An event on its way to the other nodes.
pub struct Outgoing(Vec<u8>);

impl Cluster {
    /// Opens the connections to Redis in the background. What other nodes say to clients goes to `receiver`. Must be
    /// called within a tokio runtime.
    ///
    /// # Errors
    /// The settings cannot be used. The text is the end of a sentence.
    pub fn start(
        settings: &ClusterSettings,
        receiver: Arc<dyn Receiver>,
    ) -> Result<Arc<Self>, String> {
        let target = Target::of(settings).map_err(|trouble| trouble.to_string())?;
        let origin = Origin::random().map_err(|error| error.to_string())?;
        let (counters, members) = (Arc::default(), Arc::default());
        let (seal, largest) = (seal(settings), settings.largest + BESIDES_PAYLOAD);
        let channel = format!("{}:all", settings.prefix);
        let inbox = Inbox::new(
            origin,
            largest,
            seal.clone(),
            receiver,
            Arc::clone(&members),
            Arc::clone(&counters),
        );
        let subscribe = Purpose::Subscribe {
            channel: channel.clone(),
            take: Arc::new(move |bytes| inbox.take(bytes)),
        };
        let publisher = Link::open(&target, Purpose::Publish, &counters);
        let outbox = Arc::new(Outbox::new(origin, Arc::clone(&counters)));
        let mut tasks = JoinSet::new();
        let (publishing, link) = (Arc::clone(&outbox), publisher.state.clone());
        tasks.spawn(async move { publishing.publish(link, &seal, &channel).await });
        let beating = (Arc::clone(&outbox), publisher.state.clone());
        tasks.spawn(beat(beating.0, beating.1, settings.name.clone()));
        Ok(Arc::new(Self {
            place: Arc::clone(&target.place),
            links: [publisher, Link::open(&target, subscribe, &counters)],
            outbox,
            members,
            counters,
            mode: settings.mode,
            start_timeout: settings.start_timeout,
            started: Instant::now(),
            has_been_up: AtomicBool::new(false),
            _tasks: tasks,
        }))
    }

    /// Makes an event for the clients of other nodes ready to be sent.
    pub fn prepare(&self, emit: EmitRef<'_>) -> Outgoing {
        Outgoing(self.outbox.frame(&Sent::Emit(emit)))
    }

    /// Sends an event to the clients of other nodes, without waiting for anything.
    pub fn send(&self, event: Outgoing) {
        self.outbox.push(event.0);
    }

    /// Waits for 10 ms at most if Redis answers and much waits for it, so that a loop of events is not faster.
    pub async fn place_for_more(&self) {
        self.outbox.place().await;
    }

    /// Tells the other nodes that this one ends. Returns when Redis was told.
    pub async fn leave(&self) {
        if self.links.iter().all(Link::is_up) {
            let number = self.outbox.push(self.outbox.frame(&Sent::Bye));
            self.outbox.handed_over(number).await;
        }
    }

    /// Returns the names of the other nodes that are there.
    pub fn others(&self) -> Vec<String> {
        self.members.present(Instant::now())
    }

    /// Returns host and port of Redis.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Returns the counters.
    pub fn counters(&self) -> &ClusterCounters {
        &self.counters
    }

    /// Returns each connection to Redis by its purpose, and whether it is open.
    pub fn links(&self) -> impl Iterator<Item = (&'static str, bool)> {
        self.links.iter().map(|link| (link.purpose, link.is_up()))
    }

    /// Returns true if nothing is to be answered yet, because Redis is required and has not been reached.
    pub fn is_awaited(&self) -> bool {
        self.mode == Mode::Required && !self.has_been_reached()
    }

    /// Returns true once all connections were open at the same time.
    fn has_been_reached(&self) -> bool {
        // Relaxed is enough because nothing else is read by it.
        let has_been_up = self.has_been_up.load(Ordering::Relaxed);
        if !has_been_up && self.links.iter().all(Link::is_up) {
            self.has_been_up.store(true, Ordering::Relaxed);
            return true;
        }
        has_been_up
    }

    /// Returns when something may be answered: see [`Cluster::is_awaited`].
    pub async fn reached(&self) {
        while self.is_awaited() {
            join_all(self.links.iter().map(Link::up)).await;
        }
    }

    /// Returns the sentence with which the server ends, when Redis is required and was not reached in time. Otherwise
    /// it does not return.
    pub async fn failed(&self) -> String {
        let deadline = (self.started + self.start_timeout).into();
        let reached = tokio::time::timeout_at(deadline, self.reached()).await;
        if reached.is_ok() {
            return std::future::pending().await;
        }
        let (place, timeout) = (&self.place, self.start_timeout);
        let cause = self.cause();
        format!(
            "Redis at {place} (cluster.redis) was not reached within {timeout:?} (cluster.start-timeout){cause}; start Redis, or set cluster.mode = \"optional\" to serve without it"
        )
    }

    /// Returns what an operator has to solve, as a sentence.
    pub fn problem(&self) -> Option<String> {
        let troubles = self.links.iter().filter_map(Link::trouble);
        let (since, _) = troubles.min_by_key(|(since, _)| *since)?;
        let (place, seconds, cause) = (&self.place, since.elapsed().as_secs(), self.cause());
        let effect = if self.is_awaited() {
            "nothing is answered until it is"
        } else {
            "this node serves its own clients only"
        };
        Some(format!(
            "Redis at {place} (cluster.redis) is not reached since {seconds} s{cause}; {effect}"
        ))
    }

    /// Returns why a connection is not open, as the continuation of a sentence.
    fn cause(&self) -> String {
        let mut troubles = self.links.iter().filter_map(Link::trouble);
        let trouble = troubles.find_map(|(_, trouble)| trouble);
        trouble.map_or_else(String::new, |trouble| format!(": {trouble}"))
    }
}

/// Makes the key with which nodes sign what they say.
fn seal(settings: &ClusterSettings) -> Seal {
    let secret = settings.secret.as_ref().or(settings.password.as_ref());
    if secret.is_none() {
        tracing::warn!(
            "whoever reaches Redis can say to this node what other nodes say: there is neither cluster.secret nor cluster.password"
        );
    }
    Seal::new(&settings.prefix, secret.map_or("", Password::text))
}

/// Gives a sign of life every second while there is a connection.
async fn beat(outbox: Arc<Outbox>, mut link: watch::Receiver<LinkState>, name: String) {
    while session(&mut link).await.is_some() {
        outbox.push(outbox.frame(&Sent::Beat { name: &name }));
        tokio::time::sleep(BEAT).await;
    }
}
