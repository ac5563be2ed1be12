//! `hitchy:platform/log`: records and output of guests, for the server's log.

use wasmtime::component::HasSelf;

use super::capability::{Capability, Interfaces};
use crate::runtime::bindings::hitchy::platform::log::{self, Host, Level, Output};
use crate::runtime::instance::state::State;

pub(super) const CAPABILITY: Capability = Capability {
    interfaces: &[Interfaces::of_contract(&["log"])],
    link: |linker| log::add_to_linker::<State, HasSelf<State>>(linker, |state| state),
};

impl Host for State {
    fn write(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        let level = match level {
            Level::Trace => tracing::Level::TRACE,
            Level::Debug => tracing::Level::DEBUG,
            Level::Info => tracing::Level::INFO,
            Level::Warn => tracing::Level::WARN,
            Level::Error => tracing::Level::ERROR,
        };
        self.instance.output.record(level, &message);
        Ok(())
    }

    fn print(&mut self, to: Output, text: Vec<u8>) -> wasmtime::Result<()> {
        self.instance.output.print(&text, to == Output::Error);
        Ok(())
    }
}
