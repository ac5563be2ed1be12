//! The counters of a node that is one of several.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::frame::Refused;
use crate::lock::lock;
use crate::metrics::Counter;

/// Time between two lines of the log about the same.
const QUIET: Duration = Duration::from_secs(60);

/// The counters of a node that is one of several.
#[derive(Debug, Default)]
pub struct ClusterCounters {
    /// Connections to Redis that were lost.
    pub reconnects: Counter,
    /// Messages to other nodes that Redis took.
    pub published: Counter,
    /// Messages of other nodes that came.
    pub received: Counter,
    /// Messages to other nodes that were dropped, because too many waited for Redis.
    pub dropped_out: Noted,
    /// Messages of other nodes that were dropped, because too many waited for clients of this node.
    pub dropped_in: Noted,
    /// Messages to other nodes that Redis may have taken or not, because the connection was lost.
    pub uncertain: Counter,
    /// Messages of other nodes that did not come.
    pub lost: Noted,
    refused: [Noted; Refused::ALL.len()],
}

impl ClusterCounters {
    /// Counts a message that was refused, and logs it once a minute for each reason.
    pub(super) fn refuse(&self, reason: Refused, detail: &str) {
        let name = reason.name();
        if let Some(total) = self.refused[reason as usize].add(1) {
            let sentence = reason.sentence();
            tracing::warn!(
                reason = name,
                "a message of another node was refused: {sentence}{detail}; {total} such messages so far"
            );
        }
    }

    /// Returns each reason with the number of messages that were refused for it.
    pub fn refused(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let totals = self.refused.iter().map(Noted::total);
        Refused::ALL.into_iter().map(Refused::name).zip(totals)
    }
}

/// A number that is logged once a minute at most.
#[derive(Debug, Default)]
pub struct Noted {
    count: Counter,
    logged: Mutex<Option<Instant>>,
}

impl Noted {
    /// Adds to the number. Returns it if a line may be written to the log.
    pub(super) fn add(&self, many: u64) -> Option<u64> {
        if many == 0 {
            return None;
        }
        self.count.add(many);
        let mut logged = lock(&self.logged);
        let now = Instant::now();
        if logged.is_some_and(|last| now.duration_since(last) < QUIET) {
            return None;
        }
        *logged = Some(now);
        Some(self.count.total())
    }

    /// Returns the number so far.
    pub fn total(&self) -> u64 {
        self.count.total()
    }
}
