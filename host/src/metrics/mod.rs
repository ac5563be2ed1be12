//! Counters of the server. The counters of single handlers are in `registry/calls`.
//!
//! All counters use relaxed atomics, because a reader of a number expects nothing about other memory, and the numbers
//! of one reading need not belong to the same moment.

mod outgoing;

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub use self::outgoing::{Outgoing, OutgoingOutcome, OutgoingRequest};

use crate::ending::{Ending, Weight};
use crate::lock::lock;

/// Largest number of lines about one [`Counter`] in the log within [`LOG_WINDOW`].
const LOG_LINES: u32 = 5;
/// Time after which the lines of a [`Counter`] are counted from zero again.
const LOG_WINDOW: Duration = Duration::from_secs(1);

/// All counters of the server.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Clients that were disconnected because they did not read what was sent to them.
    pub slow_readers: Counter,
    /// Events that a client did not receive because its send buffer was full at that moment.
    pub lost_events: Counter,
    /// Bodies and packets that exceeded the limit of their size.
    pub too_large: Counter,
    /// Connections that were closed because they sent something malformed.
    pub malformed: Counter,
    /// Connections that were closed because they kept sending far too much.
    pub floods: Counter,
    /// Connections and sessions that the server ended, by the reason.
    pub ends: Ends,
    /// Sessions that were not opened because there were too many.
    pub turned_away: Counter,
    /// Clients that were refused because they speak another protocol or use another parser.
    pub foreign_clients: Counter,
    /// Requests of pages whose origin is not allowed to open sockets.
    pub foreign_origins: Counter,
    /// Requests for a session from another address than the one that opened it.
    pub foreign_addresses: Counter,
    /// Answers to requests over HTTP.
    pub answers_http: Answers,
    /// Answers to `request` over sockets.
    pub answers_socket: Answers,
    /// Answers to requests that handlers sent to other routes.
    pub answers_dispatch: Answers,
    /// Answers that were streamed, with the end of the call still to come when their head was sent.
    pub streams: Count,
    /// Those of them that the server broke off, because their handler was replaced or the server shut down.
    pub streams_ended: Count,
    /// Events of clients that were handled without a failure.
    pub events_handled: Count,
    /// Events of clients that were refused, had no listener, or whose call failed.
    pub events_failed: Count,
    /// Connections to namespaces that were accepted.
    pub connects_accepted: Count,
    /// Connections to namespaces that were refused.
    pub connects_refused: Count,
    /// Events that handlers sent to one client.
    pub emits_to_one: Count,
    /// Events that handlers sent to rooms or to a namespace.
    pub emits_to_many: Count,
    /// Requests of handlers to other servers.
    pub outgoing: Outgoing,
}

/// A number that only grows: how many times something happened.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds one to the number.
    pub fn one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the number so far.
    pub fn total(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Numbers of ends, by the reason.
#[derive(Debug, Default)]
pub struct Ends([Counter; Ending::ALL.len()]);

impl Ends {
    /// Returns each reason with the number of ends so far.
    pub fn totals(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let totals = self.0.iter().map(Counter::total);
        Ending::ALL.into_iter().map(Ending::name).zip(totals)
    }
}

/// A client whose connection or session was ended, for the log.
#[derive(Clone, Copy)]
pub struct EndedClient<'a> {
    /// The id of its sockets; none if it had none, or had joined no namespace.
    pub socket: Option<&'a str>,
    /// The namespace, if the end was noticed in one.
    pub namespace: Option<&'a str>,
    /// The address.
    pub remote: &'a dyn fmt::Display,
}

impl Metrics {
    /// Counts an end by the server, and logs it with `cause`, the end of a sentence.
    pub fn ended(&self, ending: Ending, client: EndedClient<'_>, cause: &dyn fmt::Display) {
        if let Some(counter) = self.former_counter(ending) {
            counter.add(1);
        }
        let Some(total) = self.ends.0[ending as usize].count() else {
            return;
        };
        let EndedClient {
            socket,
            namespace,
            remote,
        } = client;
        let reason = ending.name();
        match ending.weight() {
            Weight::Misuse => {
                tracing::warn!(socket, namespace, %remote, reason, "the connection of a client was closed: {cause}; {total} such ends so far");
            }
            Weight::Network => {
                tracing::info!(socket, namespace, %remote, reason, "the connection of a client was closed: {cause}; {total} such ends so far");
            }
            Weight::Ordinary => {
                tracing::debug!(socket, namespace, %remote, reason, "the connection of a client was closed: {cause}; {total} such ends so far");
            }
        }
    }

    /// Returns the counter that a reason had before all of them were counted together.
    fn former_counter(&self, ending: Ending) -> Option<&Counter> {
        match ending {
            Ending::Flood => Some(&self.floods),
            Ending::Malformed | Ending::BadMessage | Ending::DoublePoll => Some(&self.malformed),
            slow if slow.is_slow_reader() => Some(&self.slow_readers),
            _ => None,
        }
    }
}

/// Numbers of answers, by class of status.
#[derive(Debug, Default)]
pub struct Answers([Count; CLASSES.len()]);

/// Names of the classes of status in metrics.
const CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];

impl Answers {
    /// Counts an answer with this status, 200 to 599. Any other status counts for the nearest class.
    pub fn one(&self, status: u16) {
        let class = usize::from(status / 100).clamp(2, 5) - 2;
        self.0[class].one();
    }

    /// Returns each class of status with the number of answers so far.
    pub fn totals(&self) -> impl Iterator<Item = (&'static str, u64)> {
        CLASSES.into_iter().zip(self.0.iter().map(Count::total))
    }
}

/// A number of events that clients can cause as often as they like. It limits the lines about them, so that they
/// cannot fill the log.
#[derive(Debug, Default)]
pub struct Counter {
    total: AtomicU64,
    /// Start of the current [`LOG_WINDOW`] and the events in it.
    window: Mutex<Option<(Instant, u32)>>,
}

impl Counter {
    /// Counts one event. Returns the total if a line about the event may be written to the log.
    pub fn count(&self) -> Option<u64> {
        let total = self.total.fetch_add(1, Ordering::Relaxed) + 1;
        let mut window = lock(&self.window);
        // The time is read under the lock, so that the start of the window never goes back.
        let now = Instant::now();
        let (start, events) = window.get_or_insert((now, 0));
        if now.duration_since(*start) > LOG_WINDOW {
            (*start, *events) = (now, 0);
        }
        *events += 1;
        (*events <= LOG_LINES).then_some(total)
    }

    /// Counts `many` events. None of them is to be logged.
    pub fn add(&self, many: u64) {
        self.total.fetch_add(many, Ordering::Relaxed);
    }

    /// Returns the number so far.
    pub fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }
}

/// Writes the misuse by clients that was counted, without the counters that are zero. Writes nothing if all are zero.
impl fmt::Display for Metrics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = [
            ("slow readers ended", &self.slow_readers),
            ("events lost", &self.lost_events),
            ("bodies and packets too large", &self.too_large),
            ("malformed", &self.malformed),
            ("floods ended", &self.floods),
            ("sessions turned away", &self.turned_away),
            ("foreign clients", &self.foreign_clients),
            ("foreign origins", &self.foreign_origins),
            ("foreign addresses", &self.foreign_addresses),
        ];
        let happened: Vec<_> = counted
            .iter()
            .filter(|(_, counter)| counter.total() > 0)
            .map(|(what, counter)| format!("{what} {}", counter.total()))
            .collect();
        formatter.write_str(&happened.join(", "))
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
        let misuse = metrics.to_string();
        assert_eq!(misuse, "bodies and packets too large 1, floods ended 1");
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
