//! What the server keeps of one schedule from one of its times to the next.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::turn::ScheduleKey;
use crate::dispatch::ScheduleFailure;
use crate::lock::lock;
use crate::metrics::Count;
use crate::text::visible;

/// Time between two lines of the log about the same trouble of the same schedule.
const LOG_PAUSE: Duration = Duration::from_secs(60);

/// A reason for which a schedule did not run at one of its times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum Skip {
    /// The call before still ran.
    Running,
    /// The time had passed when the server noticed it, because the machine slept or its clock was put forward.
    Late,
    /// The server accepted nothing, because a required handler was missing.
    Refused,
}

impl Skip {
    /// All of them, in the order of the enum.
    pub(in crate::server) const ALL: [Self; 3] = [Self::Running, Self::Late, Self::Refused];

    /// Returns its name in metrics and in JSON.
    pub(in crate::server) fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Late => "late",
            Self::Refused => "refused",
        }
    }

    /// Returns the cause for the log.
    fn cause(self) -> &'static str {
        match self {
            Self::Running => "the call before still runs",
            Self::Late => "its time had passed (the machine slept, or its clock was put forward)",
            Self::Refused => "a required handler is missing (handlers.required)",
        }
    }
}

/// The state of one schedule. The scheduler changes it, and the console reads it.
pub(in crate::server) struct Slot {
    pub(in crate::server) key: ScheduleKey,
    /// The next time, in milliseconds since the Unix epoch; zero if there is none.
    next: AtomicU64,
    /// The last time at which the schedule ran or was skipped; zero if there was none.
    handled: AtomicU64,
    running: AtomicBool,
    skipped: [Count; Skip::ALL.len()],
    log: Mutex<LogState>,
}

/// When lines about a schedule were written last, and what was left out since.
#[derive(Default)]
struct LogState {
    failures: Throttle,
    skips: Throttle,
}

/// Lets a line through once in [`LOG_PAUSE`], and counts the lines in between.
#[derive(Default)]
struct Throttle {
    last: Option<Instant>,
    left_out: u64,
}

impl Throttle {
    /// Counts `lines`. Returns the number that was left out since the last line, if a line may be written
    /// `now`.
    fn pass(&mut self, now: Instant, lines: u64) -> Option<u64> {
        if self
            .last
            .is_some_and(|last| now.duration_since(last) < LOG_PAUSE)
        {
            self.left_out += lines;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.left_out) + lines - 1)
    }
}

/// Marks a schedule as running until it is dropped.
pub(super) struct Running(Arc<Slot>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.store(false, Ordering::Release);
    }
}

impl Slot {
    pub(super) fn new(key: ScheduleKey) -> Arc<Self> {
        Arc::new(Self {
            key,
            next: AtomicU64::new(0),
            handled: AtomicU64::new(0),
            running: AtomicBool::new(false),
            skipped: Default::default(),
            log: Mutex::default(),
        })
    }

    /// Returns the next time, in milliseconds since the Unix epoch.
    pub(in crate::server) fn next(&self) -> Option<u64> {
        Some(self.next.load(Ordering::Relaxed)).filter(|next| *next > 0)
    }

    pub(super) fn set_next(&self, next: Option<u64>) {
        self.next.store(next.unwrap_or_default(), Ordering::Relaxed);
    }

    /// Returns the last time at which it ran or was skipped; zero if there was none.
    pub(super) fn handled(&self) -> u64 {
        self.handled.load(Ordering::Relaxed)
    }

    pub(super) fn set_handled(&self, due: u64) {
        self.handled.store(due, Ordering::Relaxed);
    }

    /// Returns true while a call runs.
    pub(in crate::server) fn is_running(&self) -> bool {
        self.running.load(Ordering::Acquire)
    }

    /// Begins a run.
    pub(super) fn begin(self: &Arc<Self>) -> Running {
        self.running.store(true, Ordering::Release);
        Running(Arc::clone(self))
    }

    /// Returns how many times were skipped for a reason.
    pub(in crate::server) fn skipped(&self, skip: Skip) -> u64 {
        self.skipped[skip as usize].total()
    }

    /// Counts times that were skipped, and logs them, but not more often than once a minute.
    pub(super) fn skip(&self, skip: Skip, times: u64) {
        if times == 0 {
            return;
        }
        (0..times).for_each(|_| self.skipped[skip as usize].one());
        let Some(left_out) = lock(&self.log).skips.pass(Instant::now(), times) else {
            return;
        };
        tracing::warn!(
            handler = %visible(&self.key.handler),
            "schedule {} is skipped, because {}{}", self.key.name, skip.cause(), more(left_out, "skipped")
        );
    }

    /// Logs a failure, but not more often than once a minute.
    pub(super) fn failed(&self, failure: &ScheduleFailure) {
        let Some(left_out) = lock(&self.log).failures.pass(Instant::now(), 1) else {
            return;
        };
        let (handler, id) = (visible(&self.key.handler), &failure.id);
        let (name, sentence) = (&self.key.name, visible(&failure.sentence));
        let more = more(left_out, "failed");
        if failure.is_fault {
            tracing::error!(%handler, call = %id, "schedule {name}: {sentence}{more}");
        } else {
            tracing::warn!(%handler, call = %id, "schedule {name}: {sentence}{more}");
        }
    }
}

/// Returns the end of a line that stands for others too.
fn more(left_out: u64, what: &str) -> String {
    match left_out {
        0 => String::new(),
        1 => format!("; it {what} once more since the last such line"),
        times => format!("; it {what} {times} times more since the last such line"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i12_5_a_trouble_is_logged_once_a_minute_with_the_number_of_the_rest() {
        let (mut throttle, began) = (Throttle::default(), Instant::now());
        let at = |seconds| began + Duration::from_secs(seconds);
        assert_eq!(throttle.pass(at(0), 1), Some(0));
        for second in 1..60 {
            assert_eq!(throttle.pass(at(second), 1), None);
        }
        assert_eq!(throttle.pass(at(60), 1), Some(59));
        assert_eq!(throttle.pass(at(120), 3), Some(2));
    }
}
