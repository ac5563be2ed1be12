//! The parts of a server that is about to start: the program, its folder, its flags, its environment.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use tempfile::TempDir;

use super::Server;
use crate::lines::Lines;
use crate::wait::{SOON, eventually, until};
use crate::{cargo, profile_dir, sources, target_dir};

/// A server that is about to start. See [`Server::prepare`].
pub struct Plan {
    dir: TempDir,
    command: &'static str,
    patience: Duration,
    flags: Vec<String>,
    env: Vec<(String, String)>,
    console: Console,
    reader: LogReader,
}

/// The reader of a server's standard error.
enum LogReader {
    /// It keeps all lines: see [`Server::log`].
    Follows,
    /// It closes its end when the server listens.
    Closes,
    /// It keeps its end open and reads nothing.
    Stuck,
}

/// The console of a server. Many servers run side by side, and only one of them could have the usual port.
enum Console {
    Off,
    On,
    /// Nothing is said of it.
    Unsaid,
}

/// The address of the console.
const CONSOLE: &str = "HITCHY_ADMIN__LISTEN";

/// The end of a server that was not meant to go on.
pub struct Ended {
    /// The exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub log: String,
}

impl Plan {
    pub(super) fn new() -> Self {
        let dir = TempDir::with_prefix("hitchy-").expect("a temporary folder can be made");
        fs::create_dir(dir.path().join("handlers")).expect("the handlers folder can be made");
        Self {
            dir,
            command: "serve",
            patience: SOON * 3,
            flags: Vec::new(),
            env: Vec::new(),
            console: Console::Off,
            reader: LogReader::Follows,
        }
    }

    /// Runs another command, `dev` or `build`, on the folder, and gives it the time to build.
    pub fn command(self, command: &'static str) -> Self {
        let patience = SOON * 60;
        Self {
            command,
            patience,
            ..self
        }
    }

    /// The folder that holds the handlers folder.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Puts a file into the handlers folder. `path` may have folders.
    pub fn handler(self, path: &str, bytes: impl AsRef<[u8]>) -> Self {
        self.file(&format!("handlers/{path}"), bytes)
    }

    /// Puts a file beside the handlers folder.
    pub fn file(self, path: &str, bytes: impl AsRef<[u8]>) -> Self {
        let path = self.dir.path().join(path);
        fs::create_dir_all(path.parent().expect("a file lies in a folder"))
            .expect("the folder can be made");
        fs::write(path, bytes).expect("the file can be written");
        self
    }

    /// Writes the settings file and starts the server with it.
    pub fn settings(self, toml: &str) -> Self {
        let path = self.dir.path().join("hitchy.toml");
        self.file("hitchy.toml", toml)
            .flag("--config")
            .flag(path.to_str().expect("temporary paths are UTF-8"))
    }

    /// One more argument for the command line.
    pub fn flag(mut self, flag: &str) -> Self {
        self.flags.push(flag.into());
        self
    }

    /// With the console, on a port of its own: see [`Server::console`].
    pub fn console(mut self) -> Self {
        self.console = Console::On;
        self
    }

    /// Nobody says whether there is a console, nor where: it is as users have it.
    pub fn usual_console(mut self) -> Self {
        self.console = Console::Unsaid;
        self
    }

    /// Closes the reading end of the server's standard error as soon as the server listens.
    pub fn with_closed_log(mut self) -> Self {
        self.reader = LogReader::Closes;
        self
    }

    /// Reads nothing of the server's standard error, so that the pipe fills up.
    pub fn with_stuck_log(mut self) -> Self {
        self.reader = LogReader::Stuck;
        self
    }

    /// A variable for the server's environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Starts the server and waits until it has read its folder.
    ///
    /// # Panics
    /// Panics if it does not come up.
    pub async fn start(self) -> Server {
        let server = self.start_at_once().await;
        server.says_ready().await;
        server
    }

    /// Starts the server and waits only until it listens.
    ///
    /// # Panics
    /// Panics if it does not.
    pub async fn start_at_once(self) -> Server {
        let mut child = self.program().spawn().expect("the server starts");
        let (out, log) = (Lines::default(), Lines::default());
        out.follow(child.stdout.take().expect("stdout is piped"));
        if matches!(self.reader, LogReader::Follows) {
            log.follow(child.stderr.take().expect("stderr is piped"));
        }
        let addr = eventually("the server listens", self.patience, async || {
            if let Ok(Some(status)) = child.try_wait() {
                panic!(
                    "the server ended at start: {status}\n{}\n{}",
                    out.all().join("\n"),
                    log.all().join("\n")
                );
            }
            out.find(0, |_, line| {
                line.strip_prefix("listening on http://")?
                    .trim()
                    .parse()
                    .ok()
            })
        });
        let addr = addr.await;
        if matches!(self.reader, LogReader::Closes) {
            drop(child.stderr.take());
        }
        let console = match self.console {
            Console::On => Some(console(&out).await),
            Console::Off | Console::Unsaid => None,
        };
        Server {
            child,
            addr,
            console,
            dir: self.dir,
            out,
            log,
        }
    }

    /// Starts a server that is expected to end by itself.
    ///
    /// # Panics
    /// Panics if it does not.
    pub async fn fail(self) -> Ended {
        self.run().await
    }

    /// Runs a command that ends by itself.
    ///
    /// # Panics
    /// Panics if it does not.
    pub async fn run(&self) -> Ended {
        let mut child = self.program().spawn().expect("the server starts");
        let (out, log) = (Lines::default(), Lines::default());
        out.follow(child.stdout.take().expect("stdout is piped"));
        log.follow(child.stderr.take().expect("stderr is piped"));
        let deadline = std::time::Instant::now() + self.patience;
        let status = loop {
            if let Some(status) = child.try_wait().expect("a child can be waited for") {
                break status;
            }
            if std::time::Instant::now() > deadline {
                let _ = child.kill();
                let _ = child.wait();
                panic!(
                    "it should have ended, but goes on:\n{}\n{}",
                    out.all().join("\n"),
                    log.all().join("\n")
                );
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        // The streams end with the program; the threads that follow them may still be at it.
        let quiet = async || {
            let before = (out.len(), log.len());
            tokio::time::sleep(Duration::from_millis(20)).await;
            before == (out.len(), log.len())
        };
        until("the last lines are read", SOON, quiet).await;
        Ended {
            code: status.code(),
            out: out.all().join("\n"),
            log: log.all().join("\n"),
        }
    }

    /// Starts the program and nothing else.
    ///
    /// # Panics
    /// Panics if it cannot be started.
    pub fn spawn(&self) -> std::process::Child {
        let spawned = self
            .program()
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        spawned.expect("the program starts")
    }

    fn program(&self) -> Command {
        let mut command = Command::new(binary());
        command
            .arg(self.command)
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("HITCHY_") {
                command.env_remove(name);
            }
        }
        command.env_remove("RUST_LOG").env("NO_COLOR", "1");
        match self.console {
            Console::Off => command.env(CONSOLE, "off"),
            Console::On => command.env(CONSOLE, "127.0.0.1:0"),
            Console::Unsaid => &mut command,
        };
        if self.command != "serve" {
            command.arg(self.dir.path());
        }
        if self.command != "build" && !self.flags.iter().any(|flag| flag == "--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        if !self.flags.iter().any(|flag| flag == "--handlers") {
            command
                .arg("--handlers")
                .arg(self.dir.path().join("handlers"));
        }
        command
            .args(&self.flags)
            .envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// Returns the address of the console, once the server has printed it.
async fn console(out: &Lines) -> SocketAddr {
    let address = |_, line: &str| line.strip_prefix("console on http://")?.trim().parse().ok();
    eventually("the console listens", SOON, async || out.find(0, address)).await
}

/// The program `hitchy`, built and current, from the same profile as this one. `HITCHY_BINARY` names another.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BINARY.get_or_init(|| {
        if let Some(binary) = std::env::var_os("HITCHY_BINARY") {
            return Ok(binary.into());
        }
        let dir = profile_dir();
        let profile = match dir.file_name().and_then(|name| name.to_str()) {
            None | Some("debug") => "dev",
            Some(name) => name,
        };
        // The whole workspace is named so that dependencies have the same features as in `cargo test --workspace`.
        let built = cargo()
            .args([
                "build",
                "--quiet",
                "--workspace",
                "--bin",
                "hitchy",
                "--profile",
                profile,
                "--target-dir",
            ])
            .arg(target_dir())
            .current_dir(sources())
            .status()
            .expect("cargo starts");
        if !built.success() {
            return Err("the server does not build".into());
        }
        Ok(dir.join("hitchy"))
    });
    built.as_ref().unwrap_or_else(|error| panic!("{error}"))
}
