//! The child's side of compiling: the hidden command.

use std::io::{Read, stdin};

use super::super::error::LoadError;
use super::super::module_error::ModuleError;
use super::job::Job;
use crate::parent;

/// The hidden command that compiles one component from standard input to standard output. It exits with 0, or with a
/// sentence on standard error and the code of a [`CompileError`].
pub const COMMAND: &str = "compile-component";
/// Processor time that the child process may use, in seconds.
const CHILD_CPU: u64 = 60;
/// Address space that the child process may use, in bytes.
const CHILD_MEMORY: u64 = 2 << 30;

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
    pub(super) const INVALID: i32 = 1;
    pub(super) const UNUSABLE: i32 = 3;
    pub(super) const ASYNC: i32 = 4;
    pub(super) const UNFIT: i32 = 5;

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
