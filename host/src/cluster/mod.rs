//! A node that is one of several: its connections to Redis, and what it says of them.
//!
//! A server without `[cluster]` has none of this. A node never waits for Redis to serve its own clients, except at its
//! start if the settings say so.

mod backoff;
mod counters;
mod link;
mod settings;
mod trouble;

pub use self::counters::ClusterCounters;
pub use self::settings::{ClusterSettings, Mode, Password, RedisUrl};

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use self::link::{Link, Target};

/// A node that is one of several. Its tasks end when it is dropped.
pub struct Cluster {
    /// Host and port of Redis, for people.
    place: Arc<str>,
    links: Vec<Link>,
    counters: Arc<ClusterCounters>,
    mode: Mode,
    start_timeout: Duration,
    started: Instant,
    /// True once all connections were open at the same time.
    has_been_up: AtomicBool,
}

impl Cluster {
    /// Opens the connections to Redis in the background. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The settings cannot be used. The text is the end of a sentence.
    pub fn start(settings: &ClusterSettings) -> Result<Arc<Self>, String> {
        let target = Target::of(settings).map_err(|trouble| trouble.to_string())?;
        let counters = Arc::<ClusterCounters>::default();
        let open = |purpose| Link::open(target.clone(), purpose, Arc::clone(&counters));
        Ok(Arc::new(Self {
            place: Arc::clone(&target.place),
            links: vec![open("publish")],
            counters,
            mode: settings.mode,
            start_timeout: settings.start_timeout,
            started: Instant::now(),
            has_been_up: AtomicBool::new(false),
        }))
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
