//! Another server, which handlers of the tests call.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::wait::{SOON, until};

/// Another server, whose answers depend on the path: `/silent` gets none, `/part` the half of one, `/late` one after
/// 300 ms, `/status/N` that status, and all else `hello`.
pub struct OtherServer {
    /// Its address.
    pub addr: SocketAddr,
    /// What it has counted.
    pub counts: Arc<Counts>,
    task: JoinHandle<()>,
}

/// What another server has counted.
#[derive(Default)]
pub struct Counts {
    /// Connections so far.
    pub connections: AtomicUsize,
    /// Connections that are open.
    pub open: AtomicUsize,
    /// Requests that are being answered.
    pub busy: AtomicUsize,
    /// The most of them at once.
    pub most: AtomicUsize,
}

impl Drop for OtherServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl OtherServer {
    /// Starts the server.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let (addr, counts) = (
            listener.local_addr().expect("bound"),
            Arc::<Counts>::default(),
        );
        let counted = Arc::clone(&counts);
        let task = tokio::spawn(async move {
            let mut served = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let counts = Arc::clone(&counted);
                served.spawn(async move {
                    counts.connections.fetch_add(1, Ordering::SeqCst);
                    counts.open.fetch_add(1, Ordering::SeqCst);
                    // An error means that the connection was closed.
                    let _ = serve(stream, &counts).await;
                    counts.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { addr, counts, task }
    }

    /// Returns the URL of a path, by the name of the host.
    pub fn url(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.addr.port())
    }

    /// Returns the setting by which a handler may call it.
    pub fn entry(&self) -> String {
        format!("outbound = [\"{}\"]\n", self.url(""))
    }

    /// Waits until as many connections are open.
    pub async fn open(&self, count: usize) {
        let what = format!("{count} connections to the other server are open");
        let is_so = async || self.counts.open.load(Ordering::SeqCst) == count;
        until(&what, SOON, is_so).await;
    }
}

async fn serve(stream: TcpStream, counts: &Counts) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut head, mut length) = (String::new(), 0);
        while !head.ends_with("\r\n\r\n") {
            let start = head.len();
            if stream.read_line(&mut head).await? == 0 {
                return Ok(());
            }
            if let Some(value) = head[start..].strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap_or_default();
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        let busy = counts.busy.fetch_add(1, Ordering::SeqCst) + 1;
        counts.most.fetch_max(busy, Ordering::SeqCst);
        let answered = answer(&mut stream, &head, &body).await;
        counts.busy.fetch_sub(1, Ordering::SeqCst);
        answered?;
    }
}

async fn answer(stream: &mut BufReader<TcpStream>, head: &str, body: &[u8]) -> std::io::Result<()> {
    let target = head.split(' ').nth(1).unwrap_or_default();
    let path = target.split('?').next().unwrap_or_default();
    let (mut status, mut text) = (200, "hello".to_owned());
    match path
        .trim_start_matches('/')
        .split_once('/')
        .unwrap_or((path, ""))
    {
        ("/silent", _) => return wait_for_end(stream).await,
        ("/part", _) => {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello")
                .await?;
            return wait_for_end(stream).await;
        }
        ("/late", _) => tokio::time::sleep(Duration::from_millis(300)).await,
        ("/echo", _) => text = format!("{head}{}", String::from_utf8_lossy(body)),
        ("status", number) => status = number.parse().unwrap_or(500),
        _ => {}
    }
    let length = text.len();
    let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n{text}");
    stream.write_all(answer.as_bytes()).await
}

async fn wait_for_end(stream: &mut BufReader<TcpStream>) -> std::io::Result<()> {
    let mut rest = [0; 1024];
    while stream.read(&mut rest).await? > 0 {}
    Err(std::io::ErrorKind::ConnectionAborted.into())
}
