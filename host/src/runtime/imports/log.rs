//! `hitchy:platform/log`: what guests write into the server's log.

use crate::runtime::bindings::hitchy::platform::log::{Host, Level, Output};
use crate::runtime::state::State;

impl Host for State {
    fn write(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        let level = match level {
            Level::Trace => tracing::Level::TRACE,
            Level::Debug => tracing::Level::DEBUG,
            Level::Info => tracing::Level::INFO,
            Level::Warn => tracing::Level::WARN,
            Level::Error => tracing::Level::ERROR,
        };
        self.output.record(level, &message);
        Ok(())
    }

    fn print(&mut self, to: Output, text: Vec<u8>) -> wasmtime::Result<()> {
        self.output.print(&text, to == Output::Error);
        Ok(())
    }
}
