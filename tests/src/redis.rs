//! The program `redis-server`, with its own port and its own temporary folder, and a client that sends it commands.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::wait::{SOON, eventually, until, within};

/// A running `redis-server`. Dropping it kills the process.
pub struct Redis {
    child: Child,
    port: u16,
    arguments: Vec<String>,
    dir: TempDir,
}

/// An answer of Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Text: a status or a string.
    Text(Vec<u8>),
    /// A number.
    Number(i64),
    /// An error, with its code at the beginning.
    Error(String),
    /// Nothing.
    Nil,
    /// A list.
    List(Vec<Reply>),
}

impl Reply {
    /// Returns the text of a status or a string.
    ///
    /// # Panics
    /// Panics if it is neither.
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) => String::from_utf8_lossy(text).into_owned(),
            other => panic!("no text: {other:?}"),
        }
    }
}

/// Starts Redis without a password. If `redis-server` is missing, reports the skipped test on standard error and returns
/// `None`.
///
/// # Panics
/// Panics if it is missing and `CI=true`.
pub async fn redis() -> Option<Redis> {
    redis_with(&[]).await
}

/// Starts Redis with arguments, for example `["--requirepass", "secret"]`. Returns `None` as [`redis`] does.
///
/// # Panics
/// Panics if `redis-server` is missing and `CI=true`.
pub async fn redis_with(arguments: &[&str]) -> Option<Redis> {
    let found = Command::new("redis-server").arg("--version").output();
    if !found.is_ok_and(|out| out.status.success()) {
        let missing = "redis-server is not installed (apt-get install redis-server)";
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{missing}");
        #[expect(clippy::print_stderr, reason = "a skipped test must say so")]
        {
            eprintln!("skipped: {missing}");
        }
        crate::clauses::skip();
        return None;
    }
    Some(Redis::start(arguments).await)
}

impl Redis {
    async fn start(arguments: &[&str]) -> Self {
        let arguments: Vec<String> = arguments.iter().map(|&it| it.to_owned()).collect();
        loop {
            // Another program may take the port meanwhile, and then this one ends.
            let (dir, port) = (TempDir::with_prefix("hitchy-redis-"), free_port());
            let dir = dir.expect("a temporary folder");
            let mut redis = Self {
                child: spawn(dir.path(), port, &arguments),
                port,
                arguments: arguments.clone(),
                dir,
            };
            if redis.is_up().await {
                return redis;
            }
        }
    }

    /// Returns the address on which it listens.
    pub fn addr(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Waits until it answers. Returns false if the process has ended.
    async fn is_up(&mut self) -> bool {
        let addr = self.addr();
        let child = &mut self.child;
        eventually("redis-server answers", SOON, async || {
            if child.try_wait().is_ok_and(|ended| ended.is_some()) {
                return Some(false);
            }
            let answer = async {
                let mut connection = Connection::open(addr).await?;
                connection.ask(&[b"PING"]).await
            };
            // An error is an answer too: it may want a password.
            answer.await.ok().map(|_| true)
        })
        .await
    }

    /// Stops the process without ending it (SIGSTOP): it keeps its connections and answers nothing.
    ///
    /// # Panics
    /// Panics if the process cannot be signalled.
    pub fn stop(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets a stopped process go on.
    ///
    /// # Panics
    /// Panics if the process cannot be signalled.
    pub fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("redis-server can be signalled");
    }

    /// Kills the process. Its data is lost.
    ///
    /// # Panics
    /// Panics if the process cannot be killed.
    pub fn kill(&mut self) {
        self.child.kill().expect("redis-server can be killed");
        self.child.wait().expect("a child can be waited for");
    }

    /// Starts it again on the same port.
    ///
    /// # Panics
    /// Panics if it does not answer within 10 seconds.
    pub async fn start_again(&mut self) {
        let mut attempt = async || {
            self.child = spawn(self.dir.path(), self.port, &self.arguments);
            self.is_up().await
        };
        until("redis-server starts again", SOON, &mut attempt).await;
    }

    /// Opens a connection for commands.
    ///
    /// # Panics
    /// Panics if nobody listens.
    pub async fn connection(&self) -> Connection {
        let connection = Connection::open(self.addr()).await;
        connection.expect("redis-server listens")
    }

    /// Sends a command on a new connection and returns the answer.
    ///
    /// # Panics
    /// Panics if there is none within 10 seconds.
    pub async fn ask(&self, command: &[&str]) -> Reply {
        let parts: Vec<&[u8]> = command.iter().map(|part| part.as_bytes()).collect();
        let mut connection = self.connection().await;
        let answer = within("an answer of Redis", SOON, connection.ask(&parts)).await;
        answer.expect("an answer")
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(dir: &Path, port: u16, arguments: &[String]) -> Child {
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--appendonly", "no"])
        .args(arguments)
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server starts")
}

/// Returns a port that was free a moment ago, because Redis does not report one that the system chose.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it has an address").port()
}

/// A connection for commands, in the protocol of Redis (RESP 2).
pub struct Connection(BufReader<TcpStream>);

impl Connection {
    /// Opens a connection.
    ///
    /// # Errors
    /// Nobody listens.
    pub async fn open(addr: SocketAddr) -> Result<Self> {
        Ok(Self(BufReader::new(TcpStream::connect(addr).await?)))
    }

    /// Sends a command and returns the answer.
    ///
    /// # Errors
    /// The connection ends, or the answer is not RESP 2.
    pub async fn ask(&mut self, command: &[&[u8]]) -> Result<Reply> {
        self.send(command).await?;
        self.next().await
    }

    /// Sends a command without waiting for its answer.
    ///
    /// # Errors
    /// The connection has ended.
    pub async fn send(&mut self, command: &[&[u8]]) -> Result<()> {
        let mut bytes = format!("*{}\r\n", command.len()).into_bytes();
        for part in command {
            bytes.extend(format!("${}\r\n", part.len()).into_bytes());
            bytes.extend(*part);
            bytes.extend(b"\r\n");
        }
        Ok(self.0.write_all(&bytes).await?)
    }

    /// Returns the next answer, or the next message of a channel.
    ///
    /// # Errors
    /// The connection ends, or the answer is not RESP 2.
    pub async fn next(&mut self) -> Result<Reply> {
        let mut line = String::new();
        self.0.read_line(&mut line).await?;
        let line = line.strip_suffix("\r\n").context("an end")?;
        let (kind, rest) = line.split_at_checked(1).context("a kind")?;
        Ok(match kind {
            "+" => Reply::Text(rest.as_bytes().to_vec()),
            "-" => Reply::Error(rest.to_owned()),
            ":" => Reply::Number(rest.parse()?),
            "$" if rest == "-1" => Reply::Nil,
            "$" => {
                let mut bytes = vec![0; rest.parse::<usize>()? + 2];
                self.0.read_exact(&mut bytes).await?;
                bytes.truncate(bytes.len() - 2);
                Reply::Text(bytes)
            }
            "*" => {
                let mut items = Vec::new();
                for _ in 0..rest.parse::<usize>()? {
                    items.push(Box::pin(self.next()).await?);
                }
                Reply::List(items)
            }
            _ => bail!("not RESP 2: {line}"),
        })
    }
}
