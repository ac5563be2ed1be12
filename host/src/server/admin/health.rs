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
    pub(in crate::server) started: SystemTime,
    /// Tasks without which it is no server.
    pub(in crate::server) tasks: Vec<AbortHandle>,
    /// Whether its runtime runs tasks.
    pub(in crate::server) pulse: Arc<Pulse>,
}

/// Signs of life of the server's runtime: the console has its own.
pub(in crate::server) struct Pulse {
    began: Instant,
    /// Milliseconds from then to the last.
    last: AtomicU64,
}

impl Pulse {
    /// Gives signs of life from a task of this runtime, until that is aborted.
    pub(in crate::server) fn start() -> (Arc<Self>, JoinHandle<()>) {
        let pulse = Arc::new(Self {
            began: Instant::now(),
            last: AtomicU64::new(0),
        });
        let beating = Arc::clone(&pulse);
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(BEAT).await;
                let now = beating.began.elapsed().as_millis();
                let now = u64::try_from(now).unwrap_or(u64::MAX);
                beating.last.store(now, Ordering::Relaxed);
            }
        });
        (pulse, task)
    }

    fn silent_for(&self) -> Duration {
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        self.began.elapsed().saturating_sub(last)
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
    let (standing, table) = (view.registry.standing(), view.registry.table());
    let refused = standing.refused.iter().map(|refused| {
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
        .chain(standing.troubles.iter().cloned())
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
