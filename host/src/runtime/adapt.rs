//! Core modules: which of them can be made a component, and how.
//!
//! Toolchains for wasm32-wasip1 leave a core module. If it was built with bindings of the contract, it carries the
//! types of its imports and exports in a custom section, or `types_of_contract` knows them by the names of its exports.
//! It becomes a component together with an adapter, which plays WASI preview 1 on top of WASI 0.2.
//! [`adapter_if_module`] decides by the structure of a file. [`adapt`] does the work and runs in the child process that
//! also compiles, because it validates the whole module.

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER,
    WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wit_component::ComponentEncoder;

use super::error::LoadError;
use super::module_error::ModuleError;
use super::settings::Serve;
use super::types_of_contract;
use super::wasm_info::{WasmInfo, WasmKind};

/// The function of a module that has memory ready for the adapter. The bindings for Go have it, because Go's runtime
/// takes all memory above its own for its own and would overwrite that of the adapter.
const MEMORY_FOR_ADAPTER: &str = "cabi_realloc_adapter";

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
        (Serve::Exports, false)
            if module.has_component_type || types_of_contract::are_known(info) =>
        {
            Ok(Adapter::Reactor)
        }
        (Serve::Exports, false) => Err(ModuleError::NoTypes.into()),
    }
}

/// Makes a core module a component.
pub(super) fn adapt(module: &[u8], adapter: Adapter) -> Result<Vec<u8>, LoadError> {
    let info = WasmInfo::of(module)?;
    if adapter == Adapter::Reactor && !info.module.has_component_type {
        let typed = types_of_contract::add(module, &info)?;
        return encode(&typed, &info, adapter);
    }
    encode(module, &info, adapter)
}

fn encode(module: &[u8], info: &WasmInfo, adapter: Adapter) -> Result<Vec<u8>, LoadError> {
    let has_memory_for_adapter = info.exports.iter().any(|name| name == MEMORY_FOR_ADAPTER);
    let encode = || {
        ComponentEncoder::default()
            .validate(true)
            // The adapter's own memory grows the module's instead of calling its usual allocator, because an allocator
            // with a garbage collector, such as Go's, calls the adapter while it allocates.
            .realloc_via_memory_grow(!has_memory_for_adapter)
            .module(module)?
            .adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, adapter.module())?
            .encode()
    };
    encode().map_err(|error| ModuleError::Unfit(format!("{error:#}")).into())
}
