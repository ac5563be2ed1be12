//! Limits the events, or requests, of one connection that wait for an answer, by number and by bytes.
//!
//! A client that goes on sending far above the limit is a flood, which ends its session.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::lock::lock;

/// The unanswered events of one connection, and their limits.
#[derive(Debug)]
pub(super) struct InboundLimit {
    count: AtomicUsize,
    bytes: AtomicUsize,
    max_count: usize,
    max_bytes: usize,
    refusals: Mutex<Option<Refusals>>,
}

/// A series of refused events without a pause.
#[derive(Debug)]
struct Refusals {
    first: Instant,
    last: Instant,
    count: usize,
}

/// Duration after which a series of refusals may be a flood.
const FLOOD: Duration = Duration::from_secs(5);
/// Number of refusals that make a flood, as a multiple of the largest count.
const FLOOD_FACTOR: usize = 10;
/// Time without a refusal after which a series of refusals is over.
const PAUSE: Duration = Duration::from_secs(1);

impl InboundLimit {
    /// Creates a limit of `max_count` events and `max_bytes` bytes. A single event may have any size.
    pub(super) fn new(max_count: usize, max_bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            count: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            max_count,
            max_bytes,
            refusals: Mutex::default(),
        })
    }

    /// Counts a refusal. Returns true if the refusals make a flood: at least ten times the largest count, over at least
    /// five seconds, without a pause of a second.
    pub(super) fn is_flooded(&self) -> bool {
        self.is_flooded_at(Instant::now())
    }

    fn is_flooded_at(&self, now: Instant) -> bool {
        let mut refusals = lock(&self.refusals);
        let mut series = match refusals.take() {
            Some(series) if now.duration_since(series.last) < PAUSE => series,
            _ => Refusals {
                first: now,
                last: now,
                count: 0,
            },
        };
        series.last = now;
        series.count += 1;
        let is_long = now.duration_since(series.first) >= FLOOD;
        let is_flooded = is_long && series.count >= self.max_count * FLOOD_FACTOR;
        // A long series that is not a flood is forgotten, so that the next five seconds are measured afresh.
        if !is_long || is_flooded {
            *refusals = Some(series);
        }
        is_flooded
    }

    /// Counts one more event of `bytes` bytes; none if a limit is reached.
    pub(super) fn acquire(self: &Arc<Self>, bytes: usize) -> Option<InboundPermit> {
        // Adds before it compares, so that two callers at the same time cannot both take the last place. Other
        // memory is not guarded by these counters.
        let count = self.count.fetch_add(1, Ordering::AcqRel);
        let before = self.bytes.fetch_add(bytes, Ordering::AcqRel);
        // Subtracts both again if the event does not fit, because the permit is dropped then.
        let permit = InboundPermit {
            limit: Arc::clone(self),
            bytes,
        };
        let fits = count < self.max_count && (count == 0 || before + bytes <= self.max_bytes);
        fits.then_some(permit)
    }
}

/// An event that waits or runs. It counts against the limit until this is dropped.
#[derive(Debug)]
pub(in crate::server) struct InboundPermit {
    limit: Arc<InboundLimit>,
    bytes: usize,
}

impl Drop for InboundPermit {
    fn drop(&mut self) {
        self.limit.count.fetch_sub(1, Ordering::AcqRel);
        self.limit.bytes.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s06_a_connection_is_bounded_in_number_and_bytes() {
        let limit = InboundLimit::new(2, 10);
        let first = limit.acquire(20).expect("one is taken whatever its size");
        assert!(limit.acquire(1).is_none(), "too many bytes");
        drop(first);
        let _two = (limit.acquire(5).unwrap(), limit.acquire(5).unwrap());
        assert!(limit.acquire(0).is_none(), "too many");
    }

    #[test]
    fn s06_ten_times_the_bound_for_five_seconds_is_a_flood() {
        let (limit, start) = (InboundLimit::new(3, 10), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        assert!(!(0..33).any(|step| limit.is_flooded_at(at(step * 150))));
        let now = at(5000);
        assert!(limit.is_flooded_at(now), "thirty, and for five seconds");
        assert!(!limit.is_flooded_at(at(9000)), "there was a pause");
        let mut slowly = (0..100).map(|step| at(20_000 + step * 900));
        assert!(!slowly.any(|now| limit.is_flooded_at(now)), "no flood");
        let at = |ms| start + Duration::from_secs(200) + Duration::from_millis(ms);
        assert!(!(0..100).any(|_| limit.is_flooded_at(at(9000))), "a burst");
    }
}
