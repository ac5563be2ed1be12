//! The pages for probes: `/healthz` for the health of the process, `/readyz` for its readiness to answer.
//!
//! The health probe fails only if a restart would help. Problems that an operator has to solve are listed and
//! do not fail the probe.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::view::{Shown, View};
use super::vitals::Vitals;
use crate::dispatch::Refusal;
use crate::kv;

/// Time without a heartbeat after which the server counts as hanging.
const MAX_SILENCE: Duration = Duration::from_secs(30);

#[derive(Serialize)]
struct Health {
    status: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<String>,
}

/// Returns the page `/healthz`: 503 if the process should be restarted, else 200.
pub(super) fn healthz(view: &Arc<View>) -> Shown {
    let failures = failures(&view.vitals);
    let is_sound = failures.is_empty();
    let problems: Vec<String> = failures.into_iter().chain(problems(view)).collect();
    let status = match (is_sound, problems.is_empty()) {
        (false, _) => "failing",
        (true, false) => "degraded",
        (true, true) => "ok",
    };
    Shown::json(&Health { status, problems }).unavailable_unless(is_sound)
}

/// Returns the reasons for which the process should be restarted.
fn failures(vitals: &Vitals) -> Vec<String> {
    let mut failures = Vec::new();
    if vitals.has_ended_task() {
        let sentence = "the server is half alive: a task of its own has ended, and the log says why; start it again";
        failures.push(sentence.to_owned());
    }
    let silence = vitals.silence();
    if silence > MAX_SILENCE {
        failures.push(format!(
            "the server hangs: its tasks have not run for {} seconds; start it again",
            silence.as_secs()
        ));
    }
    failures
}

/// Returns the problems that an operator has to solve: missing handlers, troubles of the registry and refused files.
fn problems(view: &View) -> Vec<String> {
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
        format!("the handler {name} is required (handlers.required) and is not served: nothing is answered until it is")
    });
    missing
        .chain(cluster_problem(view))
        .chain(storage_problem(view))
        .chain(status.troubles.iter().cloned())
        .chain(refused)
        .collect()
}

/// Returns what does not work of the connections to other nodes.
fn cluster_problem(view: &View) -> Option<String> {
    view.cluster.as_ref()?.problem()
}

/// Returns what does not work of key-value storage.
fn storage_problem(view: &View) -> Option<String> {
    match view.store.health() {
        kv::Health::Degraded(sentence) => Some(sentence),
        kv::Health::Unused | kv::Health::Ok => None,
    }
}

/// The memory of what waits to be sent to all clients, in bytes.
#[derive(Serialize)]
struct Memory {
    used: u64,
    limit: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Readiness<'a> {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    missing: &'a [String],
    outbound_memory: Memory,
    /// What does not work of key-value storage. Requests are answered all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    degraded: Option<String>,
}

/// Returns the page `/readyz`: 200 while requests are answered, else 503 with the reason. It shows how much waits to be
/// sent, which does not make the server unready.
pub(super) fn readyz(view: &Arc<View>) -> Shown {
    let (status, reason) = match view.dispatch.readiness() {
        Ok(()) => ("ready", None),
        Err(refusal) => {
            let (status, reason) = why_not(view, refusal);
            (status, Some(reason))
        }
    };
    let (table, is_ready) = (view.registry.table(), reason.is_none());
    let answer = Readiness {
        status,
        reason,
        missing: &table.missing,
        outbound_memory: Memory {
            used: view.sessions.memory().used(),
            limit: view.sessions.memory().total(),
        },
        degraded: storage_problem(view),
    };
    Shown::json(&answer).unavailable_unless(is_ready)
}

/// Returns the status of a server that answers nothing at the moment, and the reason.
fn why_not(view: &View, refusal: Refusal) -> (&'static str, String) {
    let (status, reason) = match refusal {
        Refusal::Starting => ("starting", "the handlers folder has not been read yet"),
        Refusal::Draining => ("draining", "the server is shutting down"),
        Refusal::Unguarded => (
            "unguarded",
            "a required handler is not served (handlers.required)",
        ),
        Refusal::Waiting => {
            let place = view.cluster.as_ref().map_or("", |cluster| cluster.place());
            return ("waiting", format!("waiting for Redis at {place}"));
        }
    };
    (status, reason.to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

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
        vitals.backdate(MAX_SILENCE * 2);
        assert!(failures(&vitals)[0].contains("hangs"));
    }
}
