//! `hitchy:platform/registration`: collects what a handler declares. It is checked when all of it is there.

use wasmtime::component::Resource;

use crate::runtime::bindings::hitchy::platform::registration::{Host, HostRegistrar};
use crate::runtime::state::{RegistrarHandle, State};

/// Declarations of one kind that are kept: one more than allowed, so that the excess is seen.
const KEPT: usize = 257;
/// Bytes of a text that are kept: more than allowed, so that the excess is seen.
const KEPT_TEXT: usize = 1032;

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

impl Stage {
    /// `before` or `after`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
        }
    }
}

/// A text, cut so that one that is too long can still be told: nothing of a description may fill the host's memory.
fn cut(mut text: String) -> String {
    if text.len() > KEPT_TEXT {
        text.truncate(text.floor_char_boundary(KEPT_TEXT));
        text.shrink_to_fit();
    }
    text
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
        keep(&mut self.description.routes, (cut(method), cut(path)))
    }

    fn before(
        &mut self,
        _: Resource<RegistrarHandle>,
        method: String,
        prefix: String,
    ) -> wasmtime::Result<u32> {
        keep(
            &mut self.description.policies,
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
            &mut self.description.policies,
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
            &mut self.description.listeners,
            (cut(namespace), cut(event)),
        )
    }

    fn connection(
        &mut self,
        _: Resource<RegistrarHandle>,
        namespace: String,
    ) -> wasmtime::Result<u32> {
        keep(&mut self.description.connections, cut(namespace))
    }

    fn drop(&mut self, registrar: Resource<RegistrarHandle>) -> wasmtime::Result<()> {
        self.table.delete(registrar)?;
        Ok(())
    }
}
