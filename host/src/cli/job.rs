//! Runs a program whose standard error goes to the terminal. When it is stopped, its future is dropped, or this process
//! is killed, the program is killed together with all processes that it started.

use std::io::{self, IsTerminal};
use std::pin::pin;
use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Split};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{Instant, interval_at, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::group_guard::GroupGuard;
use super::output::print;
use super::processes;

/// The interval of the lines that report a running program if standard error is not a terminal.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// The longest time to read on after a program has ended. What it left running in the background may hold its output
/// open for ever.
const LEFT_BEHIND: Duration = Duration::from_secs(1);
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
    let mut ended = None;
    loop {
        if let (Some((status, _)), None) = (ended, &lines) {
            return Ok(Ended::By(status));
        }
        let rest = ended.map_or(began, |(_, until)| until);
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
            status = job.program.wait(), if ended.is_none() => {
                ended = Some((status?, Instant::now() + LEFT_BEHIND));
            }
            () = sleep_until(rest), if ended.is_some() => lines = None,
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
    let status = match job.program.stdout.take() {
        None => job.program.wait().await?,
        Some(mut pipe) => {
            let mut reading = pin!(pipe.read_to_end(&mut stdout));
            tokio::select! {
                read = &mut reading => {
                    read?;
                    job.program.wait().await?
                }
                status = job.program.wait() => {
                    if let Ok(read) = timeout(LEFT_BEHIND, reading).await {
                        read?;
                    }
                    status?
                }
            }
        }
    };
    Ok(Output {
        status,
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

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    /// Returns a command that prints a line and leaves a process behind that holds its output open.
    fn leaves_something_behind() -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", "echo told; sleep 60 &"]);
        command
    }

    #[tokio::test]
    async fn i11_5_a_program_has_ended_when_it_ends_whatever_it_leaves_behind() {
        let mut told = Vec::new();
        let (mut command, stop) = (leaves_something_behind(), Stop::new());
        command.stdout(Stdio::piped());
        let each = |line: &str| told.push(line.to_owned());
        let ended = timeout(SOON, run(&mut command, "waiting", &stop, each)).await;
        let ended = ended.expect("it ends with its program").unwrap();
        assert!(matches!(ended, Ended::By(status) if status.success()));
        assert_eq!(told, ["told"]);

        let mut command = leaves_something_behind();
        let output = timeout(SOON, output(&mut command)).await;
        let output = output.expect("it ends with its program").unwrap();
        assert_eq!(output.stdout, b"told\n");
    }
}
