//! Runs a program whose standard error goes to the terminal. When its future is dropped, or this process is killed, the
//! program is killed together with all processes that it started.

use std::io::IsTerminal;
use std::process::{ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

use super::group_guard::GroupGuard;
use super::output::print;

/// The interval of the lines that report a running program if standard error is not a terminal.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Returns true if standard error is a terminal, so that programs can draw their progress there.
pub(super) fn is_terminal() -> bool {
    std::io::stderr().is_terminal()
}

/// Runs `command` to its end. If its standard output is piped, `each` gets every line of it; `doing` names the work in
/// the lines that report progress.
///
/// # Errors
/// The program cannot be started, its output cannot be read, or its status cannot be learned.
pub(super) async fn run(
    command: &mut Command,
    doing: &str,
    mut each: impl FnMut(&str),
) -> std::io::Result<ExitStatus> {
    let mut job = Job::start(command)?;
    let began = Instant::now();
    let work = async {
        if let Some(stdout) = job.program.stdout.take() {
            let mut lines = BufReader::new(stdout).lines();
            while let Some(line) = lines.next_line().await? {
                each(&line);
            }
        }
        job.program.wait().await
    };
    tokio::pin!(work);
    loop {
        match tokio::time::timeout(HEARTBEAT, &mut work).await {
            Ok(ended) => return ended,
            Err(_) if is_terminal() => {}
            Err(_) => print(format_args!(
                "still {doing} ({} s)",
                began.elapsed().as_secs()
            )),
        }
    }
}

/// Runs `command` to its end, and returns its standard output.
///
/// # Errors
/// The program cannot be started, its output cannot be read, or its status cannot be learned.
pub(super) async fn output(command: &mut Command) -> std::io::Result<Output> {
    let mut job = Job::start(command.stdout(Stdio::piped()))?;
    let mut stdout = Vec::new();
    if let Some(mut pipe) = job.program.stdout.take() {
        pipe.read_to_end(&mut stdout).await?;
    }
    Ok(Output {
        status: job.program.wait().await?,
        stdout,
        stderr: Vec::new(),
    })
}

/// A running program that leads a process group of its own. Dropping it kills the group.
struct Job {
    program: Child,
    /// `None` if the guard could not be started.
    _guard: Option<GroupGuard>,
}

impl Job {
    fn start(command: &mut Command) -> std::io::Result<Self> {
        let program = command
            .stdin(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let group = program.id().and_then(|id| i32::try_from(id).ok());
        Ok(Self {
            program,
            _guard: group.and_then(GroupGuard::start),
        })
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        // The id is None after the program was waited for, when the system may have given its number to another
        // process.
        let Some(id) = self.program.id() else { return };
        if let Some(group) = i32::try_from(id).ok().and_then(Pid::from_raw) {
            // This fails if the group has just ended.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}
