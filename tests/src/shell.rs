//! A shell that runs the command blocks of the documentation in a folder, with `hitchy` on its PATH.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use crate::lines::Lines;
use crate::server::binary;
use crate::wait::{SOON, eventually, within};
use crate::{cargo, sources};

/// Deadline for commands that build something, while other tests run on the same machine: 20 minutes.
pub const TO_BUILD: Duration = SOON.saturating_mul(120);

/// The settings of a shell: its folder, the target folder of cargo, and the addresses that its commands use.
pub struct Shell {
    folder: PathBuf,
    target: PathBuf,
    server: Option<SocketAddr>,
    console: Option<SocketAddr>,
}

/// A running block. Dropping it kills the shell and all its processes.
pub struct Running {
    child: Child,
    /// The lines of standard output.
    pub out: Lines,
    /// The lines of standard error.
    pub log: Lines,
}

impl Shell {
    /// Returns a shell that works in `folder`. Cargo builds into `target`.
    pub fn new(folder: &Path, target: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            target: target.to_owned(),
            server: None,
            console: None,
        }
    }

    /// Replaces `localhost:3000` in commands with the address `server`, and makes it the default server of client
    /// commands.
    pub fn meaning(self, server: SocketAddr) -> Self {
        Self {
            server: Some(server),
            ..self
        }
    }

    /// Replaces `localhost:9000` in commands with the address `console`.
    pub fn and_console(self, console: SocketAddr) -> Self {
        Self {
            console: Some(console),
            ..self
        }
    }

    /// Runs a block, waits for its end, and returns its standard output.
    ///
    /// # Panics
    /// Panics if the block fails, or if it does not end within 20 minutes.
    pub async fn types(&self, block: &str) -> String {
        let mut command = tokio::process::Command::from(self.command(&self.placed(block)));
        let typed = within(block, TO_BUILD, command.kill_on_drop(true).output());
        let said = typed.await.expect("bash starts");
        let out = String::from_utf8_lossy(&said.stdout).into_owned();
        let log = String::from_utf8_lossy(&said.stderr);
        assert!(said.status.success(), "{block}\n{out}\n{log}");
        out
    }

    /// Starts a block that keeps running.
    ///
    /// # Panics
    /// Panics if bash cannot be started.
    pub fn starts(&self, block: &str) -> Running {
        let mut child = self
            .command(&self.placed(block))
            .spawn()
            .expect("bash starts");
        let (out, log) = (Lines::default(), Lines::default());
        out.follow(child.stdout.take().expect("stdout is piped"));
        log.follow(child.stderr.take().expect("stderr is piped"));
        Running { child, out, log }
    }

    /// Saves a script as `name` in the folder and runs it in Node, with the packages of `tests/client`.
    ///
    /// # Panics
    /// Panics if the script cannot be saved, or if bash cannot be started.
    pub fn node(&self, name: &str, script: &str) -> Running {
        let modules = self.folder.join("node_modules");
        if !modules.exists() {
            std::os::unix::fs::symlink(sources().join("client/node_modules"), &modules)
                .expect("a link can be made");
        }
        fs::write(self.folder.join(name), self.placed(script)).expect("the script can be saved");
        self.starts(&format!("exec node {name}"))
    }

    fn placed(&self, text: &str) -> String {
        let place = |text: String, usual: &str, address: Option<SocketAddr>| match address {
            Some(address) => text.replace(usual, &address.to_string()),
            None => text,
        };
        let text = place(text.to_owned(), "localhost:3000", self.server);
        place(text, "localhost:9000", self.console)
    }

    fn command(&self, text: &str) -> Command {
        let mut command = Command::new("bash");
        let programs = binary().parent().expect("a program lies in a folder");
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .args(["-euo", "pipefail", "-c", text])
            .current_dir(&self.folder)
            .env("PATH", format!("{}:{path}", programs.display()))
            .env("HITCHY_SERVER__LISTEN", "127.0.0.1:0")
            .env("HITCHY_ADMIN__LISTEN", "127.0.0.1:0")
            .env("HITCHY_CACHE__DIR", "off")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        for (name, _) in cargo().get_envs() {
            command.env_remove(name);
        }
        command.env("CARGO_TARGET_DIR", &self.target);
        if let Some(server) = self.server {
            command.env("HITCHY_URL", format!("http://{server}"));
        }
        command
    }
}

impl Running {
    /// Waits until the server reports that it is ready, and returns the address on which it listens.
    ///
    /// # Panics
    /// Panics if the process ends, or if the server is not ready within 20 minutes.
    pub async fn is_ready(&mut self) -> SocketAddr {
        let (child, out, log) = (&mut self.child, &self.out, &self.log);
        eventually("it is ready", TO_BUILD, async || {
            if let Ok(Some(status)) = child.try_wait() {
                panic!("{status}\n{:#?}\n{:#?}", out.all(), log.all());
            }
            out.find(0, |_, line| (line == "ready").then_some(()))
        })
        .await;
        let address = |_, line: &str| line.strip_prefix("listening on http://")?.parse().ok();
        self.out.find(0, address).expect("it says where it listens")
    }
}

impl Running {
    /// Waits for a line of standard output that contains `part`.
    ///
    /// # Panics
    /// Panics if no such line appears within 60 seconds.
    pub async fn says(&self, part: &str) {
        let has = |_, line: &str| line.contains(part).then_some(());
        let said = self.out.wait(part, 0, TO_BUILD, has);
        if tokio::time::timeout(SOON * 6, said).await.is_err() {
            panic!(
                "it does not say {part}: {:#?}\n{:#?}",
                self.out.all(),
                self.log.all()
            );
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The processes may have ended already, so an error is ignored.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}
