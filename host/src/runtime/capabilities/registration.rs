//! `hitchy:platform/registration`: collects the declarations of a handler. They are checked after `describe` has ended.

use wasmtime::component::{HasSelf, Resource};

use super::capability::{Capability, Interfaces};
use crate::runtime::bindings::hitchy::platform::registration::{self, Host, HostRegistrar};
use crate::runtime::instance::handles::RegistrarHandle;
use crate::runtime::instance::state::State;
use crate::runtime::kinds::policy::Stage;
use crate::runtime::kinds::{Description, KEPT_COUNT, KEPT_TEXT};

pub(super) const CAPABILITY: Capability = Capability {
    interfaces: &[Interfaces::of_contract(&["registration"])],
    link: |linker| registration::add_to_linker::<State, HasSelf<State>>(linker, |state| state),
};

/// Cuts a text that is too long, so that a description cannot fill the host's memory. The text stays longer than
/// allowed, so that the check refuses it.
fn cut(mut text: String) -> String {
    if text.len() > KEPT_TEXT {
        text.truncate(text.floor_char_boundary(KEPT_TEXT));
        text.shrink_to_fit();
    }
    text
}

/// Adds a declaration to its list and returns its index. Drops declarations beyond [`KEPT_COUNT`], because the check
/// refuses the handler.
fn keep<T>(list: &mut Vec<T>, item: T) -> wasmtime::Result<u32> {
    let index = u32::try_from(list.len())?;
    if list.len() < KEPT_COUNT {
        list.push(item);
    }
    Ok(index)
}

impl Host for State {}

impl State {
    /// Returns the declarations that this call has made so far.
    fn description(&mut self) -> wasmtime::Result<&mut Description> {
        Ok(self.call_mut()?.notes())
    }
}

impl HostRegistrar for State {
    fn route(
        &mut self,
        _: Resource<RegistrarHandle>,
        method: String,
        path: String,
    ) -> wasmtime::Result<u32> {
        keep(&mut self.description()?.routes, (cut(method), cut(path)))
    }

    fn before(
        &mut self,
        _: Resource<RegistrarHandle>,
        method: String,
        prefix: String,
    ) -> wasmtime::Result<u32> {
        keep(
            &mut self.description()?.policies,
            (Stage::Before, cut(method), cut(prefix)),
        )
    }

    fn after(
        &mut self,
        _: Resource<RegistrarHandle>,
        method: String,
        prefix: String,
    ) -> wasmtime::Result<u32> {
        keep(
            &mut self.description()?.policies,
            (Stage::After, cut(method), cut(prefix)),
        )
    }

    fn listener(
        &mut self,
        _: Resource<RegistrarHandle>,
        namespace: String,
        event: String,
    ) -> wasmtime::Result<u32> {
        keep(
            &mut self.description()?.listeners,
            (cut(namespace), cut(event)),
        )
    }

    fn connection(
        &mut self,
        _: Resource<RegistrarHandle>,
        namespace: String,
    ) -> wasmtime::Result<u32> {
        keep(&mut self.description()?.connections, cut(namespace))
    }

    fn schedule(
        &mut self,
        _: Resource<RegistrarHandle>,
        name: String,
        spec: String,
    ) -> wasmtime::Result<u32> {
        keep(&mut self.description()?.schedules, (cut(name), cut(spec)))
    }

    fn drop(&mut self, registrar: Resource<RegistrarHandle>) -> wasmtime::Result<()> {
        let _taken = self.handles_mut()?.delete(&registrar)?;
        Ok(())
    }
}
