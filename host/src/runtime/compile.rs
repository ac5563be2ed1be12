//! Compiles components to native code and loads the code into this process.
//!
//! wasmtime does not promise that compiling is safe: a crafted file may make the compiler loop or use much memory. A
//! component is therefore compiled in a child process that runs this same program at low priority and under limits, one
//! component at a time.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::sync::Mutex;
use wasmtime::Engine;
use wasmtime::component::Component;

use super::engine;
use super::error::LoadError;

/// The hidden command that compiles one component from standard input to standard output.
pub const COMMAND: &str = "compile-component";
/// Largest size of a handler's file in bytes.
pub const MAX_FILE: u64 = 64 << 20;
/// Longest time that compiling one file may take.
const COMPILE_TIMEOUT: Duration = Duration::from_secs(60);
/// Processor time that the child process may use, in seconds.
const CHILD_CPU: u64 = 60;
/// Address space that the child process may use, in bytes.
const CHILD_MEMORY: u64 = 2 << 30;

/// The place in which components are compiled.
#[derive(Clone, Debug)]
pub enum Compiler {
    /// A child process that runs the program of this path.
    Child(PathBuf),
    /// This process. Tests and benchmarks use it, because their programs do not have the hidden command.
    Here,
}

/// Bytes of the child's standard error that are read.
const MAX_ERROR_TEXT: u64 = 16 << 10;

/// Compiles one component at a time.
pub(super) struct Compilation {
    compiler: Compiler,
    turn: Mutex<()>,
}

impl Compilation {
    pub(super) fn new(compiler: Compiler) -> Self {
        Self {
            compiler,
            turn: Mutex::default(),
        }
    }

    /// Compiles a component to native code for `engine`.
    pub(super) async fn compile(
        &self,
        engine: &Engine,
        wasm: Bytes,
    ) -> Result<Component, LoadError> {
        let _turn = self.turn.lock().await;
        let artifact = match &self.compiler {
            Compiler::Child(program) => in_child(program, wasm).await?,
            Compiler::Here => blocking(move || compile(&wasm)).await?,
        };
        let engine = engine.clone();
        blocking(move || deserialize(&engine, &artifact)).await
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

/// Compiles a component in a child process, with the component on its standard input.
async fn in_child(program: &PathBuf, wasm: Bytes) -> Result<Vec<u8>, LoadError> {
    let failed = |error: std::io::Error| LoadError::Compiler(error.to_string());
    let mut child = Command::new(program)
        .arg(COMMAND)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(mut stdin), Some(mut stdout), Some(stderr)) = pipes else {
        return Err(LoadError::Compiler("it has no pipes".to_owned()));
    };
    let work = async {
        let mut artifact = Vec::new();
        let mut error_text = Vec::new();
        let errors = async {
            let mut beginning = stderr.take(MAX_ERROR_TEXT);
            beginning.read_to_end(&mut error_text).await?;
            // The rest is read too, because a child that cannot write would wait for ever.
            tokio::io::copy(&mut beginning.into_inner(), &mut tokio::io::sink()).await
        };
        let write = async {
            let written = stdin.write_all(&wasm).await;
            drop(stdin);
            written
        };
        // A child that ends early stops reading. Its exit status and its error text say more than the broken pipe, so
        // the result of writing is ignored.
        let (_, read, _) = tokio::join!(write, stdout.read_to_end(&mut artifact), errors);
        read?;
        let error_text = String::from_utf8_lossy(&error_text).into_owned();
        Ok((child.wait().await?, artifact, error_text))
    };
    let (status, artifact, error_text) = match tokio::time::timeout(COMPILE_TIMEOUT, work).await {
        Ok(done) => done.map_err(failed)?,
        Err(_) => {
            return Err(LoadError::Compile(format!(
                "it took longer than {COMPILE_TIMEOUT:?}; build the handler smaller"
            )));
        }
    };
    match status.code() {
        Some(0) => Ok(artifact),
        Some(1) => Err(LoadError::Invalid(error_text.trim().to_owned())),
        _ => Err(LoadError::Compile(format!(
            "the compiling process ended with {status}; build the handler smaller"
        ))),
    }
}

/// Does the work of the hidden command: puts this process under limits and compiles `wasm` to native code.
///
/// # Errors
/// The sentence for the parent process, which reads it from standard error.
pub fn compile_in_child(wasm: &[u8]) -> Result<Vec<u8>, String> {
    use rustix::process::{Resource, Rlimit, nice, setrlimit};
    let limit = |bound| Rlimit {
        current: Some(bound),
        maximum: Some(bound),
    };
    // Errors are ignored, because the parent ends the compilation in any case.
    let _ = setrlimit(Resource::As, limit(CHILD_MEMORY));
    let _ = setrlimit(Resource::Cpu, limit(CHILD_CPU));
    let _ = setrlimit(Resource::Core, limit(0));
    let _ = nice(10);
    compile(wasm).map_err(|error| match error {
        LoadError::Invalid(cause) => cause,
        other => other.to_string(),
    })
}

/// Compiles a component to native code in this process.
fn compile(wasm: &[u8]) -> Result<Vec<u8>, LoadError> {
    let engine = engine::compiling().map_err(|error| LoadError::Compile(format!("{error:#}")))?;
    engine
        .precompile_component(wasm)
        .map_err(|error| LoadError::Invalid(format!("{error:#}")))
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

/// Returns the compiler that runs this program as it was started.
///
/// `/proc/self/exe` leads to the running program even if its file has been replaced meanwhile, for example by an
/// update.
pub fn this_program() -> Compiler {
    let itself = PathBuf::from("/proc/self/exe");
    let program = if itself.exists() {
        Ok(itself)
    } else {
        std::env::current_exe()
    };
    program.map_or(Compiler::Here, Compiler::Child)
}

/// The SHA-256 hash of a file's content. Equal hashes are taken for equal contents.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentHash([u8; 32]);

impl ContentHash {
    /// Computes the hash of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::{Digest, Sha256};
        Self(Sha256::digest(bytes).into())
    }
}

impl std::fmt::Display for ContentHash {
    /// Writes the first eight hexadecimal digits, which are enough for a person to distinguish versions.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0[..4]
            .iter()
            .try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl std::fmt::Debug for ContentHash {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{self}")
    }
}
