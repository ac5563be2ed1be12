//! Pages of the console below `/api`: handlers, routes, schedules, reloads and sockets as JSON. Names are in camel case
//! and times are in RFC 3339.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::{Shown, View};
use crate::registry::{
    Calls, Ended, HandlerRow, LastFailure, RefusedFile, Reload, Served, rows_of,
};
use crate::runtime::kinds::Declarations;
use crate::runtime::{HandlerSettings, InstanceEnd, KeptInstances, Life};
use crate::server::scheduler::{ListedSchedule, Skip};

/// Formats a point in time as RFC 3339 in UTC, with milliseconds.
fn time(at: SystemTime) -> String {
    humantime::format_rfc3339_millis(at).to_string()
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HandlersShown<'a> {
    handlers: Vec<HandlerShown<'a>>,
    refused: Vec<RefusedShown<'a>>,
    missing: &'a [String],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HandlerShown<'a> {
    name: &'a str,
    generation: u64,
    hash: String,
    size: usize,
    loaded_at: String,
    code: &'static str,
    compile_ms: u64,
    limits: &'a HandlerSettings,
    #[serde(flatten)]
    declared: &'a Declarations,
    calls: CallsShown,
    instances: InstancesShown,
    last_failure: Option<FailureShown>,
}

/// The instances that are kept between calls; only the life is known of a handler that has none.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InstancesShown {
    life: Life,
    living: Option<usize>,
    memory: Option<usize>,
    calls: Option<u64>,
    oldest_ms: Option<u64>,
    ended: Option<BTreeMap<&'static str, u64>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RefusedShown<'a> {
    file: &'a str,
    error: &'a str,
    serving_generation: Option<u64>,
}

#[derive(Serialize)]
struct CallsShown {
    total: u64,
    failed: u64,
    running: usize,
    outcomes: BTreeMap<&'static str, u64>,
}

#[derive(Serialize)]
struct FailureShown {
    time: String,
    what: String,
    error: String,
    id: String,
}

/// Returns the page `/api/handlers`: handlers that are served, files that are refused and required handlers that are
/// missing.
pub(super) fn handlers(view: &Arc<View>) -> Shown {
    let (table, status) = (view.registry.table(), view.registry.status());
    Shown::json(&HandlersShown {
        handlers: table.handlers.iter().map(|one| handler(one)).collect(),
        refused: status.refused.iter().map(refused).collect(),
        missing: &table.missing,
    })
}

fn handler(handler: &Served) -> HandlerShown<'_> {
    HandlerShown {
        name: &handler.name,
        generation: handler.generation,
        hash: handler.hash().to_string(),
        size: handler.size(),
        loaded_at: time(handler.loaded),
        code: handler.code_origin().name(),
        compile_ms: millis(handler.compile_time()),
        limits: &handler.settings,
        declared: &handler.declarations,
        calls: calls(&handler.calls, handler.running()),
        instances: instances(handler),
        last_failure: handler.calls.last_failure().map(failure),
    }
}

fn instances(handler: &Served) -> InstancesShown {
    let now = handler.kept_instances();
    let ended = |now: KeptInstances| {
        let ends = InstanceEnd::ALL.iter().map(|end| end.name());
        ends.zip(now.ended).collect()
    };
    InstancesShown {
        life: handler.settings.instances,
        living: now.map(|now| now.living),
        memory: now.map(|now| now.memory),
        calls: now.map(|now| now.calls),
        oldest_ms: now.and_then(|now| now.oldest).map(millis),
        ended: now.map(ended),
    }
}

fn refused(refused: &RefusedFile) -> RefusedShown<'_> {
    RefusedShown {
        file: &refused.file,
        error: &refused.cause,
        serving_generation: refused.serving,
    }
}

fn calls(calls: &Calls, running: usize) -> CallsShown {
    let counted = Ended::ALL.map(|how| (how, calls.count_of_all(how)));
    let sum = |which: fn(Ended) -> bool| {
        let which = counted.iter().filter(|(how, _)| which(*how));
        which.map(|(_, count)| count).sum()
    };
    CallsShown {
        total: sum(|_| true),
        failed: sum(Ended::is_fault),
        running,
        outcomes: counted
            .iter()
            .map(|(how, count)| (how.name(), *count))
            .collect(),
    }
}

fn failure(failure: LastFailure) -> FailureShown {
    FailureShown {
        time: time(failure.at),
        what: failure.what,
        error: failure.sentence,
        id: failure.id,
    }
}

#[derive(Serialize)]
struct RoutesShown<'a> {
    routes: Vec<HandlerRow<'a>>,
}

/// Returns the page `/api/routes`, sorted by path and then by method.
pub(super) fn routes(view: &Arc<View>) -> Shown {
    let table = view.registry.table();
    let mut kinds = rows_of(&table.handlers).into_iter();
    let routes = kinds.find(|kind| kind.words.key == "routes");
    Shown::json(&RoutesShown {
        routes: routes.map(|kind| kind.rows).unwrap_or_default(),
    })
}

#[derive(Serialize)]
struct SchedulesShown {
    schedules: Vec<ScheduleShown>,
}

#[derive(Serialize)]
struct ScheduleShown {
    name: String,
    handler: String,
    times: String,
    next: Option<String>,
    running: bool,
    skipped: BTreeMap<&'static str, u64>,
}

/// Returns the page `/api/schedules`, sorted by handler, in the order of declaration.
pub(super) fn schedules(view: &Arc<View>) -> Shown {
    Shown::json(&SchedulesShown {
        schedules: view.schedules.all().iter().map(schedule).collect(),
    })
}

fn schedule(listed: &ListedSchedule) -> ScheduleShown {
    let slot = &listed.slot;
    let at = |millis| SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
    ScheduleShown {
        name: slot.key.name.to_string(),
        handler: slot.key.handler.to_string(),
        times: listed.times.clone(),
        next: slot.next().map(|next| time(at(next))),
        running: slot.is_running(),
        skipped: Skip::ALL
            .iter()
            .map(|skip| (skip.name(), slot.skipped(*skip)))
            .collect(),
    }
}

#[derive(Serialize)]
struct ReloadsShown {
    reloads: Vec<ReloadShown>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReloadShown {
    time: String,
    file: String,
    what: &'static str,
    generation: Option<u64>,
    hash: Option<String>,
    build_ms: Option<u64>,
    compile_ms: Option<u64>,
    error: Option<String>,
}

/// Returns the page `/api/reloads`, with the newest reload first.
pub(super) fn reloads(view: &Arc<View>) -> Shown {
    let last = view.registry.journal().last();
    Shown::json(&ReloadsShown {
        reloads: last.into_iter().map(reload).collect(),
    })
}

fn reload(reload: Reload) -> ReloadShown {
    ReloadShown {
        time: time(reload.at),
        file: reload.file.to_string(),
        what: reload.what.name(),
        generation: reload.generation,
        hash: reload.hash.map(|hash| hash.to_string()),
        build_ms: reload.built.map(millis),
        compile_ms: reload.compiled.map(millis),
        error: reload.error,
    }
}

#[derive(Serialize)]
struct SocketsShown {
    sockets: u64,
    namespaces: Vec<NamespaceShown>,
    sessions: SessionsShown,
}

#[derive(Serialize)]
struct NamespaceShown {
    namespace: String,
    sockets: u64,
}

#[derive(Serialize)]
struct SessionsShown {
    open: usize,
    websocket: usize,
    polling: usize,
    unclaimed: usize,
}

/// Returns the page `/api/sockets`: numbers of sockets by namespace and of sessions by transport.
pub(super) fn sockets(view: &Arc<View>) -> Shown {
    let (websocket, polling) = view.sessions.by_transport();
    let namespaces = view.counts.counts().into_iter();
    let namespaces: Vec<_> = namespaces
        .map(|(namespace, sockets)| NamespaceShown { namespace, sockets })
        .collect();
    Shown::json(&SocketsShown {
        sockets: namespaces.iter().map(|namespace| namespace.sockets).sum(),
        namespaces,
        sessions: SessionsShown {
            open: websocket + polling,
            websocket,
            polling,
            unclaimed: view.sessions.unclaimed(),
        },
    })
}
