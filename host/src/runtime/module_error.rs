//! Errors of core modules that cannot be made components.

/// Reasons why a core module cannot be made a component. Each sentence continues "this core WebAssembly module".
#[derive(Debug, thiserror::Error)]
pub enum ModuleError {
    /// The module has no section with the types of its imports and exports.
    #[error(
        "does not say what it imports and exports (it has no component-type section): it was not built with bindings made by \
         wit-bindgen; build it with them, or for the target wasm32-wasip2"
    )]
    NoTypes,
    /// The module imports the WASI of before 2020.
    #[error(
        "imports wasi_unstable, the WASI of before 2020; build it with a newer toolchain, for wasm32-wasip1 or wasm32-wasip2"
    )]
    Preview0,
    /// The module has a memory for several threads.
    #[error(
        "has a shared memory, and handlers have no threads; build it for wasm32-wasip1 instead of wasm32-wasip1-threads"
    )]
    Threads,
    /// The module has a memory with 64-bit addresses.
    #[error(
        "has a memory with 64-bit addresses (memory64), and components have 32-bit addresses; build it for wasm32"
    )]
    Memory64,
    /// The module and what it says of itself do not fit together. The text is the cause, in the encoder's words.
    #[error(
        "cannot be made a component: {0}; build it for wasm32-wasip1 with bindings made by wit-bindgen, or for wasm32-wasip2"
    )]
    Unfit(String),
}
