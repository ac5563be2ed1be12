//! Bounds the calls that run at the same time, and those that wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The bounds of the gate.
#[derive(Clone, Copy, Debug)]
pub struct GateSettings {
    /// Calls that may run at the same time, of all handlers.
    pub concurrency: usize,
    /// Calls that wait.
    pub queue: usize,
    /// The longest time that a call waits.
    pub wait: Duration,
}

/// Lets calls in as far as they are within bounds, and lets a bounded number wait for a bounded time. The newest is
/// turned away.
pub(super) struct Gate {
    settings: GateSettings,
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// The permits that a call holds while it runs: one of its handler, and one of the whole server.
pub(super) struct Permits {
    _own: OwnedSemaphorePermit,
    _node: OwnedSemaphorePermit,
}

/// The state of the gate.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Calls that run. Calls that handlers dispatch use the permits of their callers and are not counted.
    pub running: usize,
    /// Calls that wait.
    pub waiting: usize,
    /// Calls that may run at the same time.
    pub concurrency: usize,
}

/// The reason why a call is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TurnedAway {
    /// As many calls wait as may.
    Queue,
    /// No call of the same handler ended in the time for which a call waits.
    Handler,
    /// No call of any handler ended in that time.
    Server,
}

/// Counts a call in the queue until it is dropped.
struct QueueGuard<'a>(&'a AtomicUsize);

impl Drop for QueueGuard<'_> {
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

    pub(super) fn load(&self) -> Load {
        let concurrency = self.settings.concurrency;
        Load {
            running: concurrency.saturating_sub(self.permits.available_permits()),
            waiting: self.waiting.load(Ordering::Relaxed),
            concurrency,
        }
    }

    /// Waits for the permits for a call of one handler. The handler's own bound comes first, because a call that waits
    /// for a busy handler must not keep a permit that others could use.
    pub(super) async fn enter(&self, handler: &Arc<Semaphore>) -> Result<Permits, TurnedAway> {
        let own = self.wait_for(handler, TurnedAway::Handler).await?;
        let node = self.wait_for(&self.permits, TurnedAway::Server).await?;
        Ok(Permits {
            _own: own,
            _node: node,
        })
    }

    /// Waits for the permits for a call that must not be left out, however long it takes.
    pub(super) async fn enter_patiently(&self, handler: &Arc<Semaphore>) -> Option<Permits> {
        // The semaphores are never closed.
        let own = Arc::clone(handler).acquire_owned().await.ok()?;
        let node = Arc::clone(&self.permits).acquire_owned().await.ok()?;
        Some(Permits {
            _own: own,
            _node: node,
        })
    }

    /// Waits for a permit. The error is `late` if none became free in time.
    async fn wait_for(
        &self,
        permits: &Arc<Semaphore>,
        late: TurnedAway,
    ) -> Result<OwnedSemaphorePermit, TurnedAway> {
        if let Ok(permit) = Arc::clone(permits).try_acquire_owned() {
            return Ok(permit);
        }
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _place = QueueGuard(&self.waiting);
        if before >= self.settings.queue {
            return Err(TurnedAway::Queue);
        }
        match tokio::time::timeout(self.settings.wait, Arc::clone(permits).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(late),
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
        let handler = Arc::new(Semaphore::new(9));
        let first = gate.enter(&handler).await.expect("there is room");
        let (waiting, turned_away) = tokio::join!(gate.enter(&handler), gate.enter(&handler));
        assert!(
            matches!(waiting, Err(TurnedAway::Server)),
            "it waited in vain"
        );
        assert!(
            matches!(turned_away, Err(TurnedAway::Queue)),
            "the queue was full"
        );
        drop(first);
        assert!(
            gate.enter(&handler).await.is_ok(),
            "there is room again, and nobody waits"
        );
    }
}
