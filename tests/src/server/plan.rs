//! The plan of a server: its command, its folder, its flags and its environment, until the process starts.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::thread::JoinHandle;
use std::time::Duration;

use tempfile::TempDir;

use super::Server;
use crate::lines::Lines;
use crate::wait::{SOON, eventually, until};
use crate::{cargo, probe, profile_dir, sources, target_dir};

/// A server that is not started yet. See [`Server::prepare`].
pub struct Plan {
    dir: TempDir,
    command: &'static str,
    /// What a shell does before it becomes the server. Empty if no shell is used.
    shell: &'static str,
    patience: Duration,
    flags: Vec<String>,
    env: Vec<(String, String)>,
    console: Console,
    /// True if what the server compiles is kept for the servers of other tests.
    shares_code: bool,
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

/// The console setting of a server. Servers of several tests run at once, and only one of them could have the default
/// port.
enum Console {
    Off,
    On,
    /// No setting is passed, so the server uses its default.
    Default,
}

/// The environment variable that sets the address of the console.
const CONSOLE: &str = "HITCHY_ADMIN__LISTEN";
/// The variable of the folder of compiled code.
const CACHE: &str = "HITCHY_CACHE__DIR";

/// The output of a process that ended by itself.
pub struct Ended {
    /// The exit code, or `None` if a signal ended the process.
    pub code: Option<i32>,
    /// The text of standard output.
    pub out: String,
    /// The text of standard error, which is the log.
    pub log: String,
}

impl Plan {
    pub(super) fn new() -> Self {
        let dir = TempDir::with_prefix("hitchy-").expect("a temporary folder can be made");
        fs::create_dir(dir.path().join("handlers")).expect("the handlers folder can be made");
        Self {
            dir,
            command: "serve",
            shell: "",
            patience: SOON * 3,
            flags: Vec::new(),
            env: Vec::new(),
            console: Console::Off,
            shares_code: false,
            reader: LogReader::Follows,
        }
    }

    /// Runs another command on the folder, `dev` or `build`, and raises the deadline for its start to 10 minutes,
    /// because these commands build guests.
    pub fn command(self, command: &'static str) -> Self {
        let patience = SOON * 60;
        Self {
            command,
            patience,
            ..self
        }
    }

    /// Returns the temporary folder, which contains the handlers folder.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file into the handlers folder. Missing folders of `path` are created. The probe in JavaScript is written
    /// as `….js`, also if `path` ends with `.wasm`.
    pub fn handler(mut self, path: &str, bytes: impl AsRef<[u8]>) -> Self {
        let path = probe::path_of(path, bytes.as_ref());
        self.shares_code |= !path.ends_with(".wasm") && !path.ends_with(".toml");
        self.shares_code |= probe::compiles_slowly(bytes.as_ref());
        self.file(&format!("handlers/{path}"), bytes)
    }

    /// Writes a file into the temporary folder. Missing folders of `path` are created.
    pub fn file(self, path: &str, bytes: impl AsRef<[u8]>) -> Self {
        let path = self.dir.path().join(path);
        fs::create_dir_all(path.parent().expect("a file lies in a folder"))
            .expect("the folder can be made");
        fs::write(path, bytes).expect("the file can be written");
        self
    }

    /// Writes the text of a settings file and passes its path to the server.
    pub fn settings(self, toml: &str) -> Self {
        let path = self.dir.path().join("hitchy.toml");
        self.file("hitchy.toml", toml)
            .flag("--config")
            .flag(path.to_str().expect("temporary paths are UTF-8"))
    }

    /// Adds an argument to the command line.
    pub fn flag(mut self, flag: &str) -> Self {
        self.flags.push(flag.into());
        self
    }

    /// Starts the server with its console on a free port. See [`Server::console`].
    pub fn console(mut self) -> Self {
        self.console = Console::On;
        self
    }

    /// Passes no setting for the console, so the server starts it as it does for a user, on the default port.
    pub fn usual_console(mut self) -> Self {
        self.console = Console::Default;
        self
    }

    /// Starts the server through a shell that first runs `script`, for example `ulimit -f 100`. The shell then becomes
    /// the server, which so has the process id of the shell.
    pub fn after_shell(self, script: &'static str) -> Self {
        Self {
            shell: script,
            ..self
        }
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

    /// Sets a variable in the environment of the server.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Starts the server and waits until it reports that it has loaded its folder.
    ///
    /// # Panics
    /// Panics if the server does not start, or if it is not ready within 60 seconds after it listens.
    pub async fn start(self) -> Server {
        let server = self.start_at_once().await;
        server.wait_until_ready().await;
        server
    }

    /// Starts the server and waits only until it listens. Its handlers may not be loaded yet.
    ///
    /// # Panics
    /// Panics if the server ends, or if it does not listen by the deadline: 30 seconds, or 10 minutes after
    /// [`Plan::command`].
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
            Console::Off | Console::Default => None,
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

    /// Starts a server that is expected to end by itself, and returns its output.
    ///
    /// # Panics
    /// Panics if the server does not end by the deadline: 30 seconds, or 10 minutes after [`Plan::command`].
    pub async fn fail(self) -> Ended {
        self.run().await
    }

    /// Runs a command that ends by itself, and returns its output. The plan can be run again.
    ///
    /// # Panics
    /// Panics if the command does not end by the deadline: 30 seconds, or 10 minutes after [`Plan::command`].
    pub async fn run(&self) -> Ended {
        let mut child = self.program().spawn().expect("the server starts");
        let (out, log) = (Lines::default(), Lines::default());
        let followed = [
            out.follow(child.stdout.take().expect("stdout is piped")),
            log.follow(child.stderr.take().expect("stderr is piped")),
        ];
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
        // The threads that follow the streams may still be reading when the process has ended.
        let are_read = async || followed.iter().all(JoinHandle::is_finished);
        until("the last lines are read", SOON, are_read).await;
        Ended {
            code: status.code(),
            out: out.all().join("\n"),
            log: log.all().join("\n"),
        }
    }

    /// Starts the process without reading its output, and does not wait for anything.
    ///
    /// # Panics
    /// Panics if the process cannot be started.
    pub fn spawn(&self) -> std::process::Child {
        let spawned = self
            .program()
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        spawned.expect("the program starts")
    }

    /// Starts the process through a shell, for example with its output redirected. In `script`, `"$@"` is the command.
    /// The shell leads a process group of its own.
    ///
    /// # Panics
    /// Panics if the shell cannot be started.
    pub fn spawn_in_shell(&self, script: &str) -> std::process::Child {
        let program = self.program();
        let mut shell = Command::new("sh");
        shell
            .args(["-c", script, "sh"])
            .arg(program.get_program())
            .args(program.get_args())
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        for (name, value) in program.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        shell.spawn().expect("the shell starts")
    }

    fn program(&self) -> Command {
        let mut command = if self.shell.is_empty() {
            Command::new(binary())
        } else {
            let mut shell = Command::new("sh");
            let script = format!("{}\nexec \"$@\"", self.shell);
            shell.args(["-c", &script, "sh"]).arg(binary());
            shell
        };
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
        // Tests compile what they serve, and leave the user's cache alone. A test of the cache sets a folder of its
        // own. What all scripts share is compiled once, and so is Python.
        if self.shares_code {
            command.env(CACHE, target_dir().join("code-of-scripts"));
        } else {
            command.env(CACHE, "off");
        }
        match self.console {
            Console::Off => command.env(CONSOLE, "off"),
            Console::On => command.env(CONSOLE, "127.0.0.1:0"),
            Console::Default => &mut command,
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

/// Waits until the console listens and returns its address, which the server prints on standard output.
async fn console(out: &Lines) -> SocketAddr {
    let address = |_, line: &str| line.strip_prefix("console on http://")?.trim().parse().ok();
    eventually("the console listens", SOON, async || out.find(0, address)).await
}

/// Returns the path of the program `hitchy`. It is built once per process with the profile of the tests, unless the
/// variable `HITCHY_BINARY` names another program.
///
/// # Panics
/// Panics if the build fails.
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
        // The build covers the whole workspace, so that dependencies get the same features as in `cargo test
        // --workspace`.
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
