//! A script of `client/` in a Node process that is driven line by line: one JSON command goes in, one JSON message with
//! its number comes out; other messages tell what happened.

use std::io::Write;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::lines::Lines;
use crate::sources;

/// The packages of `client/package.json`.
const PACKAGES: [&str; 2] = ["playwright-core", "socket.io-client"];

/// The longest time for a script to end.
const TO_END: Duration = Duration::from_secs(5);

/// The process. It is ended when this is dropped.
pub struct Driven {
    child: Mutex<Child>,
    /// None when the script was told to end.
    stdin: Mutex<Option<ChildStdin>>,
    lines: Lines,
    counter: AtomicU64,
}

impl Driven {
    /// Starts a script of `client/`.
    ///
    /// # Panics
    /// Panics if Node does not start: see [`installed`].
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

    /// A number that was not given out before.
    pub fn number(&self) -> u64 {
        self.counter.fetch_add(1, Ordering::Relaxed)
    }

    /// All messages so far.
    pub fn said(&self) -> Vec<String> {
        self.lines.all()
    }

    /// Sends a command and waits for its answer; also says at which place that came.
    ///
    /// # Panics
    /// Panics if none comes by the deadline, or the script failed.
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
        // The end of its input tells the script to end what it started itself.
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

/// Installs what the scripts need once, from their lock file.
///
/// # Errors
/// The programs that are missing.
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
