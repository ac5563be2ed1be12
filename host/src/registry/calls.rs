//! The counts of the calls of one file: how many ended in which way, how long they ran, and the last failure.
//!
//! They are kept for the name of a file as long as the server runs, whatever its generation, so that a reload loses no
//! count. To count a call is three additions to atomics that only calls of this file touch.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use crate::lock::lock;
use crate::metrics::{Count, Counter};
use crate::runtime::kinds::CALLS;
use crate::runtime::kinds::kind::CallKind;

/// The way in which a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With a usable answer.
    Ok,
    /// With a failure that the guest returned, which is an answer too.
    Failure,
    /// With a trap of the guest.
    Trap,
    /// The guest asked for more memory than it may have, or than was left.
    Memory,
    /// It exceeded its deadline.
    Deadline,
    /// It exceeded its processor time.
    Cpu,
    /// The guest took more handles than it may hold.
    Handles,
    /// The guest answered something that cannot be passed on.
    BadAnswer,
    /// It was not begun, because too many calls were running and waiting.
    Overloaded,
    /// It was not begun, because all instances that could have served it were in other calls.
    Busy,
    /// By a bug of the server.
    Internal,
    /// It was dropped, because the client had gone.
    Aborted,
}

impl Ended {
    /// All of them, in the order of the enum.
    pub const ALL: [Self; 12] = [
        Self::Ok,
        Self::Failure,
        Self::Trap,
        Self::Memory,
        Self::Deadline,
        Self::Cpu,
        Self::Handles,
        Self::BadAnswer,
        Self::Overloaded,
        Self::Busy,
        Self::Internal,
        Self::Aborted,
    ];

    /// Returns its name in metrics and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failure => "failure",
            Self::Trap => "trap",
            Self::Memory => "memory",
            Self::Deadline => "deadline",
            Self::Cpu => "cpu",
            Self::Handles => "handles",
            Self::BadAnswer => "bad_answer",
            Self::Overloaded => "overloaded",
            Self::Busy => "busy",
            Self::Internal => "internal",
            Self::Aborted => "aborted",
        }
    }

    /// Returns true if the handler or the server is at fault.
    pub fn is_fault(self) -> bool {
        !matches!(self, Self::Ok | Self::Failure | Self::Busy | Self::Aborted)
    }
}

/// The upper bounds of the buckets of run times. The last bucket has none.
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
    /// Calls for which no instance became free, for the log.
    pub busy: Counter,
    times: Times,
    last_failure: Mutex<Option<LastFailure>>,
}

/// The last call of a file that went wrong.
#[derive(Clone, Debug)]
pub struct LastFailure {
    /// The time at which it ended.
    pub at: SystemTime,
    /// The thing that was called: `GET /path`, `event "say"`.
    pub what: String,
    /// The sentence of the log.
    pub sentence: String,
    /// The id of the call, as the client has it.
    pub id: String,
}

impl Calls {
    /// Counts a call that ended after running for `ran`.
    pub fn ended(&self, kind: CallKind, how: Ended, ran: Duration) {
        self.ended[position(kind)][how as usize].one();
        self.times.note(ran);
    }

    /// Counts a call that was not begun, with the reason.
    pub fn turned_away(&self, kind: CallKind, how: Ended) {
        self.ended[position(kind)][how as usize].one();
    }

    /// Keeps a failure as the last one.
    pub fn failed(&self, failure: LastFailure) {
        *lock(&self.last_failure) = Some(failure);
    }

    /// Returns the last call that went wrong.
    pub fn last_failure(&self) -> Option<LastFailure> {
        lock(&self.last_failure).clone()
    }

    /// Returns the number of calls of a kind that ended in a way.
    pub fn count(&self, kind: CallKind, how: Ended) -> u64 {
        self.ended[position(kind)][how as usize].total()
    }

    /// Returns the number of calls of all kinds that ended in a way.
    pub fn count_of_all(&self, how: Ended) -> u64 {
        CALLS.iter().map(|kind| self.count(*kind, how)).sum()
    }

    /// Returns the number of calls of a kind.
    pub fn count_of(&self, kind: CallKind) -> u64 {
        Ended::ALL.iter().map(|how| self.count(kind, *how)).sum()
    }

    /// Returns the run times of the calls that were begun.
    pub fn times(&self) -> &Times {
        &self.times
    }
}

/// Returns the position of a kind in [`CALLS`]. There are few, so the search is cheaper than a table.
fn position(kind: CallKind) -> usize {
    let position = CALLS.iter().position(|known| *known == kind);
    position.expect("every kind of call is in the list of kinds")
}

/// A histogram of run times.
#[derive(Debug, Default)]
pub struct Times {
    /// One bucket for each of [`BOUNDS`], and one for longer times.
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

    /// Returns each bucket: its upper bound in seconds, infinite for the last, and the number of calls in it and in no
    /// bucket before.
    pub fn buckets(&self) -> Vec<(f64, u64)> {
        let bounds = BOUNDS.iter().map(Duration::as_secs_f64);
        bounds
            .chain([f64::INFINITY])
            .zip(self.buckets.iter().map(Count::total))
            .collect()
    }

    /// Returns the sum of all run times.
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
        calls.turned_away(listener::EVENT, Ended::Overloaded);
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
