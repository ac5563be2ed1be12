//! Writes log records to standard error, one line each.
//!
//! A thread of its own writes them. A reader that has gone, a reader that is stuck and a disk that is full cost lines
//! of the log; the tasks that log neither fail nor wait.

use std::io::IsTerminal;

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

use super::output::terminal;
use crate::config::{Format, Log};

/// The most lines that wait to be written. Later lines are dropped. A line that a guest prints has up to 4 KiB, so that
/// about 16 MiB wait for a reader that is stuck.
const MAX_WAITING_LINES: usize = 4096;

/// Writes the lines that still wait when it is dropped, for at most about a second.
#[must_use = "the log ends when this is dropped"]
pub(super) struct LogGuard(#[expect(dead_code, reason = "only dropped")] WorkerGuard);

/// Starts logging at the level of the settings. Other crates are logged from warnings on.
pub(super) fn start(settings: &Log) -> LogGuard {
    let level = settings.level.as_str();
    // A guest can cause the warnings of wasmtime-wasi-http (48) as often as it likes.
    let filter = format!("warn,hitchy={level},guest={level},wasmtime_wasi_http=error");
    let filter = EnvFilter::new(filter);
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(MAX_WAITING_LINES)
        .thread_name("log")
        .finish(std::io::stderr());
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        // It would print errors with `eprintln!`, which panics if standard error is closed.
        .log_internal_errors(false)
        .with_ansi(std::io::stderr().is_terminal() && terminal::colours_wanted());
    // A second call in one process fails, and the first subscriber stays.
    let _ = match settings.format {
        Format::Json => lines.json().flatten_event(true).try_init(),
        Format::Pretty => lines.with_target(false).try_init(),
    };
    LogGuard(guard)
}
