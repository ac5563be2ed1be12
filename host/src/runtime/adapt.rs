//! Core modules: which of them can be made a component, and how.
//!
//! Toolchains for wasm32-wasip1 leave a core module. If it was built with bindings of the contract, it carries the
//! types of its imports and exports in a custom section, and becomes a component together with an adapter, which plays
//! WASI preview 1 on top of WASI 0.2. [`adapter_if_module`] decides by the structure of a file. [`adapt`] does the work
//! and runs in the child process that also compiles, because it validates the whole module.

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER,
    WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wit_component::ComponentEncoder;

use super::error::LoadError;
use super::module_error::ModuleError;
use super::settings::Serve;
use super::wasm_info::{WasmInfo, WasmKind};

/// The adapter that a core module needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Adapter {
    /// The module is a library, whose exports are called.
    Reactor,
    /// The module is a command, which runs once from `_start` to its end.
    Command,
}

impl Adapter {
    fn module(self) -> &'static [u8] {
        match self {
            Self::Reactor => WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
            Self::Command => WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER,
        }
    }
}

/// Returns the adapter for a file, or `None` if the file is a component.
pub(super) fn adapter_if_module(
    info: &WasmInfo,
    serve: Serve,
) -> Result<Option<Adapter>, LoadError> {
    if info.kind == WasmKind::Component {
        return Ok(None);
    }
    adapter_for(info, serve).map(Some)
}

/// Returns the adapter for a core module that is served as `serve` says. Fails if the module cannot become a component
/// that is served so.
fn adapter_for(info: &WasmInfo, serve: Serve) -> Result<Adapter, LoadError> {
    let module = &info.module;
    if module.imports_preview0 {
        return Err(ModuleError::Preview0.into());
    }
    if module.has_shared_memory {
        return Err(ModuleError::Threads.into());
    }
    if module.has_memory64 {
        return Err(ModuleError::Memory64.into());
    }
    match (serve, module.is_command) {
        (Serve::Cgi, true) => Ok(Adapter::Command),
        (Serve::Cgi, false) => Err(LoadError::NoCommand("no function `_start`".to_owned())),
        (Serve::Exports, true) => Err(LoadError::Command("has the function `_start`")),
        (Serve::Exports, false) if module.has_component_type => Ok(Adapter::Reactor),
        (Serve::Exports, false) => Err(ModuleError::NoTypes.into()),
    }
}

/// Makes a core module a component.
pub(super) fn adapt(module: &[u8], adapter: Adapter) -> Result<Vec<u8>, LoadError> {
    let encode = || {
        ComponentEncoder::default()
            .validate(true)
            // The adapter's own memory grows the module's instead of calling its allocator, because an allocator with a
            // garbage collector, such as Go's, calls the adapter while it allocates.
            .realloc_via_memory_grow(true)
            .module(module)?
            .adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, adapter.module())?
            .encode()
    };
    encode().map_err(|error| ModuleError::Unfit(format!("{error:#}")).into())
}
