//! Runs the schedules of handlers when their times have come.
//!
//! One task follows the table that is served and the clock. It starts a task for each run, and owns all of them.

mod clock;
mod plan;
mod slot;
#[cfg(test)]
mod tests;
mod turn;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle, JoinSet};

pub(super) use self::slot::{Skip, Slot};

use self::clock::{Clock, SystemClock};
use self::plan::{Declared, Due, Plan};
use self::turn::{Alone, ScheduleKey, Turn};
use crate::dispatch::{Dispatch, Refusal, ScheduleRun};
use crate::registry::{Entry, Registry, Table};

/// Longest time between two looks at the clock. The timers of the system do not notice when the machine has slept or
/// its clock was set.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Longest time to wait for the answer whose turn it is.
const TURN_TIMEOUT: Duration = Duration::from_secs(5);

/// The task that runs schedules. It ends, with all calls that it has made, when this is dropped.
pub(super) struct Scheduler {
    task: JoinHandle<()>,
    list: Arc<ScheduleList>,
}

/// All schedules, as the console shows them.
#[derive(Default)]
pub(super) struct ScheduleList(ArcSwap<Vec<ListedSchedule>>);

/// A schedule, as the console shows it.
pub(super) struct ListedSchedule {
    pub(super) slot: Arc<Slot>,
    /// The times in force: `every 5s`, `0 3 * * *`, `off`.
    pub(super) times: String,
}

impl ScheduleList {
    /// Returns the schedules of the handlers that are served.
    pub(super) fn all(&self) -> Arc<Vec<ListedSchedule>> {
        self.0.load_full()
    }
}

impl Scheduler {
    /// Spawns the task. It runs nothing until the handlers folder has been read.
    pub(super) fn start(registry: &Arc<Registry>, dispatch: &Arc<Dispatch>) -> Self {
        let list = Arc::<ScheduleList>::default();
        let (changes, registry) = (registry.changes(), Arc::clone(registry));
        let dispatch = Arc::clone(dispatch);
        let work = Work {
            declared: move || declared(&registry.table(), &dispatch),
            changes,
            clock: SystemClock,
            turn: Arc::new(Alone),
            plan: Plan::default(),
            runs: JoinSet::new(),
            list: Arc::clone(&list),
        };
        let task = tokio::spawn(work.run());
        Self { task, list }
    }

    /// Returns the list for the console.
    pub(super) fn list(&self) -> Arc<ScheduleList> {
        Arc::clone(&self.list)
    }

    /// Returns a handle that tells when the task has ended.
    pub(super) fn abort_handle(&self) -> AbortHandle {
        self.task.abort_handle()
    }

    /// Returns when the task has ended, which only a bug causes.
    pub(super) async fn failed(&mut self) {
        let _ = (&mut self.task).await;
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Returns the schedules of a table.
fn declared(table: &Table, dispatch: &Arc<Dispatch>) -> Vec<Declared> {
    let handlers = table.handlers.iter();
    let each = handlers.flat_map(|handler| {
        let schedules = handler.declarations.schedules.iter();
        schedules.zip(0..).map(move |one| (handler, one))
    });
    each.map(|(handler, (schedule, index))| {
        let name: Arc<str> = schedule.name.as_str().into();
        let entry = Entry {
            handler: Arc::clone(handler),
            index,
        };
        let (dispatch, called) = (Arc::clone(dispatch), Arc::clone(&name));
        Declared {
            key: ScheduleKey {
                handler: Arc::clone(&handler.name),
                name,
            },
            times: schedule.times.clone(),
            job: Arc::new(move |due| {
                let (dispatch, entry) = (Arc::clone(&dispatch), entry.clone());
                let name = Arc::clone(&called);
                Box::pin(async move { dispatch.schedule(&entry, &name, due).await })
            }),
        }
    })
    .collect()
}

/// What the task works with. The world outside (what is declared, the clock, the other servers) is made up in tests.
struct Work<D, C> {
    /// Returns what is declared now.
    declared: D,
    /// Tells when what is declared has changed.
    changes: watch::Receiver<bool>,
    clock: C,
    turn: Arc<dyn Turn>,
    plan: Plan,
    runs: JoinSet<()>,
    list: Arc<ScheduleList>,
}

impl<D: Fn() -> Vec<Declared> + Send + Sync, C: Clock> Work<D, C> {
    async fn run(mut self) {
        self.changes.mark_changed();
        loop {
            // Looked at first, so that no handler is called that is not served any more.
            if self.changes.has_changed().unwrap_or(false) {
                self.reload();
            }
            let now = self.clock.now();
            for due in self.plan.due(now) {
                self.begin(due);
            }
            self.wait(now).await;
        }
    }

    fn reload(&mut self) {
        self.changes.mark_unchanged();
        self.plan.replace((self.declared)(), self.clock.now());
        let slots = self.plan.slots();
        let listed = slots.map(|(slot, times)| ListedSchedule {
            slot,
            times: times.map_or_else(|| "off".to_owned(), ToString::to_string),
        });
        self.list.0.store(Arc::new(listed.collect()));
    }

    /// Waits until something is due, has changed or has ended, or until the clock should be looked at.
    async fn wait(&mut self, now: u64) {
        let next = self.plan.next();
        let clock = &self.clock;
        let pause = async {
            match next {
                Some(next) => {
                    let pause = Duration::from_millis(next.saturating_sub(now));
                    clock.sleep(pause.min(LONGEST_PAUSE)).await;
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Ok(()) = self.changes.changed() => self.changes.mark_changed(),
            Some(ended) = self.runs.join_next() => {
                if let Err(error) = ended {
                    tracing::error!("running a schedule failed inside the server: {error}");
                }
            }
            () = pause => {}
        }
    }

    /// Starts the run of a schedule.
    fn begin(&mut self, Due { slot, at, job }: Due) {
        let (turn, running) = (Arc::clone(&self.turn), slot.begin());
        self.runs.spawn(async move {
            // Dropped at the end of this task, whatever happens to it.
            let _running = running;
            let taken = tokio::time::timeout(TURN_TIMEOUT, turn.take(&slot.key, at));
            match taken.await {
                Ok(true) => {}
                Ok(false) => return,
                Err(_) => {
                    tracing::error!(
                        "{}: whose turn it is was not answered in time, so that it does not run",
                        slot.key
                    );
                    return;
                }
            }
            match job(at).await {
                ScheduleRun::Done => {}
                // A server that shuts down has said so.
                ScheduleRun::Refused(Refusal::Draining) => {}
                ScheduleRun::Refused(_) => slot.skip(Skip::Refused, 1),
                ScheduleRun::Failed(failure) => slot.failed(&failure),
            }
        });
    }
}
