//! The signs by which the console tells whether the server works.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use tokio::task::{AbortHandle, JoinHandle};

/// Time between two heartbeats.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// The background tasks and the heartbeat of a server.
pub(in crate::server) struct Vitals {
    /// Time at which the server was started.
    pub(super) started: SystemTime,
    /// Tasks that end only by a bug.
    tasks: Vec<AbortHandle>,
    heartbeat: Heartbeat,
}

impl Vitals {
    /// Watches `tasks` and the current tokio runtime.
    ///
    /// Must be called within the server's runtime, because the console has a runtime of its own.
    pub(in crate::server) fn watch(started: SystemTime, tasks: Vec<AbortHandle>) -> Self {
        Self {
            started,
            tasks,
            heartbeat: Heartbeat::start(),
        }
    }

    /// Returns true if one of the tasks has ended.
    pub(super) fn has_ended_task(&self) -> bool {
        self.tasks.iter().any(AbortHandle::is_finished)
    }

    /// Returns the time since the last heartbeat.
    pub(super) fn silence(&self) -> Duration {
        self.heartbeat.silence()
    }

    /// Lets the heartbeat appear to have begun earlier by `time`.
    #[cfg(test)]
    pub(super) fn backdate(&mut self, time: Duration) {
        self.heartbeat.start -= time;
    }
}

/// A task that notes the time once a second while its runtime works. It is aborted when this is dropped.
struct Heartbeat {
    start: Instant,
    /// Milliseconds from the start to the last beat.
    last: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Heartbeat {
    fn start() -> Self {
        let (start, last) = (Instant::now(), Arc::new(AtomicU64::new(0)));
        let beat = Arc::clone(&last);
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(HEARTBEAT).await;
                let now = u64::try_from(start.elapsed().as_millis());
                // Relaxed is enough, because no other memory is read on the strength of this value.
                beat.store(now.unwrap_or(u64::MAX), Ordering::Relaxed);
            }
        });
        Self { start, last, task }
    }

    /// Returns the time since the last beat.
    fn silence(&self) -> Duration {
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        self.start.elapsed().saturating_sub(last)
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.task.abort();
    }
}
