//! Compiles components to native code and loads the code into this process.
//!
//! wasmtime does not promise that compiling is safe: a crafted file may make the compiler loop or use much memory. A
//! component is therefore compiled in a child process that runs this same program at low priority and under limits, one
//! component at a time.
//!
//! The child gets the file on its standard input, after the job and the file's length, and the input stays open until the
//! child has ended. The end of the input means that the parent has ended, however that happened, and ends the child.

use std::io::{Read, stdin};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use wasmtime::Engine;
use wasmtime::component::Component;

use super::adapt::{self, Adapter};
use super::engine;
use super::error::LoadError;
use super::module_error::ModuleError;
use crate::parent;

/// The hidden command that compiles one component from standard input to standard output. It exits with 0, or with a
/// sentence on standard error and the code of a [`CompileError`].
pub const COMMAND: &str = "compile-component";
/// Largest size of a handler's file in bytes.
pub const MAX_FILE: u64 = 64 << 20;
/// Longest time that compiling one file may take. It is longer than its processor time, because a machine that is busy
/// is not the fault of a file: JavaScript and Python engines of 12 to 20 MiB take 10 to 20 s alone.
const COMPILE_TIMEOUT: Duration = Duration::from_secs(180);
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

/// The work on one file.
#[derive(Clone, Copy, Debug)]
enum Job {
    /// Make native code of a component.
    Compile,
    /// Make a component of a core module.
    Adapt(Adapter),
}

impl Job {
    /// All jobs. The child gets the index of its job.
    const ALL: [Self; 3] = [
        Self::Compile,
        Self::Adapt(Adapter::Reactor),
        Self::Adapt(Adapter::Command),
    ];

    fn index(self) -> u8 {
        match self {
            Self::Compile => 0,
            Self::Adapt(Adapter::Reactor) => 1,
            Self::Adapt(Adapter::Command) => 2,
        }
    }

    fn run(self, wasm: &[u8]) -> Result<Vec<u8>, LoadError> {
        match self {
            Self::Compile => compile(wasm),
            Self::Adapt(adapter) => adapt::adapt(wasm, adapter),
        }
    }
}

/// Bytes of the child's standard error that are read.
const MAX_ERROR_TEXT: u64 = 16 << 10;

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

/// Works on a file in a child process. Returns `None` if `stopping` ended the child.
async fn in_child(
    program: &PathBuf,
    job: Job,
    wasm: Bytes,
    stopping: &CancellationToken,
) -> Result<Option<Vec<u8>>, LoadError> {
    if stopping.is_cancelled() {
        return Ok(None);
    }
    let mut child = Command::new(program)
        .arg(COMMAND)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(unusable)?;
    let ended = tokio::select! {
        ended = tokio::time::timeout(COMPILE_TIMEOUT, converse(&mut child, job, &wasm)) => Some(ended),
        () = stopping.cancelled() => None,
    };
    match ended {
        Some(Ok(result)) => result.map(Some),
        Some(Err(_)) => {
            child.kill().await.map_err(unusable)?;
            Err(LoadError::Compile(format!(
                "it took longer than {COMPILE_TIMEOUT:?}; build the handler smaller"
            )))
        }
        None => {
            child.kill().await.map_err(unusable)?;
            Ok(None)
        }
    }
}

fn unusable(error: std::io::Error) -> LoadError {
    LoadError::Compiler(error.to_string())
}

/// Passes a job and its file to the child, and returns the child's output once the child has ended.
async fn converse(child: &mut Child, job: Job, wasm: &[u8]) -> Result<Vec<u8>, LoadError> {
    let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(mut stdin), Some(mut stdout), Some(stderr)) = pipes else {
        return Err(LoadError::Compiler("it has no pipes".to_owned()));
    };
    let (mut artifact, mut error_text) = (Vec::new(), Vec::new());
    let write = async {
        stdin.write_all(&[job.index()]).await?;
        stdin.write_all(&(wasm.len() as u64).to_le_bytes()).await?;
        stdin.write_all(wasm).await
    };
    let errors = async {
        let mut beginning = stderr.take(MAX_ERROR_TEXT);
        beginning.read_to_end(&mut error_text).await?;
        // The rest is read too, because a child that cannot write would wait for ever.
        tokio::io::copy(&mut beginning.into_inner(), &mut tokio::io::sink()).await
    };
    // A child that ends early stops reading. Its exit status and its error text say more than the broken pipe, so the
    // result of writing is ignored.
    let (_, read, _) = tokio::join!(write, stdout.read_to_end(&mut artifact), errors);
    read.map_err(unusable)?;
    let status = child.wait().await.map_err(unusable)?;
    // The child's input was open until here, because its end would end the child.
    drop(stdin);
    let error_text = String::from_utf8_lossy(&error_text).trim().to_owned();
    match status.code() {
        Some(0) => Ok(artifact),
        Some(CompileError::INVALID) => Err(LoadError::Invalid(error_text)),
        Some(CompileError::ASYNC) => Err(LoadError::Async(error_text)),
        Some(CompileError::UNFIT) => Err(ModuleError::Unfit(error_text).into()),
        Some(CompileError::UNUSABLE) => Err(LoadError::Compiler(error_text)),
        _ => Err(LoadError::Compile(format!(
            "the compiling process ended with {status}; build the handler again, or smaller"
        ))),
    }
}

/// Reasons why the hidden command compiles nothing. The sentences are for the parent process.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The component is not valid.
    #[error("{0}")]
    Invalid(String),
    /// The component has async functions.
    #[error("{0}")]
    Async(String),
    /// The core module cannot be made a component.
    #[error("{0}")]
    Unfit(String),
    /// The file could not be read, or the thread that waits for the parent's end could not be started.
    #[error("{0}")]
    Unusable(#[from] std::io::Error),
}

impl CompileError {
    const INVALID: i32 = 1;
    const UNUSABLE: i32 = 3;
    const ASYNC: i32 = 4;
    const UNFIT: i32 = 5;

    /// Returns the exit code that tells the parent which error this is.
    pub fn code(&self) -> u8 {
        match self {
            Self::Invalid(_) => Self::INVALID as u8,
            Self::Unusable(_) => Self::UNUSABLE as u8,
            Self::Async(_) => Self::ASYNC as u8,
            Self::Unfit(_) => Self::UNFIT as u8,
        }
    }
}

/// Does the work of the hidden command: reads a job and a file from standard input, puts this process under limits and
/// makes a component native code, or a core module a component. This process ends when its parent does.
///
/// # Errors
/// The file cannot be read, is not valid, or cannot be made a component.
pub fn compile_in_child() -> Result<Vec<u8>, CompileError> {
    use rustix::process::{Resource, Rlimit, nice, setrlimit};
    let (job, wasm) = read_job(&mut stdin().lock())?;
    parent::end_with_parent()?;
    let limit = |bound| Rlimit {
        current: Some(bound),
        maximum: Some(bound),
    };
    // Errors are ignored, because the parent ends the compilation in any case.
    let _ = setrlimit(Resource::As, limit(CHILD_MEMORY));
    let _ = setrlimit(Resource::Cpu, limit(CHILD_CPU));
    let _ = setrlimit(Resource::Core, limit(0));
    let _ = nice(10);
    job.run(&wasm).map_err(|error| match error {
        LoadError::Invalid(cause) => CompileError::Invalid(cause),
        LoadError::Async(cause) => CompileError::Async(cause),
        LoadError::Module(ModuleError::Unfit(cause)) => CompileError::Unfit(cause),
        other => CompileError::Invalid(other.to_string()),
    })
}

/// Reads a job and its file, with the file's length before it.
fn read_job(input: &mut impl Read) -> std::io::Result<(Job, Vec<u8>)> {
    let (mut index, mut length) = ([0], [0; 8]);
    input.read_exact(&mut index)?;
    input.read_exact(&mut length)?;
    let job = Job::ALL.get(usize::from(index[0]));
    let job = *job.ok_or(std::io::ErrorKind::InvalidData)?;
    let length = u64::from_le_bytes(length);
    let mut wasm = Vec::new();
    let read = input.take(length).read_to_end(&mut wasm)?;
    if read as u64 == length {
        Ok((job, wasm))
    } else {
        Err(std::io::ErrorKind::UnexpectedEof.into())
    }
}

/// Compiles a component to native code in this process.
fn compile(wasm: &[u8]) -> Result<Vec<u8>, LoadError> {
    let engine = engine::compiling().map_err(|error| LoadError::Compile(format!("{error:#}")))?;
    engine
        .precompile_component(wasm)
        .map_err(|error| invalid(&format!("{error:#}")))
}

/// Makes a refusal of the text of wasmtime's error.
fn invalid(text: &str) -> LoadError {
    // The text of wasmparser 0.254 for what needs the feature, which has no type of its own.
    if text.contains("component model async") {
        return LoadError::Async(text.to_owned());
    }
    LoadError::Invalid(text.to_owned())
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
