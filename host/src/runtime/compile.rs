//! Compiles components to native code, and brings the code into this process.
//!
//! Compiling is outside wasmtime's promise of safety: a crafted file may make it loop or use much memory. Therefore a
//! child process of this same program compiles, one file at a time, at low priority and under limits.

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
/// The largest file that can be a handler, in bytes.
pub const MAX_FILE: u64 = 64 << 20;
/// The longest time that compiling one file may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Seconds of processor time that the child may use.
const CHILD_CPU: u64 = 60;
/// Bytes of address space that the child may use.
const CHILD_MEMORY: u64 = 2 << 30;

/// The process in which components are compiled.
#[derive(Clone, Debug)]
pub enum Compiler {
    /// In a child process that runs this program.
    Child(PathBuf),
    /// In this process: for tests and benchmarks, whose program has no such command.
    Here,
}

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
        blocking(move || adopt(&engine, &artifact)).await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LoadError> + Send + 'static,
) -> Result<T, LoadError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| LoadError::Compile(error.to_string()))?
}

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
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(mut stdin), Some(mut stdout), Some(stderr)) = (stdin, stdout, stderr) else {
        return Err(LoadError::Compiler("it has no pipes".to_owned()));
    };
    let work = async {
        let (mut artifact, mut complaint) = (Vec::new(), String::new());
        let write = async {
            let written = stdin.write_all(&wasm).await;
            drop(stdin);
            written
        };
        let mut stderr = stderr.take(16 << 10);
        // A child that dies early stops reading; what it wrote then says more than the broken pipe.
        let (_, read, _) = tokio::join!(
            write,
            stdout.read_to_end(&mut artifact),
            stderr.read_to_string(&mut complaint)
        );
        read?;
        Ok((child.wait().await?, artifact, complaint))
    };
    let (status, artifact, complaint) = match tokio::time::timeout(PATIENCE, work).await {
        Ok(done) => done.map_err(failed)?,
        Err(_) => {
            return Err(LoadError::Compile(format!(
                "it took longer than {PATIENCE:?}; build the handler smaller"
            )));
        }
    };
    match status.code() {
        Some(0) => Ok(artifact),
        Some(1) => Err(LoadError::Invalid(complaint.trim().to_owned())),
        _ => Err(LoadError::Compile(format!(
            "the compiling process ended with {status}; build the handler smaller"
        ))),
    }
}

/// Puts this process under limits and compiles `wasm`, as the hidden command does. The error is a sentence.
pub fn compile_in_child(wasm: &[u8]) -> Result<Vec<u8>, String> {
    use rustix::process::{Resource, Rlimit, nice, setrlimit};
    let limit = |bound| Rlimit {
        current: Some(bound),
        maximum: Some(bound),
    };
    // Without them the compilation is still ended by its parent.
    let _ = setrlimit(Resource::As, limit(CHILD_MEMORY));
    let _ = setrlimit(Resource::Cpu, limit(CHILD_CPU));
    let _ = setrlimit(Resource::Core, limit(0));
    let _ = nice(10);
    compile(wasm).map_err(|error| match error {
        LoadError::Invalid(cause) => cause,
        other => other.to_string(),
    })
}

fn compile(wasm: &[u8]) -> Result<Vec<u8>, LoadError> {
    let engine = engine::compiling().map_err(|error| LoadError::Compile(format!("{error:#}")))?;
    engine
        .precompile_component(wasm)
        .map_err(|error| LoadError::Invalid(format!("{error:#}")))
}

/// Brings native code into the process.
#[allow(unsafe_code)]
fn adopt(engine: &Engine, artifact: &[u8]) -> Result<Component, LoadError> {
    // SAFETY: the bytes are what wasmtime's own `precompile_component` returned in this process or, through a pipe that
    // nobody else holds, in a child that runs this same program. They have not been in a file.
    let component = unsafe { Component::deserialize(engine, artifact) };
    let component = component.map_err(|error| LoadError::Compile(format!("{error:#}")))?;
    component
        .initialize_copy_on_write_image()
        .map_err(|error| LoadError::Compile(format!("{error:#}")))?;
    Ok(component)
}

/// Returns the interfaces that a component imports and `known` does not accept.
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

/// Returns the program that compiles: this one, as it was started, even if its file has been replaced meanwhile.
pub fn this_program() -> Compiler {
    let itself = PathBuf::from("/proc/self/exe");
    let program = if itself.exists() {
        Ok(itself)
    } else {
        std::env::current_exe()
    };
    program.map_or(Compiler::Here, Compiler::Child)
}

/// The SHA-256 hash of a file's content, by which contents are compared.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentHash([u8; 32]);

impl ContentHash {
    /// Computes the hash of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::{Digest, Sha256};
        Self(Sha256::digest(bytes).into())
    }
}

impl std::fmt::Display for ContentHash {
    /// Writes the first eight hexadecimal digits, which are enough to tell versions apart by eye.
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
