//! Counters of requests that handlers send to other servers.

use std::sync::Arc;

use super::{Count, Counter, Metrics};

/// The outcome of a request to another server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutgoingOutcome {
    /// The response was received, whatever its status is.
    Answered,
    /// The handler may not call the server, or the address is not a public one.
    Refused,
    /// A limit was reached: of requests or of bytes.
    Limited,
    /// The server, or the way to it, took too long.
    TimedOut,
    /// The name could not be resolved, the connection failed, or the response was not valid.
    Failed,
    /// The guest took no more of the response, or the call ended first.
    Abandoned,
}

impl OutgoingOutcome {
    /// All outcomes, in the order of their declaration.
    pub const ALL: [Self; 6] = [
        Self::Answered,
        Self::Refused,
        Self::Limited,
        Self::TimedOut,
        Self::Failed,
        Self::Abandoned,
    ];

    /// Returns the name of the outcome in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Refused => "refused",
            Self::Limited => "limited",
            Self::TimedOut => "timed-out",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
        }
    }
}

/// Numbers of requests to other servers, by their outcome.
#[derive(Debug, Default)]
pub struct Outgoing {
    counts: [Count; OutgoingOutcome::ALL.len()],
    /// Requests about which the log may have a line.
    pub logged: Counter,
}

impl Outgoing {
    /// Counts a request that has ended.
    pub fn ended(&self, outcome: OutgoingOutcome) {
        self.counts[outcome as usize].one();
    }

    /// Returns each outcome with the number of requests so far.
    pub fn totals(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let totals = self.counts.iter().map(Count::total);
        OutgoingOutcome::ALL
            .into_iter()
            .map(OutgoingOutcome::name)
            .zip(totals)
    }
}

/// A request that is under way. If it is dropped before its end, it counts as abandoned.
#[derive(Debug)]
pub struct OutgoingRequest {
    metrics: Arc<Metrics>,
    outcome: OutgoingOutcome,
}

impl OutgoingRequest {
    /// Begins a request.
    pub fn begin(metrics: Arc<Metrics>) -> Self {
        Self {
            metrics,
            outcome: OutgoingOutcome::Abandoned,
        }
    }

    /// Ends the request.
    pub fn end(mut self, outcome: OutgoingOutcome) {
        self.outcome = outcome;
    }
}

impl Drop for OutgoingRequest {
    fn drop(&mut self) {
        self.metrics.outgoing.ended(self.outcome);
    }
}
