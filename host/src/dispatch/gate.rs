//! How many calls run, and how many wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::runtime::CallError;

/// The bounds of the gate.
#[derive(Clone, Copy, Debug)]
pub struct GateSettings {
    /// Calls at the same time, of all handlers.
    pub concurrency: usize,
    /// Calls that wait.
    pub queue: usize,
    /// How long one waits.
    pub wait: Duration,
}

/// Lets calls in while there is room, and lets a bounded number wait a bounded time. The newest is turned away.
pub(super) struct Gate {
    settings: GateSettings,
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// A place in the queue, given back when dropped.
struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Gate {
    pub(super) fn new(settings: GateSettings) -> Self {
        Self {
            settings,
            permits: Arc::new(Semaphore::new(settings.concurrency)),
            waiting: AtomicUsize::new(0),
        }
    }

    /// A permit for a call.
    pub(super) async fn enter(&self) -> Result<OwnedSemaphorePermit, CallError> {
        self.wait_for(&self.permits).await
    }

    /// A permit for a call of one handler, beside that of [`Gate::enter`].
    pub(super) async fn enter_handler(
        &self,
        permits: &Arc<Semaphore>,
    ) -> Result<OwnedSemaphorePermit, CallError> {
        self.wait_for(permits).await
    }

    /// A permit for a call that must not be left out, however long it takes.
    pub(super) async fn enter_patiently(&self) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed.
        Arc::clone(&self.permits).acquire_owned().await.ok()
    }

    async fn wait_for(&self, permits: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, CallError> {
        if let Ok(permit) = Arc::clone(permits).try_acquire_owned() {
            return Ok(permit);
        }
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _place = Place(&self.waiting);
        if before >= self.settings.queue {
            return Err(CallError::Overloaded);
        }
        match tokio::time::timeout(self.settings.wait, Arc::clone(permits).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(CallError::Overloaded),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn c11_the_newest_is_turned_away_and_the_oldest_waits_its_time() {
        let gate = Gate::new(GateSettings {
            concurrency: 1,
            queue: 1,
            wait: Duration::from_millis(1),
        });
        let first = gate.enter().await.expect("there is room");
        let (waiting, turned_away) = tokio::join!(gate.enter(), gate.enter());
        assert!(
            matches!(waiting, Err(CallError::Overloaded)),
            "it waited in vain"
        );
        assert!(
            matches!(turned_away, Err(CallError::Overloaded)),
            "the queue was full"
        );
        drop(first);
        assert!(
            gate.enter().await.is_ok(),
            "there is room again, and nobody waits"
        );
    }
}
