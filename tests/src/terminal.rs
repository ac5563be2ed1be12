//! The client commands of `hitchy`, run as a person or a script runs them.

use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::lines::Lines;
use crate::server::binary;
use crate::wait::{SOON, eventually, within};

/// The longest time for a command that should end at once.
const LONG: Duration = SOON.saturating_mul(3);

/// The result of a command.
#[derive(Debug)]
pub struct Said {
    /// The exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub out: Vec<u8>,
    /// Standard error.
    pub err: String,
}

impl Said {
    /// Standard output as text.
    ///
    /// # Panics
    /// Panics if it is none.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.out).expect("the output is UTF-8")
    }

    /// Standard output as JSON on one line.
    ///
    /// # Panics
    /// Panics if it is none.
    pub fn json(&self) -> Value {
        let line = self.text().strip_suffix('\n').expect("a line");
        assert!(!line.contains('\n'), "one line: {line}");
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Asserts that it ended with this code, without output, and with one sentence that has these words.
    ///
    /// # Panics
    /// Panics if it did not.
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

/// Runs `hitchy` with these arguments against the server at `url`, to its end.
///
/// # Panics
/// Panics if it does not end.
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

/// A running `hitchy listen`. It is killed when this is dropped.
pub struct Listening {
    child: Child,
    /// Standard output.
    pub out: Lines,
    /// Standard error.
    pub err: Lines,
}

impl Listening {
    /// Starts it and waits until it listens.
    ///
    /// # Panics
    /// Panics if it does not.
    pub async fn to(url: &str, args: &[&str]) -> Self {
        let (listening, out) = Self::unread(url, args).await;
        listening.out.follow(out);
        listening
    }

    /// Starts such a command and leaves its output to the caller.
    ///
    /// # Panics
    /// Panics if it does not listen.
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

    /// Waits until it has said so many times that it listens.
    ///
    /// # Panics
    /// Panics if it does not.
    pub async fn wait_until_listening(&self, times: usize) {
        let said = async || {
            let lines = self.err.all();
            let times_said = lines.iter().filter(|line| line.starts_with("listening to"));
            (times_said.count() >= times).then_some(())
        };
        eventually("hitchy listens", LONG, said).await;
    }

    /// The line at this place.
    ///
    /// # Panics
    /// Panics if it does not come.
    pub async fn line(&self, place: usize) -> String {
        let line = |_: usize, line: &str| Some(line.to_owned());
        self.out.wait("a line of hitchy", place, LONG, line).await
    }

    /// Presses Ctrl-C.
    ///
    /// # Panics
    /// Panics if it has ended.
    pub fn interrupt(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT)
            .expect("it can be signalled");
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// Panics if it does not end.
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
