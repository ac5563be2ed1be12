//! Places that all handlers share, of which one handler gets at most three quarters, so that it starves no other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::lock::lock;

/// A number of places. Each handler has a share of them.
pub(super) struct FairSemaphore {
    all: Arc<Semaphore>,
    /// Places that one handler gets at most.
    share: usize,
    /// The free places of the shares that are in use, by the name of the handler.
    shares: Mutex<HashMap<Arc<str>, Arc<Semaphore>>>,
}

/// A place, which is free again when this value is dropped.
pub(super) struct FairPermit {
    _of_handler: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl FairSemaphore {
    /// Makes a number of places, of which one handler gets three quarters.
    pub(super) fn new(places: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(places)),
            share: (places * 3 / 4).max(1),
            shares: Mutex::default(),
        }
    }

    /// Waits for a place. A handler that has its share waits for a place of its own first, because it must not stand in
    /// the way of others meanwhile.
    pub(super) async fn take(&self, handler: &Arc<str>) -> Option<FairPermit> {
        // The semaphores are never closed.
        let of_handler = self.share_of(handler).acquire_owned().await.ok()?;
        let of_all = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some(FairPermit {
            _of_handler: of_handler,
            _of_all: of_all,
        })
    }

    /// Returns the free places of a handler's share. Shares that nobody uses are forgotten.
    fn share_of(&self, handler: &Arc<str>) -> Arc<Semaphore> {
        let mut shares = lock(&self.shares);
        if let Some(share) = shares.get(handler) {
            return Arc::clone(share);
        }
        // Whoever has a place or waits for one has a reference.
        shares.retain(|_, share| Arc::strong_count(share) > 1);
        let share = Arc::new(Semaphore::new(self.share));
        shares.insert(Arc::clone(handler), Arc::clone(&share));
        share
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    /// Takes a place if one is free. A task of tokio may else make a number of steps only.
    fn try_take(places: &FairSemaphore, handler: &str) -> Option<FairPermit> {
        let handler = handler.into();
        let taken = tokio::task::unconstrained(places.take(&handler));
        taken.now_or_never().flatten()
    }

    #[tokio::test]
    async fn g20_one_handler_gets_three_quarters_of_the_places() {
        for (count, share) in [(64, 48), (16, 12), (4, 3), (2, 1), (1, 1)] {
            let places = FairSemaphore::new(count);
            let mut taken = Vec::new();
            while let Some(place) = try_take(&places, "busy.wasm") {
                taken.push(place);
            }
            assert_eq!(taken.len(), share);
            assert_eq!(try_take(&places, "other.wasm").is_some(), count > share);
            taken.pop();
            assert!(try_take(&places, "busy.wasm").is_some());
            drop(taken);
            assert!(try_take(&places, "other.wasm").is_some());
        }
    }

    #[tokio::test]
    async fn shares_that_nobody_uses_are_forgotten() {
        let places = FairSemaphore::new(4);
        let kept = places.take(&"kept.wasm".into()).await;
        for number in 0..100 {
            drop(places.take(&format!("{number}.wasm").into()).await);
        }
        assert!(lock(&places.shares).len() <= 2);
        drop(kept);
    }
}
