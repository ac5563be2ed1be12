//! A handler with what its file keeps from one generation to the next.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Semaphore;

use super::calls::Calls;
use crate::runtime::Handler;

/// A handler that is served, or waits to be.
pub struct Served {
    handler: Handler,
    /// The number of versions of the file that have been served, this one included.
    pub generation: u64,
    /// Permits for its calls; all generations of the file share them.
    pub permits: Arc<Semaphore>,
    /// The counts of its calls; all generations of the file share them.
    pub calls: Arc<Calls>,
    /// Bytes of the largest answer of each route, or [`UNKNOWN`].
    largest_answers: Box<[AtomicU64]>,
}

/// The largest answer of a route that has not answered yet.
const UNKNOWN: u64 = u64::MAX;

impl Deref for Served {
    type Target = Handler;

    fn deref(&self) -> &Handler {
        &self.handler
    }
}

impl Served {
    pub(super) fn new(
        handler: Handler,
        generation: u64,
        permits: Arc<Semaphore>,
        calls: Arc<Calls>,
    ) -> Self {
        let routes = handler.declarations.routes.iter();
        Self {
            largest_answers: routes.map(|_| AtomicU64::new(UNKNOWN)).collect(),
            handler,
            generation,
            permits,
            calls,
        }
    }

    /// Returns the bytes of the largest answer of a route so far; none if the route has not answered yet.
    pub fn largest_answer(&self, route: u32) -> Option<u64> {
        // Relaxed is enough, because the number guards no other memory.
        let largest = self.largest_answers.get(route as usize)?;
        Some(largest.load(Ordering::Relaxed)).filter(|largest| *largest != UNKNOWN)
    }

    /// Notes the bytes of an answer of a route.
    pub fn note_answer(&self, route: u32, bytes: u64) {
        let Some(largest) = self.largest_answers.get(route as usize) else {
            return;
        };
        let larger = |largest| (largest == UNKNOWN || bytes > largest).then_some(bytes);
        // An error means that a larger answer is known.
        let _ = largest.fetch_update(Ordering::Relaxed, Ordering::Relaxed, larger);
    }

    /// Returns how many of its calls that came from a door run now.
    pub fn running(&self) -> usize {
        let free = self.permits.available_permits();
        self.settings.concurrency.saturating_sub(free)
    }
}
