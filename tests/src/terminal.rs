//! The client commands of `hitchy`, run as processes with their output and exit codes, as a person or a script sees
//! them.

use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::lines::Lines;
use crate::server::binary;
use crate::wait::{SOON, eventually, within};

/// Deadline for a command that should end at once.
const LONG: Duration = SOON.saturating_mul(3);

/// The output and exit code of a command that has ended.
#[derive(Debug)]
pub struct Said {
    /// The exit code, or `None` if a signal ended the command.
    pub code: Option<i32>,
    /// The bytes of standard output.
    pub out: Vec<u8>,
    /// The text of standard error.
    pub err: String,
}

impl Said {
    /// Returns standard output as text.
    ///
    /// # Panics
    /// Panics if the output is not UTF-8.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.out).expect("the output is UTF-8")
    }

    /// Returns standard output as JSON.
    ///
    /// # Panics
    /// Panics if the output is not exactly one line of JSON.
    pub fn json(&self) -> Value {
        let line = self.text().strip_suffix('\n').expect("a line");
        assert!(!line.contains('\n'), "one line: {line}");
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Asserts that the command ended with this exit code, printed nothing on standard output, and printed one error
    /// sentence. All of `words` must occur on standard error.
    ///
    /// # Panics
    /// Panics if the command ended in another way.
    pub fn assert_refused(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.out.is_empty(), "{self:?}");
        let errors = self.err.lines().filter(|line| line.starts_with("error: "));
        assert_eq!(errors.count(), 1, "one sentence: {}", self.err);
        for word in words {
            assert!(self.err.contains(word), "{word:?} in {}", self.err);
        }
    }
}

/// Runs `hitchy` with these arguments against the server at `url`, and waits for its end.
///
/// # Panics
/// Panics if the command does not end within 30 seconds.
pub async fn hitchy(url: &str, args: &[&str]) -> Said {
    let mut command = tokio::process::Command::from(command(url, args));
    let running = command.kill_on_drop(true).output();
    let what = format!("hitchy {args:?} ends");
    let output = within(&what, LONG, running).await.expect("hitchy runs");
    Said {
        code: output.status.code(),
        out: output.stdout,
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A running `hitchy listen`. Dropping it kills the process.
pub struct Listening {
    child: Child,
    /// The lines of standard output.
    pub out: Lines,
    /// The lines of standard error.
    pub err: Lines,
}

impl Listening {
    /// Starts `hitchy listen` and waits until it is connected.
    ///
    /// # Panics
    /// Panics if the command is not connected within 30 seconds.
    pub async fn to(url: &str, args: &[&str]) -> Self {
        let (listening, out) = Self::unread(url, args).await;
        listening.out.follow(out);
        listening
    }

    /// Starts `hitchy listen` and waits until it is connected. The caller reads standard output, so [`Listening::out`]
    /// stays empty.
    ///
    /// # Panics
    /// Panics if the command is not connected within 30 seconds.
    pub async fn unread(url: &str, args: &[&str]) -> (Self, ChildStdout) {
        let args = [&["listen"], args].concat();
        let mut child = command(url, &args).spawn().expect("hitchy runs");
        let stdout = child.stdout.take().expect("stdout is piped");
        let err = Lines::default();
        err.follow(child.stderr.take().expect("stderr is piped"));
        let listening = Self {
            child,
            out: Lines::default(),
            err,
        };
        listening.wait_until_listening(1).await;
        (listening, stdout)
    }

    /// Waits until the command has reported `times` times that it listens. It reports this after each connect.
    ///
    /// # Panics
    /// Panics if it has not done so within 30 seconds.
    pub async fn wait_until_listening(&self, times: usize) {
        let said = async || {
            let lines = self.err.all();
            let times_said = lines.iter().filter(|line| line.starts_with("listening to"));
            (times_said.count() >= times).then_some(())
        };
        eventually("hitchy listens", LONG, said).await;
    }

    /// Waits for the line of standard output with this index, and returns it.
    ///
    /// # Panics
    /// Panics if the line does not appear within 30 seconds.
    pub async fn line(&self, place: usize) -> String {
        let line = |_: usize, line: &str| Some(line.to_owned());
        self.out.wait("a line of hitchy", place, LONG, line).await
    }

    /// Sends SIGINT, as Ctrl-C does.
    ///
    /// # Panics
    /// Panics if the signal cannot be sent.
    pub fn interrupt(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT)
            .expect("it can be signalled");
    }

    /// Waits for the end of the command, and returns its exit status.
    ///
    /// # Panics
    /// Panics if the command does not end within 30 seconds.
    pub async fn wait_for_end(&mut self) -> ExitStatus {
        let child = &mut self.child;
        let ended = async || child.try_wait().expect("a child can be waited for");
        eventually("hitchy ends", LONG, ended).await
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(url: &str, args: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command
        .args(args)
        .env("HITCHY_URL", url)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}
