//! The schedules of all handlers that are served, and which of them are due.
//!
//! Nothing here waits: the time comes in as an argument.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::slot::{Skip, Slot};
use super::turn::ScheduleKey;
use crate::dispatch::ScheduleRun;
use crate::timetable::Timetable;

/// How late, in milliseconds, a run may begin. A busy machine is not the fault of a handler, but what comes later than
/// this comes after the machine has slept.
const TOLERANCE: u64 = 60_000;

/// How far, in milliseconds, the clock may go back without a time being run again. A clock that goes back further was
/// set, and the schedules follow it.
const BACK: u64 = 60_000;

/// Times that have passed and are counted one by one. Counting must not hold up the other schedules.
const MOST_COUNTED: usize = 10_000;

/// Runs a schedule at the time at which it is due, in milliseconds since the Unix epoch.
pub(super) type Job = Arc<dyn Fn(u64) -> BoxFuture<'static, ScheduleRun> + Send + Sync>;

/// A schedule of a handler that is served.
#[derive(Clone)]
pub(super) struct Declared {
    pub(super) key: ScheduleKey,
    /// `None` if it is switched off.
    pub(super) times: Option<Timetable>,
    pub(super) job: Job,
}

/// A schedule with its state.
struct Planned {
    slot: Arc<Slot>,
    times: Option<Timetable>,
    job: Job,
}

/// A schedule whose time has come.
pub(super) struct Due {
    pub(super) slot: Arc<Slot>,
    /// The time, in milliseconds since the Unix epoch.
    pub(super) at: u64,
    pub(super) job: Job,
}

/// All schedules.
#[derive(Default)]
pub(super) struct Plan {
    planned: Vec<Planned>,
    /// The slots of schedules that are gone and still run.
    ending: Vec<Arc<Slot>>,
    /// The latest time that the clock has shown.
    latest: u64,
}

impl Plan {
    /// Replaces the schedules. One that was there before with the same times goes on as it was, whatever became of its
    /// handler.
    pub(super) fn replace(&mut self, declared: Vec<Declared>, now: u64) {
        self.ending.retain(|slot| slot.is_running());
        let before = std::mem::take(&mut self.planned);
        self.planned = declared
            .into_iter()
            .map(|Declared { key, times, job }| {
                let known = before.iter().find(|one| one.slot.key == key);
                if let Some(known) = known.filter(|known| known.times == times) {
                    let slot = Arc::clone(&known.slot);
                    return Planned { slot, times, job };
                }
                let ending = || self.ending.iter().find(|slot| slot.key == key);
                let slot = known.map(|known| &known.slot).or_else(ending).cloned();
                let slot = slot.unwrap_or_else(|| Slot::new(key));
                let after = now.max(slot.handled());
                slot.set_next(times.as_ref().and_then(|times| times.next(after)));
                Planned { slot, times, job }
            })
            .collect();
        let is_planned =
            |slot: &Arc<Slot>| self.planned.iter().any(|one| Arc::ptr_eq(&one.slot, slot));
        let gone = before.into_iter().map(|one| one.slot);
        let gone: Vec<_> = gone
            .chain(std::mem::take(&mut self.ending))
            .filter(|slot| slot.is_running() && !is_planned(slot))
            .collect();
        self.ending = gone;
    }

    /// Returns the schedules that are to run now, and plans their next times. Counts the times that are skipped.
    pub(super) fn due(&mut self, now: u64) -> Vec<Due> {
        self.follow_clock(now);
        self.planned
            .iter()
            .filter_map(|planned| {
                let at = planned.take_due(now)?;
                Some(Due {
                    slot: Arc::clone(&planned.slot),
                    at,
                    job: Arc::clone(&planned.job),
                })
            })
            .collect()
    }

    /// Returns the next time at which a schedule is due.
    pub(super) fn next(&self) -> Option<u64> {
        self.planned.iter().filter_map(|one| one.slot.next()).min()
    }

    /// Returns the state of each schedule with its times.
    pub(super) fn slots(&self) -> impl Iterator<Item = (Arc<Slot>, Option<&Timetable>)> {
        self.planned
            .iter()
            .map(|one| (Arc::clone(&one.slot), one.times.as_ref()))
    }

    /// Plans anew if the clock was set back.
    fn follow_clock(&mut self, now: u64) {
        let was_set_back = now.saturating_add(BACK) < self.latest;
        if !was_set_back {
            self.latest = self.latest.max(now);
            return;
        }
        let back = (self.latest - now) / 1000;
        tracing::warn!(
            "the clock of the machine was put back by {back} s: schedules follow it, and run again at times that come again"
        );
        self.latest = now;
        for Planned { slot, times, .. } in &self.planned {
            slot.set_handled(0);
            slot.set_next(times.as_ref().and_then(|times| times.next(now)));
        }
    }
}

impl Planned {
    /// Returns the time at which the schedule is to run now, if it is, and plans the next one.
    fn take_due(&self, now: u64) -> Option<u64> {
        let (slot, times) = (&self.slot, self.times.as_ref()?);
        let first = slot.next().filter(|next| *next <= now)?;
        let (last, passed) = newest(times, first, now);
        slot.set_handled(last);
        slot.set_next(times.next(now.max(last)));
        slot.skip(Skip::Late, passed);
        if now - last > TOLERANCE {
            slot.skip(Skip::Late, 1);
            return None;
        }
        if slot.is_running() {
            slot.skip(Skip::Running, 1);
            return None;
        }
        Some(last)
    }
}

/// Returns the newest time that is not after `now`, beginning with `first`, and the number of times before it.
fn newest(times: &Timetable, first: u64, now: u64) -> (u64, u64) {
    let (mut last, mut passed) = (first, 0);
    for _ in 0..MOST_COUNTED {
        match times.next(last).filter(|next| *next <= now) {
            Some(next) => last = next,
            None => break,
        }
        passed += 1;
    }
    (last, passed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(name: &str, times: &str) -> Declared {
        Declared {
            key: ScheduleKey {
                handler: "jobs.wasm".into(),
                name: name.into(),
            },
            times: (times != "off").then(|| times.parse().unwrap()),
            job: Arc::new(|_| Box::pin(std::future::ready(ScheduleRun::Done))),
        }
    }

    fn plan(times: &str, now: u64) -> Plan {
        let mut plan = Plan::default();
        plan.due(now);
        plan.replace(vec![declared("a", times)], now);
        plan
    }

    /// Returns the times that are due now.
    fn due(plan: &mut Plan, now: u64) -> Vec<u64> {
        plan.due(now).iter().map(|due| due.at).collect()
    }

    fn skipped(plan: &Plan, skip: Skip) -> u64 {
        plan.planned[0].slot.skipped(skip)
    }

    const NOW: u64 = 1_800_000_000_000;
    const NONE: [u64; 0] = [];

    #[test]
    fn i12_5_each_time_is_due_once() {
        let mut plan = plan("every 5s", NOW);
        assert_eq!(due(&mut plan, NOW), NONE);
        assert_eq!(plan.next(), Some(NOW + 5_000));
        assert_eq!(due(&mut plan, NOW + 4_999), NONE);
        assert_eq!(due(&mut plan, NOW + 5_000), [NOW + 5_000]);
        assert_eq!(due(&mut plan, NOW + 5_000), NONE);
        assert_eq!(due(&mut plan, NOW + 10_003), [NOW + 10_000], "no drift");
    }

    #[test]
    fn i12_5_a_time_that_comes_while_the_call_before_runs_is_skipped() {
        let mut plan = plan("every 5s", NOW);
        let first = plan.due(NOW + 5_000).remove(0);
        let running = first.slot.begin();
        assert_eq!(due(&mut plan, NOW + 10_000), NONE);
        // A new version of the file does not let a second call begin.
        plan.replace(vec![declared("a", "every 2s")], NOW + 10_001);
        assert_eq!(due(&mut plan, NOW + 12_000), NONE);
        assert_eq!(skipped(&plan, Skip::Running), 2);
        // Nor does a file that was removed and comes again.
        plan.replace(Vec::new(), NOW + 12_001);
        assert_eq!(due(&mut plan, NOW + 14_000), NONE);
        plan.replace(vec![declared("a", "every 2s")], NOW + 14_001);
        assert_eq!(due(&mut plan, NOW + 16_000), NONE);
        drop(running);
        assert_eq!(due(&mut plan, NOW + 18_000), [NOW + 18_000]);
    }

    #[test]
    fn i12_5_times_that_passed_while_the_machine_slept_are_skipped_and_counted() {
        let mut plan = plan("every 5s", NOW);
        assert_eq!(due(&mut plan, NOW + 3_600_000), [NOW + 3_600_000]);
        assert_eq!(skipped(&plan, Skip::Late), 719);
        let mut daily = super::tests::plan("0 3 * * *", NOW);
        let next = daily.next().unwrap();
        assert_eq!(due(&mut daily, next + TOLERANCE + 1), NONE, "too late");
        assert_eq!(skipped(&daily, Skip::Late), 1);
        let next = daily.next().unwrap();
        assert_eq!(due(&mut daily, next + 20_000), [next], "a busy machine");
    }

    #[test]
    fn i12_5_a_clock_that_jumps_far_is_followed_at_once() {
        let mut plan = plan("every 1s", 1_000);
        let long = due(&mut plan, NOW + 500);
        assert_eq!(long, NONE, "more times passed than are counted");
        assert_eq!(due(&mut plan, NOW + 1_000), [NOW + 1_000]);
    }

    #[test]
    fn i12_5_a_clock_that_goes_back_a_little_runs_nothing_twice() {
        let mut plan = plan("every 5s", NOW);
        assert_eq!(due(&mut plan, NOW + 5_000), [NOW + 5_000]);
        assert_eq!(due(&mut plan, NOW + 4_000), NONE);
        plan.replace(vec![declared("a", "every 5s")], NOW + 4_000);
        assert_eq!(due(&mut plan, NOW + 5_000), NONE);
        plan.replace(vec![declared("a", "*/5 * * * * *")], NOW + 4_000);
        assert_eq!(due(&mut plan, NOW + 5_000), NONE);
        assert_eq!(due(&mut plan, NOW + 10_000), [NOW + 10_000]);
        // A clock that was set is followed, so that nothing waits for hours.
        assert_eq!(due(&mut plan, NOW - 3_600_000), NONE);
        assert_eq!(due(&mut plan, NOW - 3_595_000), [NOW - 3_595_000]);
    }

    #[test]
    fn i12_5_a_reload_at_the_very_time_neither_loses_nor_doubles_it() {
        let mut plan = plan("every 5s", NOW);
        plan.replace(vec![declared("a", "every 5s")], NOW + 5_001);
        assert_eq!(due(&mut plan, NOW + 5_002), [NOW + 5_000]);
        plan.replace(vec![declared("a", "every 5s")], NOW + 5_003);
        assert_eq!(due(&mut plan, NOW + 5_004), NONE);
        plan.replace(vec![declared("a", "off")], NOW + 5_005);
        assert_eq!(
            (plan.next(), due(&mut plan, NOW + 60_000)),
            (None, Vec::new())
        );
    }
}
