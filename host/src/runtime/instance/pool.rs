//! The instances of one handler that are kept between calls.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::counts::{Counted, InstanceCounts, InstanceEnd, KeptInstances};
use super::idle_list::{IdleList, Ticket};
use super::keeper::{Group, Keeper};
use super::store::Instance;
use crate::lock::lock;
use crate::runtime::settings::{HandlerSettings, Life};

/// Instances of one generation of a handler.
pub(super) struct InstancePool {
    pub(super) life: Life,
    idle: Duration,
    max_calls: Option<u32>,
    keeper: Arc<Keeper>,
    counts: Arc<InstanceCounts>,
    list: Mutex<List>,
}

struct List {
    /// The instances that run no call.
    idle: IdleList<Instance>,
    /// True once the handler was replaced or removed, so that no instance is kept any more.
    closed: bool,
}

/// An instance that is not kept, with the reason.
pub(super) struct Unkept {
    pub(super) instance: Instance,
    pub(super) end: InstanceEnd,
}

impl Unkept {
    /// Ends the instance. That may take some time, so no lock may be held.
    pub(super) fn end(self) {
        self.instance.end(self.end);
    }
}

impl InstancePool {
    /// Makes the empty pool of the handler `name`.
    pub(super) fn new(
        name: &Arc<str>,
        settings: &HandlerSettings,
        keeper: &Arc<Keeper>,
    ) -> Arc<Self> {
        let pool = Arc::new(Self {
            life: settings.instances,
            idle: settings.idle,
            max_calls: settings.max_calls,
            keeper: Arc::clone(keeper),
            counts: keeper.counts(name),
            list: Mutex::new(List {
                idle: IdleList::new(),
                closed: false,
            }),
        });
        let weak = Arc::downgrade(&pool);
        keeper.add(weak);
        pool
    }

    /// Returns the numbers of the handler's instances.
    pub(super) fn now(&self) -> KeptInstances {
        self.counts.now()
    }

    /// Counts a new instance.
    pub(super) fn enroll(&self) -> Counted {
        self.counts.enroll()
    }

    /// Takes the instance of a ticket, unless it has ended meanwhile.
    pub(super) fn take(&self, ticket: Ticket) -> Option<Instance> {
        self.take_by(|idle| idle.take(ticket))
    }

    /// Takes the instance that was used last, whose code and data are in the processor's caches.
    pub(super) fn take_last(&self) -> Option<Instance> {
        self.take_by(IdleList::take_last)
    }

    fn take_by(
        &self,
        take: impl FnOnce(&mut IdleList<Instance>) -> Option<Instance>,
    ) -> Option<Instance> {
        let mut list = lock(&self.list);
        let instance = take(&mut list.idle)?;
        // Counted under the lock, so that nobody looks for room that is there.
        self.keeper.removed(instance.memory(), self.is_spare());
        Some(instance)
    }

    /// Keeps an instance whose call has succeeded, or says why it is not kept. [`Self::make_room`] has to follow.
    pub(super) fn put(&self, mut instance: Instance) -> Result<Ticket, Unkept> {
        // Up to a tenth fewer, so that instances that began together do not end together.
        let spread = match self.life {
            Life::Shared => self.max_calls.unwrap_or_default() / 10,
            Life::Call | Life::Socket => 0,
        };
        if let Some(end) = instance.reason_to_end(self.max_calls, spread) {
            return Err(Unkept { instance, end });
        }
        let (memory, now) = (instance.memory(), Instant::now());
        let (was_empty, ticket) = {
            let mut list = lock(&self.list);
            if list.closed {
                drop(list);
                let end = InstanceEnd::Reload;
                return Err(Unkept { instance, end });
            }
            let was_empty = list.idle.len() == 0;
            // Counted under the lock, because another thread may take it as soon as the lock is free.
            self.keeper.added(memory, self.is_spare());
            (was_empty, list.idle.push(instance, now))
        };
        if was_empty {
            self.keeper.expect(now + self.idle);
        }
        ticket.map_err(|instance| {
            self.keeper.removed(memory, self.is_spare());
            let end = InstanceEnd::Places;
            Unkept { instance, end }
        })
    }

    /// Ends the instances used least recently, of all handlers, if more are kept than may be.
    pub(super) fn make_room(&self) {
        self.keeper.make_room();
    }

    /// Returns true once the handler was replaced or removed.
    pub(super) fn is_closed(&self) -> bool {
        lock(&self.list).closed
    }

    /// Ends all instances that run no call, soon, and each of the others when its call ends.
    pub(super) fn close(self: &Arc<Self>) {
        lock(&self.list).closed = true;
        let group: Arc<dyn Group> = Arc::clone(self) as _;
        self.keeper.close(group);
    }
}

impl Group for InstancePool {
    fn oldest(&self) -> Option<Instant> {
        lock(&self.list).idle.oldest()
    }

    fn idle(&self) -> Duration {
        self.idle
    }

    fn is_spare(&self) -> bool {
        self.life == Life::Call
    }

    fn end_oldest(&self, end: InstanceEnd) -> bool {
        let instance = self.take_by(IdleList::take_first);
        instance.map(|instance| instance.end(end)).is_some()
    }

    fn end_if_idle_since(&self, limit: Instant) -> bool {
        let instance = self.take_by(|idle| {
            let is_due = idle.oldest().is_some_and(|since| since <= limit);
            is_due.then(|| idle.take_first()).flatten()
        });
        instance
            .map(|instance| instance.end(InstanceEnd::Idle))
            .is_some()
    }
}

impl Drop for InstancePool {
    /// Ends what is left, for a handler that is dropped without having been closed.
    fn drop(&mut self) {
        while self.end_oldest(InstanceEnd::Reload) {}
    }
}
