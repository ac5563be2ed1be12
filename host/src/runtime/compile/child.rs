//! The parent's side of the child process that compiles.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use super::super::error::LoadError;
use super::super::module_error::ModuleError;
use super::command::{COMMAND, CompileError, read_output};
use super::job::{Input, Job, Output};

/// Longest time that compiling one file may take. It is longer than its processor time, because a machine that is busy
/// is not the fault of a file: JavaScript and Python engines of 12 to 20 MiB take 10 to 20 s alone.
const COMPILE_TIMEOUT: Duration = Duration::from_secs(180);
/// Bytes of the child's standard error that are read.
const MAX_ERROR_TEXT: u64 = 16 << 10;

/// Works on a file in a child process, with this number of threads. Returns `None` if `stopping` ended the child.
pub(super) async fn in_child(
    program: &Path,
    job: Job,
    input: Input,
    threads: usize,
    stopping: &CancellationToken,
) -> Result<Option<Output>, LoadError> {
    if stopping.is_cancelled() {
        return Ok(None);
    }
    let mut child = Command::new(program)
        .arg(COMMAND)
        // Read by rayon, with which Cranelift compiles functions side by side.
        .env("RAYON_NUM_THREADS", threads.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(unusable)?;
    let ended = tokio::select! {
        ended = tokio::time::timeout(COMPILE_TIMEOUT, converse(&mut child, job, &input)) => Some(ended),
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
async fn converse(child: &mut Child, job: Job, input: &Input) -> Result<Output, LoadError> {
    let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(mut stdin), Some(mut stdout), Some(stderr)) = pipes else {
        return Err(LoadError::Compiler("it has no pipes".to_owned()));
    };
    let (mut output, mut error_text) = (Vec::new(), Vec::new());
    let write = async {
        stdin.write_all(&[job.index()]).await?;
        for piece in [&input.wasm, &input.functions] {
            stdin.write_all(&(piece.len() as u64).to_le_bytes()).await?;
        }
        stdin.write_all(&input.wasm).await?;
        stdin.write_all(&input.functions).await
    };
    let errors = async {
        let mut beginning = stderr.take(MAX_ERROR_TEXT);
        beginning.read_to_end(&mut error_text).await?;
        // The rest is read too, because a child that cannot write would wait for ever.
        tokio::io::copy(&mut beginning.into_inner(), &mut tokio::io::sink()).await
    };
    // A child that ends early stops reading. Its exit status and its error text say more than the broken pipe, so the
    // result of writing is ignored.
    let (_, read, _) = tokio::join!(write, stdout.read_to_end(&mut output), errors);
    read.map_err(unusable)?;
    let status = child.wait().await.map_err(unusable)?;
    // The child's input was open until here, because its end would end the child.
    drop(stdin);
    let error_text = String::from_utf8_lossy(&error_text).trim().to_owned();
    match status.code() {
        Some(0) => read_output(output.into())
            .ok_or_else(|| LoadError::Compiler("its output ends early".to_owned())),
        Some(CompileError::INVALID) => Err(LoadError::Invalid(error_text)),
        Some(CompileError::ASYNC) => Err(LoadError::Async(error_text)),
        Some(CompileError::UNFIT) => Err(ModuleError::Unfit(error_text).into()),
        Some(CompileError::UNUSABLE) => Err(LoadError::Compiler(error_text)),
        _ => Err(LoadError::Compile(format!(
            "the compiling process ended with {status}; build the handler again, or smaller"
        ))),
    }
}
