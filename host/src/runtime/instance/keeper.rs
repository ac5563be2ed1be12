//! All instances that are kept between calls, of all handlers: ends those used least recently when their memory or
//! their places are needed, and those that were idle for too long.
//!
//! The instances themselves are in one group for each handler. No lock is held while an instance ends, because that may
//! take some time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::counts::{InstanceCounts, InstanceEnd};
use super::cpu;
use crate::lock::lock;

/// Instances that the sweeper ends before it lets other tasks run.
const BATCH: usize = 8;
/// Shortest time between two log lines about instances that were ended because something was used up.
const LOG_EVERY: Duration = Duration::from_secs(10);
/// The value of [`Keeper::next`] while nothing expires.
const NEVER: u64 = u64::MAX;

/// The idle instances of one handler.
pub(super) trait Group: Send + Sync {
    /// Returns the time at which the instance used least recently was last used; none if there is no idle instance.
    fn oldest(&self) -> Option<Instant>;
    /// Returns the time after which an idle instance ends.
    fn idle(&self) -> Duration;
    /// Returns true if its instances are spare: they were rewound, so that nothing is lost when they end.
    fn is_spare(&self) -> bool;
    /// Ends the instance used least recently. Returns false if there is none.
    fn end_oldest(&self, end: InstanceEnd) -> bool;
    /// Ends the instance used least recently if that was before `limit`.
    fn end_if_idle_since(&self, limit: Instant) -> bool;
}

/// The instances that are kept between calls.
pub(in crate::runtime) struct Keeper {
    /// The most idle instances.
    limit: usize,
    /// The most spare ones of them.
    spare_limit: usize,
    /// The number of idle instances.
    idle: AtomicUsize,
    /// The number of spare ones of them.
    spare: AtomicUsize,
    /// Bytes of linear memory of idle instances.
    memory: AtomicUsize,
    groups: Mutex<Vec<Weak<dyn Group>>>,
    /// Groups of handlers that were replaced, whose instances are to end.
    closed: Mutex<Vec<Arc<dyn Group>>>,
    /// The numbers of each handler that has ever kept instances, by its name.
    counts: Mutex<BTreeMap<Arc<str>, Arc<InstanceCounts>>>,
    /// Wakes the sweeper.
    wake: Notify,
    began: Instant,
    /// The time for which the sweeper sleeps, in milliseconds after `began`.
    next: AtomicU64,
    pressure: Mutex<Pressure>,
}

/// Instances that were ended because something was used up, and that the log has not told yet.
#[derive(Default)]
struct Pressure {
    memory: usize,
    places: usize,
    told: Option<Instant>,
}

impl Keeper {
    /// Makes a keeper of at most `limit` idle instances, of which at most `spare_limit` are spare.
    pub(in crate::runtime) fn new(limit: usize, spare_limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            spare_limit: spare_limit.min(limit),
            idle: AtomicUsize::new(0),
            spare: AtomicUsize::new(0),
            memory: AtomicUsize::new(0),
            groups: Mutex::default(),
            closed: Mutex::default(),
            counts: Mutex::default(),
            wake: Notify::new(),
            began: Instant::now(),
            next: AtomicU64::new(NEVER),
            pressure: Mutex::default(),
        })
    }

    /// Returns the numbers of a handler, which last as long as the server, because counters must never go back.
    pub(super) fn counts(&self, handler: &Arc<str>) -> Arc<InstanceCounts> {
        let mut all = lock(&self.counts);
        Arc::clone(all.entry(Arc::clone(handler)).or_default())
    }

    /// Returns the numbers of a handler, if an earlier generation of it has kept instances.
    pub(super) fn former_counts(&self, handler: &Arc<str>) -> Option<Arc<InstanceCounts>> {
        lock(&self.counts).get(handler).cloned()
    }

    /// Adds the group of a handler.
    pub(super) fn add(&self, group: Weak<dyn Group>) {
        let mut groups = lock(&self.groups);
        groups.retain(|group| group.strong_count() > 0);
        groups.push(group);
    }

    /// Ends all instances of a group, soon.
    pub(super) fn close(&self, group: Arc<dyn Group>) {
        if group.oldest().is_some() {
            lock(&self.closed).push(group);
            self.wake.notify_one();
        }
    }

    /// Notes an instance of `memory` bytes that became idle.
    pub(super) fn added(&self, memory: usize, is_spare: bool) {
        // Relaxed is enough: the numbers guard no other data.
        self.idle.fetch_add(1, Ordering::Relaxed);
        self.spare.fetch_add(is_spare.into(), Ordering::Relaxed);
        self.memory.fetch_add(memory, Ordering::Relaxed);
    }

    /// Notes an instance of `memory` bytes that is idle no more.
    pub(super) fn removed(&self, memory: usize, is_spare: bool) {
        self.idle.fetch_sub(1, Ordering::Relaxed);
        self.spare.fetch_sub(is_spare.into(), Ordering::Relaxed);
        self.memory.fetch_sub(memory, Ordering::Relaxed);
    }

    /// Lets the sweeper look at a group whose first instance expires at `expiry`, if it would not look before.
    pub(super) fn expect(&self, expiry: Instant) {
        let millis = self.millis(expiry);
        // Relaxed is enough: the sweeper looks again after it has published for how long it would sleep.
        if millis < self.next.load(Ordering::Relaxed)
            && self.next.fetch_min(millis, Ordering::Relaxed) > millis
        {
            self.wake.notify_one();
        }
    }

    /// Returns true if spare instances may be kept at all.
    pub(super) fn keeps_spares(&self) -> bool {
        self.spare_limit > 0
    }

    /// Returns true if another spare instance may be kept, perhaps in the place of one.
    pub(super) fn has_room_for_spare(&self) -> bool {
        self.idle.load(Ordering::Relaxed) < self.limit || self.spare.load(Ordering::Relaxed) > 0
    }

    /// Ends instances until there are no more idle ones than may be.
    pub(super) fn make_room(&self) {
        let is_over = || self.idle.load(Ordering::Relaxed) > self.limit;
        cpu::uncharged(|| while is_over() && self.end_first(InstanceEnd::Places, is_over) {});
    }

    /// Ends spare instances until there are no more of them than may be, and no other: others never end for these.
    pub(super) fn make_room_among_spares(&self) {
        let is_over = || {
            self.spare.load(Ordering::Relaxed) > self.spare_limit
                || self.idle.load(Ordering::Relaxed) > self.limit
        };
        let end_oldest = || {
            let spares = self.groups().into_iter().filter(|group| group.is_spare());
            oldest(spares).is_some_and(|group| group.end_oldest(InstanceEnd::Places))
        };
        cpu::uncharged(|| while is_over() && end_oldest() {});
    }

    /// Ends the idle instance of all handlers that was used least recently. Returns false if there is none.
    ///
    /// The call that needs the room is not charged for it, because it may be none of its own.
    pub(super) fn end_one(&self, end: InstanceEnd) -> bool {
        cpu::uncharged(|| self.end_first(end, || true))
    }

    fn end_first(&self, end: InstanceEnd, is_wanted: impl Fn() -> bool) -> bool {
        // Another thread may take the instance first, and then the next one counts.
        while let Some((group, end)) = self.choose(end) {
            let is_spare = group.is_spare();
            // If another thread has taken a spare instance, there may be room now.
            if !is_spare && !is_wanted() {
                return false;
            }
            if group.end_oldest(end) {
                if !is_spare {
                    self.note(end);
                }
                return true;
            }
        }
        false
    }

    /// Returns true if ending idle instances could set `bytes` bytes free.
    pub(super) fn could_free(&self, bytes: usize) -> bool {
        self.memory.load(Ordering::Relaxed) >= bytes
    }

    /// Returns the group whose first instance is to end, and the reason: groups that are closed come first, and then
    /// spare instances.
    fn choose(&self, end: InstanceEnd) -> Option<(Arc<dyn Group>, InstanceEnd)> {
        {
            let mut closed = lock(&self.closed);
            closed.retain(|group| group.oldest().is_some());
            if let Some(group) = closed.first() {
                return Some((Arc::clone(group), InstanceEnd::Reload));
            }
        }
        let (spare, other): (Vec<_>, _) = self.groups().into_iter().partition(|it| it.is_spare());
        let group = oldest(spare).or_else(|| oldest(other))?;
        Some((group, end))
    }

    fn groups(&self) -> Vec<Arc<dyn Group>> {
        lock(&self.groups)
            .iter()
            .filter_map(Weak::upgrade)
            .collect()
    }

    /// Notes an end for the log.
    fn note(&self, end: InstanceEnd) {
        let mut pressure = lock(&self.pressure);
        match end {
            InstanceEnd::Memory => pressure.memory += 1,
            InstanceEnd::Places => pressure.places += 1,
            _ => return,
        }
        if pressure.memory + pressure.places == 1 {
            self.wake.notify_one();
        }
    }

    /// Ends instances that are idle for too long or whose handler was replaced, and tells the log which were ended
    /// because something was used up. Never returns.
    pub(in crate::runtime) async fn sweep(self: Arc<Self>) {
        loop {
            self.end_closed().await;
            // Whoever adds an instance from here on wakes the sweeper if the instance expires before `next`.
            self.next.store(NEVER, Ordering::Relaxed);
            let expiry = self.end_expired().await;
            let telling = self.tell(Instant::now());
            if let Some(expiry) = expiry {
                self.next.fetch_min(self.millis(expiry), Ordering::Relaxed);
            }
            match expiry.into_iter().chain(telling).min() {
                // The wait ends by itself at that time, so an error of the timeout is what is wanted.
                Some(at) => drop(tokio::time::timeout_at(at.into(), self.wake.notified()).await),
                None => self.wake.notified().await,
            }
        }
    }

    /// Ends the instances of groups that are closed.
    async fn end_closed(&self) {
        loop {
            let Some(group) = lock(&self.closed).pop() else {
                return;
            };
            let mut ended = 0;
            while group.end_oldest(InstanceEnd::Reload) {
                pause(&mut ended).await;
            }
        }
    }

    /// Ends the instances that are idle for too long. Returns the time at which the next one expires.
    async fn end_expired(&self) -> Option<Instant> {
        let (mut next, mut ended) = (None, 0);
        for group in self.groups() {
            while let Some(limit) = Instant::now().checked_sub(group.idle())
                && group.end_if_idle_since(limit)
            {
                pause(&mut ended).await;
            }
            let expiry = group.oldest().map(|since| since + group.idle());
            next = [next, expiry].into_iter().flatten().min();
        }
        // Timers and the numbers of `next` are in milliseconds, and nothing may expire just after the sweeper looks.
        next.map(|at: Instant| at + Duration::from_millis(1))
    }

    /// Logs what was ended because something was used up. Returns the time to try again if it is too early.
    fn tell(&self, now: Instant) -> Option<Instant> {
        let (memory, places) = {
            let mut pressure = lock(&self.pressure);
            if pressure.memory + pressure.places == 0 {
                return None;
            }
            let due = pressure.told.map_or(now, |told| told + LOG_EVERY);
            if due > now {
                return Some(due);
            }
            pressure.told = Some(now);
            let counted = (pressure.memory, pressure.places);
            (pressure.memory, pressure.places) = (0, 0);
            counted
        };
        if memory > 0 {
            tracing::warn!(
                "{memory} instances that handlers keep between calls were ended, because limits.memory-budget is used up; raise it, or \
                 lower idle of handlers with `instances`"
            );
        }
        if places > 0 {
            tracing::warn!(
                "{places} instances that handlers keep between calls were ended, because no more than {} are kept; raise \
                 limits.kept-instances, or lower idle of handlers with `instances`",
                self.limit
            );
        }
        None
    }

    /// Returns a time in milliseconds after `began`.
    fn millis(&self, at: Instant) -> u64 {
        let after = at.saturating_duration_since(self.began);
        u64::try_from(after.as_millis()).unwrap_or(NEVER)
    }
}

/// Returns the group with the instance that was used least recently of all.
fn oldest(groups: impl IntoIterator<Item = Arc<dyn Group>>) -> Option<Arc<dyn Group>> {
    let used = groups.into_iter();
    let used = used.filter_map(|group| Some((group.oldest()?, group)));
    let (_, group) = used.min_by_key(|(since, _)| *since)?;
    Some(group)
}

/// Lets other tasks run after each [`BATCH`] of instances that were ended.
async fn pause(ended: &mut usize) {
    *ended += 1;
    if ended.is_multiple_of(BATCH) {
        tokio::task::yield_now().await;
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use super::super::cpu::Meter;
    use super::*;

    /// A handler with instances whose ends take long.
    struct Slow(AtomicUsize);

    const EACH: Duration = Duration::from_millis(40);

    impl Group for Slow {
        fn oldest(&self) -> Option<Instant> {
            (self.0.load(Ordering::Relaxed) > 0).then(Instant::now)
        }

        fn idle(&self) -> Duration {
            Duration::MAX
        }

        fn is_spare(&self) -> bool {
            false
        }

        fn end_oldest(&self, _: InstanceEnd) -> bool {
            cpu::compute(EACH);
            self.0.fetch_sub(1, Ordering::Relaxed) > 0
        }

        fn end_if_idle_since(&self, _: Instant) -> bool {
            false
        }
    }

    #[test]
    fn i13_1_a_call_is_not_charged_for_the_instances_that_make_room_for_it() {
        let keeper = Keeper::new(0, 0);
        let group: Arc<dyn Group> = Arc::new(Slow(AtomicUsize::new(3)));
        keeper.add(Arc::downgrade(&group));
        let mut used = None;
        let _ = Meter::new(Instant::now()).poll(|| {
            while keeper.end_one(InstanceEnd::Memory) {}
            used = Some(cpu::used());
            Poll::Ready(())
        });
        assert!(used.expect("it was polled") < EACH, "{used:?}");
        assert_eq!(group.oldest(), None);
    }
}
