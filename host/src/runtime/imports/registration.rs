//! `hitchy:platform/registration`: collects what a handler declares. It is checked when all of it is there.

use wasmtime::component::Resource;

use crate::runtime::bindings::hitchy::platform::registration::{Host, HostRegistrar};
use crate::runtime::state::{RegistrarHandle, State};

/// Declarations of one kind that are kept: one more than allowed, so that the excess is seen.
const KEPT: usize = 257;

/// What a handler said of itself, unchecked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Description {
    /// Method and path.
    pub routes: Vec<(String, String)>,
    /// Stage, method and prefix.
    pub policies: Vec<(Stage, String, String)>,
    /// Namespace and event.
    pub listeners: Vec<(String, String)>,
    /// Namespaces.
    pub connections: Vec<String>,
}

/// When a policy runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Before a request is answered.
    Before,
    /// When it has been answered.
    After,
}

fn keep<T>(list: &mut Vec<T>, item: T) -> wasmtime::Result<u32> {
    let index = u32::try_from(list.len())?;
    if list.len() < KEPT {
        list.push(item);
    }
    Ok(index)
}

impl Host for State {}

impl HostRegistrar for State {
    fn route(
        &mut self,
        _: Resource<RegistrarHandle>,
        method: String,
        path: String,
    ) -> wasmtime::Result<u32> {
        keep(&mut self.description.routes, (method, path))
    }

    fn before(
        &mut self,
        _: Resource<RegistrarHandle>,
        method: String,
        prefix: String,
    ) -> wasmtime::Result<u32> {
        keep(
            &mut self.description.policies,
            (Stage::Before, method, prefix),
        )
    }

    fn after(
        &mut self,
        _: Resource<RegistrarHandle>,
        method: String,
        prefix: String,
    ) -> wasmtime::Result<u32> {
        keep(
            &mut self.description.policies,
            (Stage::After, method, prefix),
        )
    }

    fn listener(
        &mut self,
        _: Resource<RegistrarHandle>,
        namespace: String,
        event: String,
    ) -> wasmtime::Result<u32> {
        keep(&mut self.description.listeners, (namespace, event))
    }

    fn connection(
        &mut self,
        _: Resource<RegistrarHandle>,
        namespace: String,
    ) -> wasmtime::Result<u32> {
        keep(&mut self.description.connections, namespace)
    }

    fn drop(&mut self, registrar: Resource<RegistrarHandle>) -> wasmtime::Result<()> {
        self.table.delete(registrar)?;
        Ok(())
    }
}
