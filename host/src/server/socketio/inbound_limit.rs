//! What one connection has sent and nobody has answered yet: counted and weighed, so that no client can make the server keep more
//! than it should.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::lock::lock;

/// The load of one connection.
#[derive(Debug)]
pub(in crate::server) struct Load {
    count: AtomicUsize,
    bytes: AtomicUsize,
    most: usize,
    most_bytes: usize,
    turned_away: Mutex<Option<TurnedAway>>,
}

/// What was turned away without a pause.
#[derive(Debug)]
struct TurnedAway {
    since: Instant,
    last: Instant,
    count: usize,
}

/// How long a client may go on being turned away.
const FLOOD: Duration = Duration::from_secs(5);
/// How many times its bound may be turned away in that time.
const FLOOD_FACTOR: usize = 10;
/// A client that sends nothing too much for so long has stopped.
const PAUSE: Duration = Duration::from_secs(1);

impl Load {
    /// At most so many at a time, of so many bytes together. One is taken whatever its size.
    pub(in crate::server) fn new(most: usize, most_bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            count: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            most,
            most_bytes,
            turned_away: Mutex::default(),
        })
    }

    /// Whether one more that was turned away makes a flood: without a pause for five seconds, and ten times the bound in that time.
    pub(in crate::server) fn is_flooded(&self) -> bool {
        self.is_flooded_at(Instant::now())
    }

    fn is_flooded_at(&self, now: Instant) -> bool {
        let mut turned_away = lock(&self.turned_away);
        let fresh = TurnedAway {
            since: now,
            last: now,
            count: 0,
        };
        let mut so_far = match turned_away.take() {
            Some(before) if now.duration_since(before.last) < PAUSE => before,
            _ => fresh,
        };
        (so_far.last, so_far.count) = (now, so_far.count + 1);
        let is_over = now.duration_since(so_far.since) >= FLOOD;
        let is_flooded = is_over && so_far.count >= self.most * FLOOD_FACTOR;
        if !is_over || is_flooded {
            *turned_away = Some(so_far);
        }
        is_flooded
    }

    /// Takes one more of `bytes` bytes, if there is room.
    pub(in crate::server) fn take(self: &Arc<Self>, bytes: usize) -> Option<Waiting> {
        let count = self.count.fetch_add(1, Ordering::AcqRel);
        let before = self.bytes.fetch_add(bytes, Ordering::AcqRel);
        // Gives both back when there is none.
        let waiting = Waiting {
            load: Arc::clone(self),
            bytes,
        };
        let fits = count < self.most && (count == 0 || before + bytes <= self.most_bytes);
        fits.then_some(waiting)
    }
}

/// One that waits or runs: part of the load until it is dropped.
#[derive(Debug)]
pub(in crate::server) struct Waiting {
    load: Arc<Load>,
    bytes: usize,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.load.count.fetch_sub(1, Ordering::AcqRel);
        self.load.bytes.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s06_a_connection_is_bounded_in_number_and_bytes() {
        let load = Load::new(2, 10);
        let first = load.take(20).expect("one is taken whatever its size");
        assert!(load.take(1).is_none(), "too many bytes");
        drop(first);
        let _two = (load.take(5).unwrap(), load.take(5).unwrap());
        assert!(load.take(0).is_none(), "too many");
    }

    #[test]
    fn s06_ten_times_the_bound_for_five_seconds_is_a_flood() {
        let (load, start) = (Load::new(3, 10), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        assert!(!(0..33).any(|step| load.is_flooded_at(at(step * 150))));
        let now = at(5000);
        assert!(load.is_flooded_at(now), "thirty, and for five seconds");
        assert!(!load.is_flooded_at(at(9000)), "there was a pause");
        let mut slowly = (0..100).map(|step| at(20_000 + step * 900));
        assert!(!slowly.any(|now| load.is_flooded_at(now)), "no flood");
        let at = |ms| start + Duration::from_secs(200) + Duration::from_millis(ms);
        assert!(!(0..100).any(|_| load.is_flooded_at(at(9000))), "a burst");
    }
}
