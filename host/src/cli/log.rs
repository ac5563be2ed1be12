//! Writes log records to standard error, one line each.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{Format, Log};

/// Starts logging. What is not ours is logged from warnings on.
pub(super) fn start(settings: &Log) {
    let level = settings.level.as_str();
    let filter = EnvFilter::new(format!("warn,hitchy={level},guest={level}"));
    // https://no-color.org
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && !no_color);
    // A second call, in one process, keeps the first.
    let _ = match settings.format {
        Format::Json => lines.json().flatten_event(true).try_init(),
        Format::Pretty => lines.with_target(false).try_init(),
    };
}
