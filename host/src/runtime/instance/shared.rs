//! The strategy of shared instances: a pool for the calls of all clients, one call at a time in each instance.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Semaphore;

use super::counts::Counted;
use super::lease::{Home, Lease};
use super::pool::InstancePool;
use super::state::Call;
use super::store::Instance;
use crate::runtime::error::CallError;
use crate::runtime::settings::Life;

/// Keeps a pool of instances.
pub(in crate::runtime) struct SharedPool {
    home: Arc<PoolHome>,
    /// One permit for each instance that may be in a call.
    permits: Arc<Semaphore>,
    /// The number of permits.
    size: usize,
}

struct PoolHome(Arc<InstancePool>);

impl SharedPool {
    /// Makes a pool of at most `size` instances.
    pub(super) fn new(pool: Arc<InstancePool>, size: usize) -> Self {
        Self {
            home: Arc::new(PoolHome(pool)),
            permits: Arc::new(Semaphore::new(size.min(Semaphore::MAX_PERMITS))),
            size,
        }
    }

    /// Returns the instances of the pool.
    pub(super) fn pool(&self) -> &Arc<InstancePool> {
        &self.home.0
    }

    /// Hands out the instance that was used last. If all are in calls, waits until one is free, at most until the end
    /// of `call`.
    ///
    /// A nested call does not wait, because the pool may be held by the calls above it: it has an instance of its own.
    pub(super) async fn check_out(&self, call: &mut Call) -> Result<Lease, CallError> {
        let permit = match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) if call.depth > 0 => return Ok(Lease::fresh()),
            Err(_) => {
                let permit = Arc::clone(&self.permits).acquire_owned();
                let timed = tokio::time::timeout_at(call.until.into(), permit).await;
                // The semaphore is never closed.
                let Ok(Ok(permit)) = timed else {
                    return Err(self.busy());
                };
                call.entered = Instant::now();
                // The permit may come together with the end of the call, which would run for nothing.
                if call.entered >= call.until {
                    return Err(self.busy());
                }
                permit
            }
        };
        let instance = self.home.0.take_last();
        let home: Arc<dyn Home> = Arc::clone(&self.home) as _;
        Ok(Lease::kept(instance, home, Some(permit)))
    }

    fn busy(&self) -> CallError {
        let instances = self.size;
        CallError::PoolBusy { instances }
    }
}

impl Home for PoolHome {
    fn life(&self) -> Life {
        self.0.life
    }

    fn enroll(&self) -> Counted {
        self.0.enroll()
    }

    fn take_back(&self, instance: Option<Instance>) {
        let Some(instance) = instance else {
            return;
        };
        if let Err(unkept) = self.0.put(instance) {
            unkept.end();
        }
        self.0.make_room();
    }
}
