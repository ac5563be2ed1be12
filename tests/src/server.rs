//! The real server: a `hitchy` process with its own port and its own temporary folder. Tests reach it over the network,
//! through its files and through its log.

mod plan;

pub use self::plan::{Ended, Plan, binary};

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::time::Duration;

pub use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::http::{self, Answer};
use crate::lines::Lines;
use crate::probe;
use crate::scrape::Scrape;
use crate::wait::{SOON, eventually};

/// A running server. Dropping it kills the process. If the test panicked, the log of the server is printed first.
pub struct Server {
    child: Child,
    addr: SocketAddr,
    console: Option<SocketAddr>,
    dir: TempDir,
    out: Lines,
    log: Lines,
}

impl Server {
    /// Returns a plan for a server with an empty handlers folder. The test adds files, settings and flags before it
    /// starts the server.
    pub fn prepare() -> Plan {
        Plan::new()
    }

    /// Starts a server whose handlers folder contains one file.
    pub async fn with(name: &str, bytes: impl AsRef<[u8]>) -> Server {
        Self::prepare().handler(name, bytes).start().await
    }

    /// Returns the address on which the server listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Returns the address on which the console listens.
    ///
    /// # Panics
    /// Panics if the server was started without [`Plan::console`].
    pub fn console(&self) -> SocketAddr {
        self.console.expect("a console was asked for")
    }

    /// Returns the answer to `GET target` from the console.
    pub async fn ask_console(&self, target: &str) -> Answer {
        http::ask(self.console(), "GET", target, &[], b"").await
    }

    /// Returns the samples of the console's `/metrics`.
    ///
    /// # Panics
    /// Panics if the answer is not in the text format of Prometheus.
    pub async fn metrics(&self) -> Scrape {
        let answer = self.ask_console("/metrics").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let kind = answer.header("content-type").unwrap_or_default();
        assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
        Scrape::read(&answer.text())
    }

    /// Returns the base URL of the server: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Returns the process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns the temporary folder, which contains the handlers folder and the settings file.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Returns the path of a file in the handlers folder, or of the folder itself if `path` is empty.
    pub fn handlers(&self, path: &str) -> PathBuf {
        self.dir.path().join("handlers").join(path)
    }

    /// Returns the log, which is the server's standard error, as far as it was read.
    pub fn log(&self) -> &Lines {
        &self.log
    }

    /// Returns the server's standard output, as far as it was read.
    pub fn out(&self) -> &Lines {
        &self.out
    }

    /// Waits for a log line that contains all of `words`, and returns it.
    ///
    /// # Panics
    /// Panics if no such line appears within 10 seconds.
    pub async fn wait_for_log(&self, words: &[&str]) -> String {
        self.wait_for_log_from(0, words).await
    }

    /// Waits for a log line that contains all of `words`, and returns it. Lines before index `from` are ignored.
    /// [`Lines::len`] returns the index of the next line.
    ///
    /// # Panics
    /// Panics if no such line appears within 10 seconds.
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

    /// Puts a file into the handlers folder atomically: writes it under another name outside the folder, then renames
    /// it. The probe in JavaScript comes in as `….js`: see [`Plan::handler`].
    ///
    /// # Panics
    /// Panics if the file cannot be written or renamed.
    pub fn drop_in(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let target = self.handlers(&probe::path_of(path, bytes.as_ref()));
        let folder = target.parent().expect("a file lies in a folder");
        fs::create_dir_all(folder).expect("the folder can be made");
        let mut temporary = tempfile::NamedTempFile::with_prefix_in(".drop-", self.dir.path())
            .expect("a temporary file");
        std::io::Write::write_all(&mut temporary, bytes.as_ref()).expect("the file can be written");
        temporary.persist(target).expect("the file can be renamed");
    }

    /// Writes a file into the handlers folder in place, in up to `pieces` pieces, and calls `between` after each but
    /// the last.
    ///
    /// # Panics
    /// Panics if the file cannot be written.
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
    /// Panics if the file cannot be removed.
    pub fn remove(&self, path: &str) {
        fs::remove_file(self.handlers(path)).expect("the file can be removed");
    }

    /// Renames a file in the handlers folder.
    ///
    /// # Panics
    /// Panics if the file cannot be renamed.
    pub fn rename(&self, from: &str, to: &str) {
        fs::rename(self.handlers(from), self.handlers(to)).expect("the file can be renamed");
    }

    /// Returns the answer to `GET target`, sent on a new connection.
    pub async fn get(&self, target: &str) -> Answer {
        self.request("GET", target, &[], b"").await
    }

    /// Returns the answer to `POST target` with a JSON body, sent on a new connection.
    pub async fn post(&self, target: &str, body: &Value) -> Answer {
        let headers = [("content-type", "application/json")];
        self.request("POST", target, &headers, body.to_string().as_bytes())
            .await
    }

    /// Returns the answer to a request, sent on a new connection.
    pub async fn request(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        http::ask(self.addr, method, target, headers, body).await
    }

    /// Runs a script of the guest `probe` over HTTP and returns the list of its results.
    ///
    /// # Panics
    /// Panics if the status of the answer is not 200, or if its body is not JSON.
    pub async fn script(&self, steps: &Value) -> Value {
        let answer = self.post("/script", steps).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// Repeats `GET target` until the answer has this status, and returns that answer.
    ///
    /// # Panics
    /// Panics if no such answer arrives within 20 seconds.
    pub async fn wait_for_status(&self, target: &str, status: u16) -> Answer {
        let what = format!("GET {target} answers {status}");
        let look = async || Some(self.get(target).await).filter(|answer| answer.status == status);
        eventually(&what, SOON * 2, look).await
    }

    /// Repeats `GET target` until the answer has status 200 and a body that contains `part`, and returns that answer.
    ///
    /// # Panics
    /// Panics if no such answer arrives within 20 seconds.
    pub async fn wait_for_body(&self, target: &str, part: &str) -> Answer {
        let what = format!("GET {target} answers {part}");
        let look = async || {
            Some(self.get(target).await)
                .filter(|answer| answer.status == 200 && answer.text().contains(part))
        };
        eventually(&what, SOON * 2, look).await
    }

    /// Sends SIGTERM to the server, as an operator does.
    ///
    /// # Panics
    /// Panics if the signal cannot be sent.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Sends a signal to the server.
    ///
    /// # Panics
    /// Panics if the signal cannot be sent.
    pub fn signal(&self, signal: Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("the server can be signalled");
    }

    /// Waits until the server has ended, and returns its exit status.
    ///
    /// # Panics
    /// Panics if the server has not ended within `deadline`.
    pub async fn wait_for_end(&mut self, deadline: Duration) -> ExitStatus {
        let child = &mut self.child;
        eventually("the server ends", deadline, async || {
            child.try_wait().expect("a child can be waited for")
        })
        .await
    }

    /// Asserts that the process still runs and that no code of the host panicked. Panics of guests are allowed.
    ///
    /// # Panics
    /// Panics if the server ended, or if its log contains a panic of the host or of a dependency.
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

    async fn wait_until_ready(&self) {
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
