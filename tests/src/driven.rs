//! A script of `client/` in a Node process. The test writes one JSON command per line, with a number `n`. The script
//! answers with one JSON message per line, whose `re` is that number. Messages without `re` report what happened.

use std::io::Write;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::lines::Lines;
use crate::sources;

/// The packages that `client/package.json` requires.
const PACKAGES: [&str; 2] = ["playwright-core", "socket.io-client"];

/// Deadline for the end of a script after its input was closed.
const TO_END: Duration = Duration::from_secs(5);

/// A running script. Dropping it closes its input, and kills the process if it does not end within 5 seconds.
pub struct Driven {
    child: Mutex<Child>,
    /// The input of the script, or `None` after it was closed.
    stdin: Mutex<Option<ChildStdin>>,
    lines: Lines,
    counter: AtomicU64,
}

impl Driven {
    /// Starts a script of `client/`.
    ///
    /// # Panics
    /// Panics if Node cannot be started. Call [`installed`] first.
    pub fn start(script: &str) -> Self {
        let mut child = Command::new("node")
            .arg(sources().join("client").join(script))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node starts");
        let lines = Lines::default();
        lines.follow(child.stdout.take().expect("stdout is piped"));
        let stdin = Mutex::new(child.stdin.take());
        Self {
            child: Mutex::new(child),
            stdin,
            lines,
            counter: AtomicU64::new(0),
        }
    }

    /// Returns a number that no earlier call has returned.
    pub fn number(&self) -> u64 {
        // Relaxed is enough because the numbers only have to be distinct.
        self.counter.fetch_add(1, Ordering::Relaxed)
    }

    /// Returns all messages so far, one line of JSON each.
    pub fn said(&self) -> Vec<String> {
        self.lines.all()
    }

    /// Sends a command and waits for its answer. Returns the index of the answer among all messages, and its value.
    ///
    /// # Panics
    /// Panics if no answer arrives by the deadline, or if the script reports an error.
    pub async fn command(&self, mut command: Value, deadline: Duration) -> (usize, Value) {
        let n = self.number();
        command["n"] = json!(n);
        let from = self.lines.len();
        self.send(&command);
        let shown: String = command.to_string().chars().take(200).collect();
        let what = format!("an answer to {shown}");
        let answer = self.lines.wait(&what, from, deadline, |place, line| {
            let message: Value = serde_json::from_str(line).expect("the driver speaks JSON");
            (message["re"] == json!(n)).then_some((place, message))
        });
        let (place, answer) = answer.await;
        assert!(
            answer.get("error").is_none(),
            "the driver failed at {shown}: {}",
            answer["error"].as_str().unwrap_or_default()
        );
        (place, answer["ok"].clone())
    }

    fn send(&self, command: &Value) {
        let mut stdin = self.stdin.lock().expect("nobody panics while writing");
        let stdin = stdin.as_mut().expect("it goes on until this is dropped");
        writeln!(stdin, "{command}")
            .and_then(|()| stdin.flush())
            .expect("the driver reads");
    }
}

impl Drop for Driven {
    fn drop(&mut self) {
        // A script ends when its input ends, and first ends the processes that it started.
        drop(unpoisoned(&mut self.stdin).take());
        let child = unpoisoned(&mut self.child);
        let until = Instant::now() + TO_END;
        while Instant::now() < until && child.try_wait().is_ok_and(|ended| ended.is_none()) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn unpoisoned<T>(mutex: &mut Mutex<T>) -> &mut T {
    mutex
        .get_mut()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Installs the packages of the scripts from their lock file, at most once per process.
///
/// # Errors
/// Returns a sentence that names the missing program or the failed installation.
pub fn installed() -> Result<(), String> {
    static INSTALLED: OnceLock<Result<(), String>> = OnceLock::new();
    INSTALLED.get_or_init(install).clone()
}

fn install() -> Result<(), String> {
    let version = Command::new("node").arg("--version").output();
    if !version.is_ok_and(|out| out.status.success()) {
        return Err("node is not installed: the official socket.io client cannot run".into());
    }
    let client = sources().join("client");
    let modules = client.join("node_modules");
    if PACKAGES
        .iter()
        .all(|package| modules.join(package).join("package.json").exists())
    {
        return Ok(());
    }
    match Command::new("npm")
        .args(["ci", "--no-audit", "--no-fund"])
        .current_dir(client)
        .output()
    {
        Err(_) => Err("npm is not installed: the official socket.io client cannot be had".into()),
        Ok(out) if !out.status.success() => Err(format!(
            "npm ci in tests/client failed: {}",
            String::from_utf8_lossy(&out.stderr)
        )),
        Ok(_) => Ok(()),
    }
}
