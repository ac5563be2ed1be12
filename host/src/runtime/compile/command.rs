//! The child's side of compiling: the hidden command.

use std::io::{Read, Write, stdin};

use bytes::{Buf, Bytes};

use super::super::error::LoadError;
use super::super::module_error::ModuleError;
use super::job::{Input, Job, Output};
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
/// makes a component native code, or a core module a component, and writes it to `out`. This process ends when its
/// parent does.
///
/// # Errors
/// The file cannot be read, is not valid, or cannot be made a component, or the result cannot be written.
pub fn compile_in_child(out: &mut impl Write) -> Result<(), CompileError> {
    use rustix::process::{Resource, Rlimit, nice, setrlimit};
    let (job, input) = read_job(&mut stdin().lock())?;
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
    let output = job.run(&input).map_err(|error| match error {
        LoadError::Invalid(cause) => CompileError::Invalid(cause),
        LoadError::Async(cause) => CompileError::Async(cause),
        LoadError::Module(ModuleError::Unfit(cause)) => CompileError::Unfit(cause),
        other => CompileError::Invalid(other.to_string()),
    })?;
    write_output(&output, out).map_err(CompileError::Unusable)
}

/// Reads a job and its input: the lengths of the file and of the functions, then both.
fn read_job(input: &mut impl Read) -> std::io::Result<(Job, Input)> {
    let mut index = [0];
    input.read_exact(&mut index)?;
    let job = Job::ALL.get(usize::from(index[0]));
    let job = *job.ok_or(std::io::ErrorKind::InvalidData)?;
    let lengths = (read_length(input)?, read_length(input)?);
    let wasm = read_piece(input, lengths.0)?;
    let functions = read_piece(input, lengths.1)?;
    Ok((job, Input { wasm, functions }))
}

fn read_length(input: &mut impl Read) -> std::io::Result<u64> {
    let mut length = [0; 8];
    input.read_exact(&mut length)?;
    Ok(u64::from_le_bytes(length))
}

fn read_piece(input: &mut impl Read, length: u64) -> std::io::Result<Bytes> {
    let mut piece = Vec::new();
    let read = input.take(length).read_to_end(&mut piece)?;
    if read as u64 == length {
        Ok(piece.into())
    } else {
        Err(std::io::ErrorKind::UnexpectedEof.into())
    }
}

/// Writes the length of what was made, what was made, and the functions.
fn write_output(output: &Output, out: &mut impl Write) -> std::io::Result<()> {
    out.write_all(&(output.made.len() as u64).to_le_bytes())?;
    out.write_all(&output.made)?;
    out.write_all(&output.functions)?;
    out.flush()
}

/// Reads what [`write_output`] wrote. Returns `None` if it is anything else.
pub(super) fn read_output(mut bytes: Bytes) -> Option<Output> {
    let length = bytes.try_get_u64_le().ok()?;
    let length = usize::try_from(length).ok()?;
    if length > bytes.len() {
        return None;
    }
    Some(Output {
        made: bytes.split_to(length),
        functions: bytes,
    })
}
