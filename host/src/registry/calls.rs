//! What the calls of one file came to: how many ended how, how long they ran, and what went wrong last.
//!
//! Kept for a file's name as long as the server runs, whatever its generation, so that a reload loses no count. Counting a call is
//! three additions to atomics that only this file's calls touch.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use crate::lock::lock;
use crate::metrics::Count;
use crate::runtime::kinds::CALLS;
use crate::runtime::kinds::kind::CallKind;

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With something usable.
    Ok,
    /// With a failure that the guest returned: an answer, too.
    Failure,
    /// With a trap.
    Trap,
    /// It asked for more memory than it may have, or than was left.
    Memory,
    /// It took too long.
    Deadline,
    /// It computed too long.
    Cpu,
    /// It answered something that cannot be passed on.
    BadAnswer,
    /// It was not begun: too many were running and waiting.
    Overloaded,
    /// By a bug of ours.
    Internal,
    /// It was dropped, since whoever asked had gone.
    Aborted,
}

impl Ended {
    /// All of them, in the order of the enum.
    pub const ALL: [Self; 10] = [
        Self::Ok,
        Self::Failure,
        Self::Trap,
        Self::Memory,
        Self::Deadline,
        Self::Cpu,
        Self::BadAnswer,
        Self::Overloaded,
        Self::Internal,
        Self::Aborted,
    ];

    /// Its name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failure => "failure",
            Self::Trap => "trap",
            Self::Memory => "memory",
            Self::Deadline => "deadline",
            Self::Cpu => "cpu",
            Self::BadAnswer => "bad_answer",
            Self::Overloaded => "overloaded",
            Self::Internal => "internal",
            Self::Aborted => "aborted",
        }
    }

    /// Whether the handler, or the server, is at fault.
    pub fn is_fault(self) -> bool {
        !matches!(self, Self::Ok | Self::Failure | Self::Aborted)
    }
}

/// Upper bounds of the buckets of run times. The last bucket has none.
const BOUNDS: [Duration; 16] = [
    Duration::from_micros(100),
    Duration::from_micros(250),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2500),
    Duration::from_secs(5),
    Duration::from_secs(10),
];

/// The counts of one file.
#[derive(Debug, Default)]
pub struct Calls {
    /// In the order of [`CALLS`].
    ended: [[Count; Ended::ALL.len()]; CALLS.len()],
    times: Times,
    last_failure: Mutex<Option<LastFailure>>,
}

/// What went wrong last.
#[derive(Clone, Debug)]
pub struct LastFailure {
    /// When.
    pub at: SystemTime,
    /// What was called: `GET /path`, `event "say"`.
    pub what: String,
    /// The sentence of the log.
    pub sentence: String,
    /// The id of the call, as the client has it.
    pub id: String,
}

impl Calls {
    /// Counts a call that ended after it ran so long.
    pub fn ended(&self, kind: CallKind, how: Ended, ran: Duration) {
        self.ended[position(kind)][how as usize].one();
        self.times.note(ran);
    }

    /// Counts one that was not begun.
    pub fn turned_away(&self, kind: CallKind) {
        self.ended[position(kind)][Ended::Overloaded as usize].one();
    }

    /// Remembers what went wrong.
    pub fn failed(&self, failure: LastFailure) {
        *lock(&self.last_failure) = Some(failure);
    }

    /// What went wrong last.
    pub fn last_failure(&self) -> Option<LastFailure> {
        lock(&self.last_failure).clone()
    }

    /// How many calls of a kind ended in a way.
    pub fn count(&self, kind: CallKind, how: Ended) -> u64 {
        self.ended[position(kind)][how as usize].total()
    }

    /// How many calls of all kinds ended in a way.
    pub fn count_of_all(&self, how: Ended) -> u64 {
        CALLS.iter().map(|kind| self.count(*kind, how)).sum()
    }

    /// How many calls of a kind there were.
    pub fn count_of(&self, kind: CallKind) -> u64 {
        Ended::ALL.iter().map(|how| self.count(kind, *how)).sum()
    }

    /// How long those ran that were begun.
    pub fn times(&self) -> &Times {
        &self.times
    }
}

/// Returns the position of a kind in [`CALLS`]. There are few, so the search is cheaper than a table.
fn position(kind: CallKind) -> usize {
    let position = CALLS.iter().position(|known| *known == kind);
    position.expect("every kind of call is in the list of kinds")
}

/// How long calls ran: a histogram.
#[derive(Debug, Default)]
pub struct Times {
    /// One for each of [`BOUNDS`], and one for what is longer.
    buckets: [Count; BOUNDS.len() + 1],
    nanos: AtomicU64,
}

impl Times {
    fn note(&self, ran: Duration) {
        let bucket = BOUNDS.partition_point(|bound| *bound < ran);
        self.buckets[bucket].one();
        let nanos = u64::try_from(ran.as_nanos()).unwrap_or(u64::MAX);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// Each bucket with its upper bound in seconds, infinite for the last, and how many are in it and in none before.
    pub fn buckets(&self) -> Vec<(f64, u64)> {
        let bounds = BOUNDS.iter().map(Duration::as_secs_f64);
        bounds
            .chain([f64::INFINITY])
            .zip(self.buckets.iter().map(Count::total))
            .collect()
    }

    /// All of them together.
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.nanos.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::kinds::{listener, route};

    #[test]
    fn each_kind_and_each_end_has_its_own_place() {
        for (place, kind) in CALLS.iter().enumerate() {
            assert_eq!(position(*kind), place, "{kind:?}");
        }
        for (place, ended) in Ended::ALL.into_iter().enumerate() {
            assert_eq!(ended as usize, place, "{ended:?}");
        }
    }

    #[test]
    fn a_time_falls_into_the_first_bucket_that_is_not_below_it() {
        let calls = Calls::default();
        for micros in [0, 100, 101, 10_000_000, 60_000_000] {
            calls.ended(route::REQUEST, Ended::Ok, Duration::from_micros(micros));
        }
        calls.turned_away(listener::EVENT);
        let buckets = calls.times().buckets();
        assert_eq!(buckets[0], (0.0001, 2));
        assert_eq!(buckets[1], (0.00025, 1));
        assert_eq!(buckets[15], (10.0, 1));
        assert_eq!(buckets[16], (f64::INFINITY, 1));
        assert_eq!(calls.times().sum(), Duration::from_micros(70_000_201));
        assert_eq!(calls.count_of(route::REQUEST), 5);
        assert_eq!(calls.count_of_all(Ended::Overloaded), 1);
    }
}
