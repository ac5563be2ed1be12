//! Writes log records to standard error, one line each.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use super::output::terminal;
use crate::config::{Format, Log};

/// Starts logging at the level of the settings. Other crates are logged from warnings on.
pub(super) fn start(settings: &Log) {
    let level = settings.level.as_str();
    let filter = EnvFilter::new(format!("warn,hitchy={level},guest={level}"));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && terminal::colours_wanted());
    // A second call in one process fails, and the first subscriber stays.
    let _ = match settings.format {
        Format::Json => lines.json().flatten_event(true).try_init(),
        Format::Pretty => lines.with_target(false).try_init(),
    };
}
