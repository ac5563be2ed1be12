//! Instances that are made what they were before their first call, and kept for another call: a call has an instance
//! that no call has changed, and making that is cheaper than making a new one.

use std::sync::Arc;
use std::time::Duration;

use super::counts::{Counted, InstanceEnd};
use super::keeper::Keeper;
use super::lease::{AfterCall, Home, Lease};
use super::pool::InstancePool;
use super::store::Instance;
use crate::runtime::settings::{HandlerSettings, Life};

/// The time after which an instance ends that has no call. It is short because nothing is lost with an instance.
const IDLE: Duration = Duration::from_secs(10);

/// Hands out instances that no call has changed.
pub(in crate::runtime) struct Rewound {
    home: Arc<RewoundHome>,
}

struct RewoundHome {
    pool: Arc<InstancePool>,
    keeper: Arc<Keeper>,
}

impl Rewound {
    /// Makes a strategy without any instance for the handler `name`.
    pub(super) fn new(name: &Arc<str>, settings: &HandlerSettings, keeper: &Arc<Keeper>) -> Self {
        let settings = HandlerSettings {
            instances: Life::Call,
            idle: IDLE,
            max_calls: None,
            ..settings.clone()
        };
        let pool = InstancePool::new(name, &settings, keeper);
        let keeper = Arc::clone(keeper);
        Self {
            home: Arc::new(RewoundHome { pool, keeper }),
        }
    }

    /// Hands out the instance that was used last, or a new one.
    pub(super) fn check_out(&self) -> Lease {
        let instance = self.home.pool.take_last();
        if instance.is_none() && !self.home.keeper.has_room_for_spare() {
            return Lease::fresh();
        }
        Lease::kept(instance, Arc::clone(&self.home) as _, None)
    }

    /// Returns the instances that wait for a call.
    pub(super) fn pool(&self) -> &Arc<InstancePool> {
        &self.home.pool
    }
}

impl Home for RewoundHome {
    fn life(&self) -> Life {
        Life::Call
    }

    fn enroll(&self) -> Counted {
        self.pool.enroll()
    }

    fn after_call(&self) -> AfterCall {
        if self.keeper.has_room_for_spare() {
            AfterCall::Rewind
        } else {
            AfterCall::End(InstanceEnd::Places)
        }
    }

    fn take_back(&self, instance: Option<Instance>) {
        let Some(instance) = instance else {
            return;
        };
        if let Err(unkept) = self.pool.put(instance) {
            unkept.end();
        }
        self.keeper.make_room_among_spares();
    }
}
