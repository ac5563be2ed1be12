//! The real server: `hitchy serve` on a port of its own over a folder of its own.

mod plan;

pub use self::plan::{Ended, Plan, binary};

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::http::{self, Answer};
use crate::lines::Lines;
use crate::scrape::Scrape;
use crate::wait::{SOON, eventually};

/// A running server. It is killed when this is dropped.
pub struct Server {
    child: Child,
    addr: SocketAddr,
    console: Option<SocketAddr>,
    dir: TempDir,
    out: Lines,
    log: Lines,
}

impl Server {
    /// A server over an empty folder, to be filled before it starts.
    pub fn prepare() -> Plan {
        Plan::new()
    }

    /// A server whose folder holds one handler.
    pub async fn with(name: &str, bytes: impl AsRef<[u8]>) -> Server {
        Self::prepare().handler(name, bytes).start().await
    }

    /// Returns the address that the server listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The address of the console.
    ///
    /// # Panics
    /// Panics if it was not asked for: see [`Plan::console`].
    pub fn console(&self) -> SocketAddr {
        self.console.expect("a console was asked for")
    }

    /// Answers `GET target` of the console.
    pub async fn ask_console(&self, target: &str) -> Answer {
        http::ask(self.console(), "GET", target, &[], b"").await
    }

    /// Returns the counters of the console's page `/metrics`.
    ///
    /// # Panics
    /// Panics if it is not what Prometheus reads.
    pub async fn metrics(&self) -> Scrape {
        let answer = self.ask_console("/metrics").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let kind = answer.header("content-type").unwrap_or_default();
        assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
        Scrape::read(&answer.text())
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The folder that holds the handlers folder and the settings.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The handlers folder, or a path in it.
    pub fn handlers(&self, path: &str) -> PathBuf {
        self.dir.path().join("handlers").join(path)
    }

    /// Returns the lines of the log so far.
    pub fn log(&self) -> &Lines {
        &self.log
    }

    /// Returns the lines of standard output so far.
    pub fn out(&self) -> &Lines {
        &self.out
    }

    /// Waits for a line of the log that has all these words in it, and gives it back.
    ///
    /// # Panics
    /// Panics if there is none soon.
    pub async fn wait_for_log(&self, words: &[&str]) -> String {
        self.wait_for_log_from(0, words).await
    }

    /// Waits for such a line among the lines from place `from` on: see [`Lines::len`].
    ///
    /// # Panics
    /// Panics if there is none soon.
    pub async fn wait_for_log_from(&self, from: usize, words: &[&str]) -> String {
        let has_all = |_, line: &str| {
            words
                .iter()
                .all(|word| line.contains(word))
                .then(|| line.to_string())
        };
        self.log
            .wait(&format!("a log line with {words:?}"), from, SOON, has_all)
            .await
    }

    /// Drops a file into the handlers folder as a careful person does: written under another name, then renamed.
    ///
    /// # Panics
    /// Panics if it cannot be written.
    pub fn drop_in(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let target = self.handlers(path);
        let folder = target.parent().expect("a file lies in a folder");
        fs::create_dir_all(folder).expect("the folder can be made");
        let mut temporary = tempfile::NamedTempFile::with_prefix_in(".drop-", self.dir.path())
            .expect("a temporary file");
        std::io::Write::write_all(&mut temporary, bytes.as_ref()).expect("the file can be written");
        temporary.persist(target).expect("the file can be renamed");
    }

    /// Copies a file into the handlers folder in place, in pieces, calling `between` after each but the last.
    ///
    /// # Panics
    /// Panics if it cannot be written.
    pub async fn copy_slowly(
        &self,
        path: &str,
        bytes: &[u8],
        pieces: usize,
        mut between: impl AsyncFnMut(),
    ) {
        use std::io::Write;
        let mut file = fs::File::create(self.handlers(path)).expect("the file can be made");
        let length = bytes.len().div_ceil(pieces);
        let mut rest = bytes.chunks(length).peekable();
        while let Some(piece) = rest.next() {
            file.write_all(piece)
                .and_then(|()| file.flush())
                .expect("the file can be written");
            if rest.peek().is_some() {
                between().await;
            }
        }
    }

    /// Removes a file from the handlers folder.
    ///
    /// # Panics
    /// Panics if it cannot be removed.
    pub fn remove(&self, path: &str) {
        fs::remove_file(self.handlers(path)).expect("the file can be removed");
    }

    /// Renames a file of the handlers folder.
    ///
    /// # Panics
    /// Panics if it cannot be renamed.
    pub fn rename(&self, from: &str, to: &str) {
        fs::rename(self.handlers(from), self.handlers(to)).expect("the file can be renamed");
    }

    /// Answers `GET target` on a connection of its own.
    pub async fn get(&self, target: &str) -> Answer {
        self.request("GET", target, &[], b"").await
    }

    /// Answers `POST target` with this JSON as its body.
    pub async fn post(&self, target: &str, body: &Value) -> Answer {
        let headers = [("content-type", "application/json")];
        self.request("POST", target, &headers, body.to_string().as_bytes())
            .await
    }

    /// Answers any request on a connection of its own.
    pub async fn request(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        http::ask(self.addr, method, target, headers, body).await
    }

    /// Runs a script of the guest `probe` through HTTP and lists its results.
    ///
    /// # Panics
    /// Panics if the answer is not the probe's.
    pub async fn script(&self, steps: &Value) -> Value {
        let answer = self.post("/script", steps).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// Waits until `GET target` answers with this status.
    ///
    /// # Panics
    /// Panics if it does not soon.
    pub async fn wait_for_status(&self, target: &str, status: u16) -> Answer {
        let what = format!("GET {target} answers {status}");
        let look = async || Some(self.get(target).await).filter(|answer| answer.status == status);
        eventually(&what, SOON * 2, look).await
    }

    /// Waits until `GET target` answers 200 with a body that has this in it.
    ///
    /// # Panics
    /// Panics if it does not soon.
    pub async fn wait_for_body(&self, target: &str, part: &str) -> Answer {
        let what = format!("GET {target} answers {part}");
        let look = async || {
            Some(self.get(target).await)
                .filter(|answer| answer.status == 200 && answer.text().contains(part))
        };
        eventually(&what, SOON * 2, look).await
    }

    /// Asks the server to end, as an operator does.
    ///
    /// # Panics
    /// Panics if there is no such process.
    pub fn terminate(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)
            .expect("the server can be signalled");
    }

    /// Waits until the server has ended.
    ///
    /// # Panics
    /// Panics if it has not by the deadline.
    pub async fn wait_for_end(&mut self, deadline: Duration) -> ExitStatus {
        let child = &mut self.child;
        eventually("the server ends", deadline, async || {
            child.try_wait().expect("a child can be waited for")
        })
        .await
    }

    /// Asserts that the process is the same and that nothing in it panicked, whatever its guests did.
    ///
    /// # Panics
    /// Panics if it is not so.
    pub fn assert_unharmed(&mut self) {
        let ended = self.child.try_wait().expect("a child can be waited for");
        assert!(ended.is_none(), "the server ended: {ended:?}");
        let panicked = self.log.find(0, |_, line| {
            let host = line.contains("panicked at")
                && (line.contains("host/src") || line.contains("/registry/src"));
            host.then(|| line.to_string())
        });
        assert!(panicked.is_none(), "the host panicked: {panicked:?}");
    }

    async fn says_ready(&self) {
        let ready = |_, line: &str| {
            line.split(|c: char| !c.is_ascii_alphanumeric())
                .any(|word| word == "ready")
                .then_some(())
        };
        eventually("the server says ready", SOON * 6, async || {
            self.log.find(0, ready).or_else(|| self.out.find(0, ready))
        })
        .await;
    }
}

impl Drop for Server {
    #[expect(
        clippy::print_stderr,
        reason = "cargo test shows it with the failure of the test"
    )]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the server's log:\n{}", self.log.all().join("\n"));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
