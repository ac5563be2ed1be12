//! Compiles components to native code and loads the code into this process.
//!
//! wasmtime does not promise that compiling is safe: a crafted file may make the compiler loop or use much memory. A
//! component is therefore compiled in a child process that runs this same program at low priority and under limits, one
//! component at a time.
//!
//! The child gets the file on its standard input, after the job and the file's length, and the input stays open until the
//! child has ended. The end of the input means that the parent has ended, however that happened, and ends the child.

mod child;
mod command;
mod compiler;
mod job;

use bytes::Bytes;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use wasmtime::Engine;
use wasmtime::component::Component;

pub use self::command::{COMMAND, CompileError, compile_in_child};
pub use self::compiler::{Compiler, this_program};

use self::child::in_child;
use self::job::Job;
use super::adapt::Adapter;
use super::error::LoadError;

/// Largest size of a handler's file in bytes.
pub const MAX_FILE: u64 = 64 << 20;

/// Compiles one component at a time.
pub(super) struct Compilation {
    compiler: Compiler,
    /// Held while a component is compiled.
    turn: Mutex<()>,
    stopping: CancellationToken,
}

impl Compilation {
    pub(super) fn new(compiler: Compiler) -> Self {
        Self {
            compiler,
            turn: Mutex::default(),
            stopping: CancellationToken::new(),
        }
    }

    /// Compiles a component to native code for `engine`. After [`Compilation::stop`] this future never ends, because
    /// the file is not at fault and nobody needs it any more.
    pub(super) async fn compile(
        &self,
        engine: &Engine,
        wasm: Bytes,
    ) -> Result<Component, LoadError> {
        let artifact = self.run(Job::Compile, wasm).await?;
        let engine = engine.clone();
        blocking(move || deserialize(&engine, &artifact)).await
    }

    /// Makes a core module a component. After [`Compilation::stop`] this future never ends.
    pub(super) async fn adapt(&self, module: Bytes, adapter: Adapter) -> Result<Bytes, LoadError> {
        self.run(Job::Adapt(adapter), module).await.map(Bytes::from)
    }

    async fn run(&self, job: Job, wasm: Bytes) -> Result<Vec<u8>, LoadError> {
        let turn = self.turn.lock().await;
        let result = match &self.compiler {
            Compiler::Child(program) => in_child(program, job, wasm, &self.stopping).await?,
            Compiler::Here => Some(blocking(move || job.run(&wasm)).await?),
        };
        let Some(result) = result else {
            drop(turn);
            return std::future::pending().await;
        };
        Ok(result)
    }

    /// Ends the child process that compiles, and lets no other begin. Returns when the child has ended.
    pub(super) async fn stop(&self) {
        self.stopping.cancel();
        let _turn = self.turn.lock().await;
    }
}

/// Runs work that takes long on a thread of its own, so that no async worker is blocked.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LoadError> + Send + 'static,
) -> Result<T, LoadError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| LoadError::Compile(error.to_string()))?
}

/// Loads native code into this process.
#[allow(unsafe_code)]
fn deserialize(engine: &Engine, artifact: &[u8]) -> Result<Component, LoadError> {
    // SAFETY: `deserialize` requires bytes that wasmtime's own `precompile_component` returned. It returned them in
    // this process, or in a child process that runs this same program. The child's pipe has no other writer, and the
    // bytes were never in a file.
    let component = unsafe { Component::deserialize(engine, artifact) }
        .map_err(|error| LoadError::Compile(format!("{error:#}")))?;
    component
        .initialize_copy_on_write_image()
        .map_err(|error| LoadError::Compile(format!("{error:#}")))?;
    Ok(component)
}

/// Returns the names of the interfaces that a component imports and `known` does not accept.
pub(super) fn unknown_imports(
    engine: &Engine,
    component: &Component,
    known: impl Fn(&str) -> bool,
) -> Vec<String> {
    let ty = component.component_type();
    ty.imports(engine)
        .map(|(name, _)| name.to_owned())
        .filter(|name| !known(name))
        .collect()
}
