//! The two kinds of native code: of components, and of core modules that components import.

use wasmtime::component::Component;
use wasmtime::{Engine, Module};

use super::super::error::LoadError;
use super::job::Job;

/// Native code that is loaded into this process.
pub(in crate::runtime) trait Native: Sized + Send + 'static {
    /// The job that makes it.
    const JOB: Job;

    /// Loads it from the bytes that its job returned, in this process or in an earlier one.
    fn load(engine: &Engine, artifact: &[u8]) -> wasmtime::Result<Self>;
}

/// Loads native code into this process.
pub(super) fn load<C: Native>(engine: &Engine, artifact: &[u8]) -> Result<C, LoadError> {
    C::load(engine, artifact).map_err(|error| LoadError::Compile(format!("{error:#}")))
}

impl Native for Component {
    const JOB: Job = Job::Compile;

    #[allow(unsafe_code)]
    fn load(engine: &Engine, artifact: &[u8]) -> wasmtime::Result<Self> {
        // SAFETY: `deserialize` requires bytes that wasmtime's own `precompile_component` returned. It returned them in
        // this process, or in a child process that runs this same program and whose pipe has no other writer. Bytes
        // from the cache came from such a process once: they carry a seal over all of them and over what they were
        // compiled for, wasmtime's exact version among it, which only the server's user can make (`artifact/seal`).
        // They were read into memory before the seal was compared, so that they are the bytes that are loaded.
        let component = unsafe { Self::deserialize(engine, artifact) }?;
        component.initialize_copy_on_write_image()?;
        Ok(component)
    }
}

impl Native for Module {
    const JOB: Job = Job::Module;

    #[allow(unsafe_code)]
    fn load(engine: &Engine, artifact: &[u8]) -> wasmtime::Result<Self> {
        // SAFETY: as for components, the bytes are those that wasmtime's own `precompile_module` returned, here, in a
        // child process or, under a seal, in an earlier process. wasmtime itself tells modules from components.
        unsafe { Self::deserialize(engine, artifact) }
    }
}
