//! The server's log, the lines of the sources, and the life of the instance.

use rquickjs::Result;
use rquickjs::convert::List;

use super::Host;
use crate::bindings::hitchy::platform::{instances, log};
use crate::files;

pub fn add(host: &Host<'_>) -> Result<()> {
    host.add("log", |level: u32, text: String| write(level, &text))?;
    host.add("sourceLine", |name: String, line: u32, column: u32| {
        let found = files::line(&name, line as usize, column as usize);
        found.map(|(text, column)| List((text, column as u32)))
    })?;
    host.add("life", instances::life)
}

/// Writes a record. Levels count from `trace` (0) to `error` (4).
pub fn write(level: u32, text: &str) {
    use log::Level;
    let level = match level {
        0 => Level::Trace,
        1 => Level::Debug,
        2 => Level::Info,
        3 => Level::Warn,
        _ => Level::Error,
    };
    log::write(level, text);
}
