//! The runtime of a server: its settings and the backends of capabilities.

use std::path::Path;
use std::sync::Arc;

use axum::http::Extensions;

use super::start_error::StartError;
use crate::config::Config;
use crate::emitter::Emitter;
use crate::metrics::Metrics;
use crate::runtime::{
    CacheSettings, MessageSizes, OutgoingHttp, OutgoingSettings, Runtime, RuntimeSettings,
    this_program,
};

/// Creates a runtime as a server with these settings has it, but without key-value storage. Must be called within a
/// tokio runtime.
pub fn runtime(
    config: &Config,
    emitter: Emitter,
    metrics: &Arc<Metrics>,
) -> Result<Arc<Runtime>, StartError> {
    runtime_with(config, backends(config, emitter, metrics)?)
}

/// Creates the backends of capabilities that every runtime has.
pub(super) fn backends(
    config: &Config,
    emitter: Emitter,
    metrics: &Arc<Metrics>,
) -> Result<Extensions, StartError> {
    let mut backends = Extensions::new();
    backends.insert(emitter);
    backends.insert(outgoing_http(config, metrics)?);
    if let Some(bundler) = &config.bundler {
        backends.insert(bundler.clone());
    }
    Ok(backends)
}

/// Creates a runtime with the backends of capabilities.
pub(super) fn runtime_with(
    config: &Config,
    backends: Extensions,
) -> Result<Arc<Runtime>, StartError> {
    Runtime::new(runtime_settings(config, backends))
        .map(Arc::new)
        .map_err(|error| StartError::Runtime(format!("{error:#}")))
}

/// Creates the way of handlers to other servers.
fn outgoing_http(config: &Config, metrics: &Arc<Metrics>) -> Result<OutgoingHttp, StartError> {
    let settings = &config.outbound;
    let networks = settings.networks.clone();
    let outgoing = OutgoingSettings {
        requests: settings.requests,
        ca_file: settings.ca_file.as_deref(),
        networks: Box::new(move |address| networks.iter().any(|network| network.contains(address))),
    };
    OutgoingHttp::new(outgoing, Arc::clone(metrics)).map_err(|error| {
        let path = settings.ca_file.as_deref().unwrap_or(Path::new(""));
        StartError::Certificates(path.to_owned(), error)
    })
}

fn runtime_settings(config: &Config, backends: Extensions) -> RuntimeSettings {
    let half_of_memory = || usize::try_from(machine_memory() / 2).unwrap_or(usize::MAX);
    let budget = config
        .limits
        .memory_budget
        .map(|budget| usize::try_from(budget).unwrap_or(usize::MAX));
    RuntimeSettings {
        calls: config.limits.concurrency,
        memory_budget: budget.unwrap_or_else(half_of_memory),
        kept_instances: config.limits.kept_instances,
        sizes: MessageSizes {
            payload: config.server.body_limit,
            answer: config.server.answer_limit,
        },
        compiler: this_program(),
        // Guests get half of the machine, and what waits for clients a quarter.
        compile_memory: machine_memory() / 4,
        cache: CacheSettings {
            handlers: config.handlers.dir.clone(),
            dir: config.cache_folder(),
            max_bytes: config.cache.max_bytes,
        },
        backends,
    }
}

/// Returns the bytes of memory that this process may use: the limit of its control group, but at most the machine's.
pub(super) fn machine_memory() -> u64 {
    // The file holds `max` where the group has no limit, which does not parse.
    let group = std::fs::read_to_string("/sys/fs/cgroup/memory.max")
        .ok()
        .and_then(|text| text.trim().parse().ok());
    let info = rustix::system::sysinfo();
    let machine = info.totalram.saturating_mul(info.mem_unit.into());
    group.map_or(machine, |group: u64| group.min(machine))
}
