//! Connections to servers: opened to an address that was checked, and kept for the next request after a good answer.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;
use wasmtime_wasi_http::{Error, WasiBody};

use super::destination::Destination;
use super::errors;
use super::tls::Tls;
use crate::lock::lock;

/// Connections without a request that are kept, of all servers together.
const MAX_IDLE: usize = 32;
/// Connections without a request that are kept to one server.
const MAX_IDLE_PER_SERVER: usize = 8;
/// Longest time that a connection without a request is kept.
const IDLE_TIME: Duration = Duration::from_secs(30);
/// Time between two searches for connections that were idle for too long.
const SWEEP: Duration = Duration::from_secs(5);
/// Time that a kept connection has to become ready for another request, which is a matter of microseconds.
const READY_TIME: Duration = Duration::from_millis(100);
/// Bytes that a connection buffers. The head of a response must fit into it.
const BUFFER: usize = 64 << 10;

/// The server that a connection leads to, and the address that was checked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) destination: Destination,
    pub(super) address: SocketAddr,
}

/// An open connection. It is closed when this value is dropped.
pub(super) struct Connection {
    key: Key,
    pub(super) sender: SendRequest<WasiBody>,
    /// The task that reads and writes.
    _task: AbortOnDropHandle<()>,
}

impl Connection {
    /// Connects to an address and opens TLS on it if the destination wants that. Has no timeout of its own.
    pub(super) async fn open(key: Key, tls: &Tls) -> Result<Self, Error> {
        let connected = TcpStream::connect(key.address).await;
        let stream = connected.map_err(|error| errors::of_connect(&error))?;
        // Without it small requests would wait for acknowledgements of earlier packets; a failure costs only time.
        let _ = stream.set_nodelay(true);
        if key.destination.tls {
            let stream = tls.connect(&key.destination.host, stream).await?;
            Self::over(key, stream).await
        } else {
            Self::over(key, stream).await
        }
    }

    async fn over<S>(key: Key, stream: S) -> Result<Self, Error>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(BUFFER)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| errors::of_hyper(&error))?;
        // The error is that of the request, which learns of it by itself.
        let task = tokio::spawn(async move { drop(connection.await) });
        Ok(Self {
            key,
            sender,
            _task: AbortOnDropHandle::new(task),
        })
    }
}

/// Connections that wait for their next request.
#[derive(Default)]
pub(super) struct Pool {
    idle: Mutex<HashMap<Key, Vec<Idle>>>,
}

struct Idle {
    connection: Connection,
    since: Instant,
}

impl Idle {
    fn is_usable(&self) -> bool {
        self.since.elapsed() < IDLE_TIME && !self.connection.sender.is_closed()
    }
}

impl Pool {
    /// Keeps a connection whose request was answered, unless there are enough.
    pub(super) fn keep(&self, connection: Connection) {
        if connection.sender.is_closed() {
            return;
        }
        let mut idle = lock(&self.idle);
        if idle.values().map(Vec::len).sum::<usize>() >= MAX_IDLE {
            return;
        }
        let same = idle.entry(connection.key.clone()).or_default();
        if same.len() < MAX_IDLE_PER_SERVER {
            same.push(Idle {
                connection,
                since: Instant::now(),
            });
        }
    }

    /// Takes a kept connection that is ready for a request, the one that was used last.
    pub(super) async fn take(&self, key: &Key) -> Option<Connection> {
        while let Some(mut connection) = self.pop(key) {
            let ready = tokio::time::timeout(READY_TIME, connection.sender.ready()).await;
            if matches!(ready, Ok(Ok(()))) {
                return Some(connection);
            }
        }
        None
    }

    fn pop(&self, key: &Key) -> Option<Connection> {
        let mut idle = lock(&self.idle);
        let same = idle.get_mut(key)?;
        let found = std::iter::from_fn(|| same.pop()).find(Idle::is_usable);
        if same.is_empty() {
            idle.remove(key);
        }
        found.map(|idle| idle.connection)
    }

    /// Closes what was idle for too long.
    fn sweep(&self) {
        lock(&self.idle).retain(|_, same| {
            same.retain(Idle::is_usable);
            !same.is_empty()
        });
    }

    /// Closes connections that are idle for too long, for ever.
    pub(super) async fn keep_sweeping(&self) {
        loop {
            tokio::time::sleep(SWEEP).await;
            self.sweep();
        }
    }
}
