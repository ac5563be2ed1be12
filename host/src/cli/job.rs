//! Runs a program whose standard error goes to the terminal. When it is stopped, its future is dropped, or this process
//! is killed, the program is killed together with all processes that it started.

use std::io::{self, IsTerminal};
use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Split};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{Instant, interval_at};
use tokio_util::sync::CancellationToken;

use super::group_guard::GroupGuard;
use super::output::print;
use super::processes;

/// The interval of the lines that report a running program if standard error is not a terminal.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// The longest time to wait for a program that was killed.
const KILLED: Duration = Duration::from_secs(5);

/// Returns true if standard error is a terminal, so that programs can draw their progress there.
pub(super) fn is_terminal() -> bool {
    std::io::stderr().is_terminal()
}

/// The end of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// It ended by itself.
    By(ExitStatus),
    /// It was stopped, together with all processes that it started.
    Stopped,
}

/// Stops programs that run for something that is no longer wanted.
pub(super) type Stop = CancellationToken;

/// Runs `command` to its end, or until `stop`. If its standard output is piped, `each` gets every line of it; `doing`
/// names the work in the lines that report progress.
///
/// # Errors
/// The program cannot be started, its output cannot be read, or its status cannot be learned.
pub(super) async fn run(
    command: &mut Command,
    doing: &str,
    stop: &Stop,
    mut each: impl FnMut(&str),
) -> io::Result<Ended> {
    let mut job = Job::start(command)?;
    let began = Instant::now();
    let mut heartbeat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
    let stdout = job.program.stdout.take();
    let mut lines = stdout.map(|stdout| BufReader::new(stdout).split(b'\n'));
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => {
                job.stop().await;
                return Ok(Ended::Stopped);
            }
            line = next(&mut lines) => match line? {
                Some(line) => each(&String::from_utf8_lossy(&line)),
                None => lines = None,
            },
            status = job.program.wait(), if lines.is_none() => return status.map(Ended::By),
            _ = heartbeat.tick() => {
                if !is_terminal() {
                    print(format_args!("still {doing} ({} s)", began.elapsed().as_secs()));
                }
            }
        }
    }
}

/// Runs `command` to its end.
///
/// # Errors
/// The program cannot be started, or its status cannot be learned.
pub(super) async fn run_to_end(command: &mut Command, doing: &str) -> io::Result<ExitStatus> {
    match run(command, doing, &Stop::new(), |_| {}).await? {
        Ended::By(status) => Ok(status),
        Ended::Stopped => Err(io::ErrorKind::Interrupted.into()),
    }
}

/// Runs `command` to its end, and returns its standard output.
///
/// # Errors
/// The program cannot be started, its output cannot be read, or its status cannot be learned.
pub(super) async fn output(command: &mut Command) -> io::Result<Output> {
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

/// Returns the next line, or none at the end. Waits for ever if there is nothing to read from.
async fn next(lines: &mut Option<Split<BufReader<ChildStdout>>>) -> io::Result<Option<Vec<u8>>> {
    match lines {
        Some(lines) => lines.next_segment().await,
        None => std::future::pending().await,
    }
}

/// A running program that leads a process group of its own. Dropping it kills the program and all that it started.
struct Job {
    program: Child,
    /// `None` if the guard could not be started.
    _guard: Option<GroupGuard>,
}

impl Job {
    fn start(command: &mut Command) -> io::Result<Self> {
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

    /// Kills the program with all that it started, and waits until it has ended.
    async fn stop(&mut self) {
        self.kill();
        // A killed process ends at once unless the system holds it, for example in a file system that hangs.
        let _ = tokio::time::timeout(KILLED, self.program.wait()).await;
    }

    fn kill(&self) {
        // The id is None after the program was waited for, when the system may have given its number to another
        // process.
        let Some(id) = self.program.id() else { return };
        let Some(leader) = i32::try_from(id).ok().and_then(Pid::from_raw) else {
            return;
        };
        // Programs such as `timeout` put what they run into a group of their own, so that the group is not all. A
        // process that is killed gives its children to another parent: they are looked up before.
        let descendants = processes::descendants(leader);
        // This fails if the group has just ended.
        let _ = kill_process_group(leader, Signal::KILL);
        for descendant in descendants {
            let _ = kill_process(descendant, Signal::KILL);
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.kill();
    }
}
