//! `hitchy:platform/instances`: what the host knows of the instance that runs.

use wasmtime::component::HasSelf;

use super::capability::{Capability, Interfaces};
use crate::payload::Failure;
use crate::runtime::bindings::hitchy::platform::instances::{self, Host};
use crate::runtime::instance::state::State;

pub(super) const CAPABILITY: Capability = Capability {
    interfaces: &[Interfaces::of_contract(&["instances"])],
    link: |linker| instances::add_to_linker::<State, HasSelf<State>>(linker, |state| state),
};

impl Host for State {
    fn life(&mut self) -> wasmtime::Result<String> {
        self.serving().map_err(refused)?;
        Ok(self.instance.life.to_string())
    }

    fn calls(&mut self) -> wasmtime::Result<u32> {
        self.serving().map_err(refused)?;
        Ok(self.instance.calls)
    }
}

/// Ends a call of `describe`, because declarations may not depend on the instance and the functions have no error.
fn refused(failure: Failure) -> wasmtime::Error {
    wasmtime::Error::msg(failure.message)
}
