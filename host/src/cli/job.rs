//! A program that is run for the person at the terminal: its words are theirs to read, and it ends with all that it
//! started when it is no longer waited for.

use std::io::IsTerminal;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::print;

/// Without a terminal that shows progress, a line says how long something has been going on this often.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Returns true if a person sees what programs draw on standard error.
pub(super) fn is_terminal() -> bool {
    std::io::stderr().is_terminal()
}

/// Runs `command` to its end, its standard output line by line to `each`; `doing` says what takes so long.
///
/// # Errors
/// The program cannot be started, or is lost.
pub(super) async fn run(
    command: &mut Command,
    doing: &str,
    mut each: impl FnMut(&str),
) -> std::io::Result<ExitStatus> {
    let mut job = Job::start(command)?;
    let began = Instant::now();
    let work = async {
        if let Some(stdout) = job.0.stdout.take() {
            let mut lines = BufReader::new(stdout).lines();
            while let Some(line) = lines.next_line().await? {
                each(&line);
            }
        }
        job.0.wait().await
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

/// A running program with all that it starts.
struct Job(Child);

impl Job {
    fn start(command: &mut Command) -> std::io::Result<Self> {
        let child = command
            .stdin(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        Ok(Self(child))
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        // None once it has ended and was waited for: the number may be another's by then.
        let Some(id) = self.0.id() else { return };
        if let Some(group) = i32::try_from(id).ok().and_then(Pid::from_raw) {
            // It may just have ended.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}
