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
mod rewound;
mod shared;
pub(super) mod state;
pub(super) mod store;

use std::sync::Arc;

use self::counts::{InstanceCounts, KeptInstances};
use self::keeper::Keeper;
use self::lease::{Lease, Owner};
use self::per_socket::PerSocket;
use self::pool::InstancePool;
use self::rewound::Rewound;
use self::shared::SharedPool;
use self::state::{Call, Phase};
use super::error::CallError;
use super::settings::{HandlerSettings, Life};

/// A rule for how long the instances of one handler live.
pub(super) enum Strategy {
    /// Each call has an instance of its own, and sees nothing that an earlier call left in memory.
    Fresh(Fresh),
    /// The events and hooks of a connection have one instance, and requests have instances of their own.
    PerSocket(PerSocket, Fresh),
    /// All calls have the instances of a pool.
    Shared(SharedPool),
}

/// The way to an instance that no call has changed.
pub(super) enum Fresh {
    /// An instance is made for each call. The numbers are those of earlier generations that kept instances.
    Made(Option<Arc<InstanceCounts>>),
    /// An instance is made what it was before its first call, and kept for another call.
    Rewound(Rewound),
}

impl Strategy {
    /// Returns the strategy that the settings of the handler `name` ask for. `can_rewind` is true if an instance of it
    /// can be made what it was before its first call.
    pub(super) fn of(
        name: &Arc<str>,
        settings: &HandlerSettings,
        keeper: &Arc<Keeper>,
        can_rewind: bool,
    ) -> Self {
        let pool = || InstancePool::new(name, settings, keeper);
        let fresh = || {
            if can_rewind && keeper.keeps_spares() {
                Fresh::Rewound(Rewound::new(name, settings, keeper))
            } else {
                Fresh::Made(keeper.former_counts(name))
            }
        };
        match settings.instances {
            Life::Call => Self::Fresh(fresh()),
            Life::Socket => Self::PerSocket(PerSocket { pool: pool() }, fresh()),
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
            (Self::PerSocket(strategy, _), Owner::Socket(connection)) => {
                strategy.check_out(connection, call).await
            }
            (Self::Shared(strategy), _) => strategy.check_out(call).await,
            (Self::Fresh(fresh), _) | (Self::PerSocket(_, fresh), Owner::Anyone) => {
                Ok(fresh.lease())
            }
        }
    }

    /// Ends all instances that run no call, soon, and each of the others when its call ends.
    pub(super) fn close(&self) {
        self.pools()
            .into_iter()
            .flatten()
            .for_each(InstancePool::close);
    }

    /// Returns the numbers of the handler's instances, if it keeps any or has kept any.
    pub(super) fn now(&self) -> Option<KeptInstances> {
        if let Self::Fresh(Fresh::Made(former)) = self {
            return former.as_ref().map(|counts| counts.now());
        }
        // All pools of a handler have the same counts.
        let mut pools = self.pools().into_iter().flatten();
        pools.next().map(|pool| pool.now())
    }

    fn pools(&self) -> [Option<&Arc<InstancePool>>; 2] {
        match self {
            Self::Fresh(fresh) => [fresh.pool(), None],
            Self::PerSocket(strategy, fresh) => [Some(&strategy.pool), fresh.pool()],
            Self::Shared(strategy) => [Some(strategy.pool()), None],
        }
    }
}

impl Fresh {
    fn lease(&self) -> Lease {
        match self {
            Self::Made(_) => Lease::fresh(),
            Self::Rewound(rewound) => rewound.check_out(),
        }
    }

    fn pool(&self) -> Option<&Arc<InstancePool>> {
        match self {
            Self::Made(_) => None,
            Self::Rewound(rewound) => Some(rewound.pool()),
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
