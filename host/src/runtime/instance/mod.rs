//! Instances of guests.
//!
//! A strategy decides how long instances live. Each strategy that keeps instances has a file, and the choice between
//! them is made here. What is common to both is in `pool`, the instances of one handler, and in `keeper`, all of them.

mod bodies;
pub(super) mod counts;
mod cpu;
pub(super) mod handles;
mod idle_list;
pub(super) mod keeper;
pub(super) mod lease;
pub(super) mod limits;
pub(super) mod output;
mod per_socket;
mod pool;
mod shared;
pub(super) mod state;
pub(super) mod store;

use std::sync::Arc;

use self::counts::{InstanceCounts, KeptInstances};
use self::keeper::Keeper;
use self::lease::{Lease, Owner};
use self::per_socket::PerSocket;
use self::pool::InstancePool;
use self::shared::SharedPool;
use self::state::{Call, Phase};
use super::error::CallError;
use super::settings::{HandlerSettings, Life};

/// A rule for how long the instances of one handler live.
pub(super) enum Strategy {
    /// Each call has an instance of its own, and sees nothing that an earlier call left in memory. The numbers are
    /// those of earlier generations that kept instances.
    Fresh(Option<Arc<InstanceCounts>>),
    /// The events and hooks of a connection have one instance.
    PerSocket(PerSocket),
    /// All calls have the instances of a pool.
    Shared(SharedPool),
}

impl Strategy {
    /// Returns the strategy that the settings of the handler `name` ask for.
    pub(super) fn of(name: &Arc<str>, settings: &HandlerSettings, keeper: &Arc<Keeper>) -> Self {
        let pool = || InstancePool::new(name, settings, keeper);
        match settings.instances {
            Life::Call => Self::Fresh(keeper.former_counts(name)),
            Life::Socket => Self::PerSocket(PerSocket { pool: pool() }),
            Life::Shared => {
                let size = settings.max_instances.unwrap_or(settings.concurrency);
                Self::Shared(SharedPool::new(pool(), size))
            }
        }
    }

    /// Hands out a lease of an instance for `owner` and `call`. The first call makes the instance if the lease has
    /// none.
    ///
    /// # Errors
    /// The instances that may serve the call were in other calls until its end.
    pub(super) async fn check_out(
        &self,
        owner: Owner<'_>,
        call: &mut Call,
    ) -> Result<Lease, CallError> {
        match (self, owner) {
            // The declarations of a handler are those of a guest that has not been called.
            _ if call.phase == Phase::Describe => Ok(Lease::fresh()),
            (Self::PerSocket(strategy), Owner::Socket(connection)) => {
                strategy.check_out(connection, call).await
            }
            (Self::Shared(strategy), _) => strategy.check_out(call).await,
            (Self::Fresh(_), _) | (Self::PerSocket(_), Owner::Anyone) => Ok(Lease::fresh()),
        }
    }

    /// Ends all instances that run no call, soon, and each of the others when its call ends.
    pub(super) fn close(&self) {
        if let Some(pool) = self.pool() {
            pool.close();
        }
    }

    /// Returns the numbers of the handler's instances, if it keeps any or has kept any.
    pub(super) fn now(&self) -> Option<KeptInstances> {
        match (self, self.pool()) {
            (Self::Fresh(former), _) => former.as_ref().map(|counts| counts.now()),
            (_, pool) => pool.map(|pool| pool.now()),
        }
    }

    fn pool(&self) -> Option<&Arc<InstancePool>> {
        match self {
            Self::Fresh(_) => None,
            Self::PerSocket(strategy) => Some(&strategy.pool),
            Self::Shared(strategy) => Some(strategy.pool()),
        }
    }
}

impl Drop for Strategy {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests;
