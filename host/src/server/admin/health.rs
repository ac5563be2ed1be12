//! Whether the process is sound, and whether it answers: what probes ask.
//!
//! Sound is a process that a restart would not mend. What an operator has to mend is listed, and does not fail the probe.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;
use tokio::task::{AbortHandle, JoinHandle};

use super::{Shown, View};
use crate::dispatch::Refusal;

/// Time between two signs of life.
const BEAT: Duration = Duration::from_secs(1);
/// A server that has given none for so long hangs.
const SILENCE: Duration = Duration::from_secs(30);

/// What tells a server that lives from one that is half alive.
pub(in crate::server) struct Vitals {
    /// When it was started.
    pub(super) started: SystemTime,
    /// Tasks without which it is no server.
    tasks: Vec<AbortHandle>,
    pulse: Pulse,
}

impl Vitals {
    /// Watches these tasks, and the runtime in which this is called: the console has one of its own.
    pub(in crate::server) fn watch(started: SystemTime, tasks: Vec<AbortHandle>) -> Self {
        Self {
            started,
            tasks,
            pulse: Pulse::start(),
        }
    }
}

/// Signs of life of a runtime. They end when this is dropped.
struct Pulse {
    began: Instant,
    /// Milliseconds from then to the last.
    last: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Pulse {
    fn start() -> Self {
        let (began, last) = (Instant::now(), Arc::new(AtomicU64::new(0)));
        let beat = Arc::clone(&last);
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(BEAT).await;
                let now = u64::try_from(began.elapsed().as_millis());
                beat.store(now.unwrap_or(u64::MAX), Ordering::Relaxed);
            }
        });
        Self { began, last, task }
    }

    fn silent_for(&self) -> Duration {
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        self.began.elapsed().saturating_sub(last)
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<String>,
}

/// 200 while a restart would mend nothing.
pub(super) fn healthz(view: &Arc<View>) -> Shown {
    let failures = failures(&view.vitals);
    let is_sound = failures.is_empty();
    let problems: Vec<String> = failures.into_iter().chain(troubles(view)).collect();
    let status = match (is_sound, problems.is_empty()) {
        (false, _) => "failing",
        (true, false) => "degraded",
        (true, true) => "ok",
    };
    Shown::json(&Health { status, problems }).unless(is_sound)
}

/// Why the process should be restarted.
fn failures(vitals: &Vitals) -> Vec<String> {
    let mut failures = Vec::new();
    if vitals.tasks.iter().any(AbortHandle::is_finished) {
        let sentence = "the server is half alive: a task of its own has ended, and the log says why; start it again";
        failures.push(sentence.to_owned());
    }
    let silence = vitals.pulse.silent_for();
    if silence > SILENCE {
        failures.push(format!(
            "the server hangs: its tasks have not run for {} seconds; start it again",
            silence.as_secs()
        ));
    }
    failures
}

/// What an operator has to mend.
fn troubles(view: &View) -> Vec<String> {
    let (status, table) = (view.registry.status(), view.registry.table());
    let refused = status.refused.iter().map(|refused| {
        let (file, cause) = (&refused.file, &refused.cause);
        match refused.serving {
            Some(generation) => {
                format!("{file}: refused: {cause}; still serving generation {generation}")
            }
            None => format!("{file}: refused: {cause}; not served"),
        }
    });
    let missing = table.missing.iter().map(|name| {
        format!("{name}.wasm is required (handlers.required) and is not served: nothing is answered until it is")
    });
    missing
        .chain(status.troubles.iter().cloned())
        .chain(refused)
        .collect()
}

#[derive(Serialize)]
struct Readiness<'a> {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    missing: &'a [String],
}

/// 200 while requests are answered.
pub(super) fn readyz(view: &Arc<View>) -> Shown {
    let (status, reason) = match view.dispatch.readiness() {
        Ok(()) => ("ready", None),
        Err(Refusal::Starting) => (
            "starting",
            Some("the handlers folder has not been read yet"),
        ),
        Err(Refusal::Draining) => ("draining", Some("the server is shutting down")),
        Err(Refusal::Unguarded) => (
            "unguarded",
            Some("a required handler is not served (handlers.required)"),
        ),
    };
    let table = view.registry.table();
    let answer = Readiness {
        status,
        reason,
        missing: &table.missing,
    };
    Shown::json(&answer).unless(reason.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn r08_a_server_whose_task_has_ended_is_half_alive() {
        let task = tokio::spawn(async {});
        let vitals = Vitals::watch(SystemTime::now(), vec![task.abort_handle()]);
        task.await.expect("it does nothing");
        assert!(failures(&vitals)[0].contains("half alive"));
    }

    #[tokio::test]
    async fn a_runtime_without_signs_of_life_hangs() {
        let following = tokio::spawn(std::future::pending::<()>());
        let mut vitals = Vitals::watch(SystemTime::now(), vec![following.abort_handle()]);
        assert!(failures(&vitals).is_empty());
        vitals.pulse.began -= SILENCE * 2;
        assert!(failures(&vitals)[0].contains("hangs"));
    }
}
