//! Native code of components.

use wasmtime::Engine;
use wasmtime::component::Component;

use super::super::error::LoadError;

/// Loads native code into this process.
pub(super) fn load(engine: &Engine, artifact: &[u8]) -> Result<Component, LoadError> {
    let loaded = deserialize(engine, artifact);
    loaded.map_err(|error| LoadError::Compile(format!("{error:#}")))
}

#[allow(unsafe_code)]
fn deserialize(engine: &Engine, artifact: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: `deserialize` requires bytes that wasmtime's own `precompile_component` returned. It returned them in
    // this process, or in a child process that runs this same program and whose pipe has no other writer. Bytes
    // from the cache came from such a process once: they carry a seal over all of them and over what they were
    // compiled for, wasmtime's exact version among it, which only the server's user can make (`artifact/seal`).
    // They were read into memory before the seal was compared, so that they are the bytes that are loaded.
    let component = unsafe { Component::deserialize(engine, artifact) }?;
    component.initialize_copy_on_write_image()?;
    Ok(component)
}
