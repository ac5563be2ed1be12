//! The counters of the whole server, each named once. Those of single handlers are in `registry/calls`.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::lock::lock;

/// Lines that one counter may write to the log in each [`WINDOW`].
const LINES: u32 = 5;
/// The time in which a counter may write [`LINES`] lines.
const WINDOW: Duration = Duration::from_secs(1);

/// The counters of the server.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Clients whose connection was ended because they did not take what they were sent.
    pub slow_readers: Counter,
    /// Events that a client did not get, since its send buffer was full at that very moment.
    pub lost_events: Counter,
    /// Bodies and packets above the limit.
    pub too_large: Counter,
    /// Connections that were closed for what they sent.
    pub malformed: Counter,
    /// Connections that were ended because they went on sending far too much.
    pub floods: Counter,
    /// Sessions that were not opened, since there were too many.
    pub turned_away: Counter,
    /// Requests of pages whose origin may not open sockets.
    pub foreign_origins: Counter,
    /// Requests in the name of a session from another address than its own.
    pub foreign_addresses: Counter,
    /// Answers to requests over HTTP.
    pub answers_http: Answers,
    /// Answers to `request` over sockets.
    pub answers_socket: Answers,
    /// Answers to requests of handlers.
    pub answers_dispatch: Answers,
    /// Events that came to a good end.
    pub events_handled: Count,
    /// Events that came to a failure: refused, nobody listens, or a call failed.
    pub events_failed: Count,
    /// Connections to namespaces that were let in.
    pub connects_accepted: Count,
    /// Connections to namespaces that were refused.
    pub connects_refused: Count,
    /// Events that handlers sent to one client.
    pub emits_to_one: Count,
    /// Events that handlers sent to many: to rooms, or to a namespace.
    pub emits_to_many: Count,
}

/// A counter.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds one.
    pub fn one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the count so far.
    pub fn total(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The number of answers, by class of status.
#[derive(Debug, Default)]
pub struct Answers([Count; CLASSES.len()]);

/// Classes of status, as metrics name them.
const CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];

impl Answers {
    /// Counts an answer of this status, 200 to 599.
    pub fn one(&self, status: u16) {
        let class = usize::from(status / 100).clamp(2, 5) - 2;
        self.0[class].one();
    }

    /// Returns the counts so far, by class of status.
    pub fn totals(&self) -> impl Iterator<Item = (&'static str, u64)> {
        CLASSES.into_iter().zip(self.0.iter().map(Count::total))
    }
}

/// A counter that limits the log lines about what it counts, because clients can cause it as often as they like.
#[derive(Debug, Default)]
pub struct Counter {
    total: AtomicU64,
    lines: Mutex<Option<(Instant, u32)>>,
}

impl Counter {
    /// Adds one, and returns the total if a line may be written about it.
    pub fn count(&self) -> Option<u64> {
        let total = self.total.fetch_add(1, Ordering::Relaxed) + 1;
        let mut lines = lock(&self.lines);
        let now = Instant::now();
        let (since, written) = lines.get_or_insert((now, 0));
        if now.duration_since(*since) > WINDOW {
            (*since, *written) = (now, 0);
        }
        *written += 1;
        (*written <= LINES).then_some(total)
    }

    /// Adds `many`, without a line in the log.
    pub fn add(&self, many: u64) {
        self.total.fetch_add(many, Ordering::Relaxed);
    }

    /// Returns the count so far.
    pub fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }
}

/// Lists the misuse by clients that happened, and leaves out what did not: nothing if all was well.
impl fmt::Display for Metrics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = [
            ("slow readers ended", &self.slow_readers),
            ("events lost", &self.lost_events),
            ("bodies and packets too large", &self.too_large),
            ("malformed", &self.malformed),
            ("floods ended", &self.floods),
            ("sessions turned away", &self.turned_away),
            ("foreign origins", &self.foreign_origins),
            ("foreign addresses", &self.foreign_addresses),
        ];
        let told = counted.iter().filter(|(_, counter)| counter.total() > 0);
        let told: Vec<_> = told
            .map(|(what, counter)| format!("{what} {}", counter.total()))
            .collect();
        formatter.write_str(&told.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_happened_is_told() {
        let metrics = Metrics::default();
        assert_eq!(metrics.to_string(), "");
        metrics.floods.count();
        metrics.too_large.count();
        let told = metrics.to_string();
        assert_eq!(told, "bodies and packets too large 1, floods ended 1");
    }

    #[test]
    fn an_answer_counts_for_its_class() {
        let answers = Answers::default();
        for status in [200, 404, 499, 599, 301] {
            answers.one(status);
        }
        let totals: Vec<_> = answers.totals().map(|(_, total)| total).collect();
        assert_eq!(totals, [1, 1, 2, 1]);
    }

    #[test]
    fn g24_a_counter_counts_all_and_writes_few_lines() {
        let counter = Counter::default();
        let lines = (0..1000).filter_map(|_| counter.count()).count();
        assert_eq!(counter.total(), 1000);
        assert!((5..=10).contains(&lines), "{lines}");
    }
}
