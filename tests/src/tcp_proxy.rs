//! A proxy of TCP connections that can fail as networks do.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What a proxy does with what it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It passes bytes on.
    Pass,
    /// It closes the connections that are open and those that come.
    Cut,
    /// It keeps connections open and accepts others, and passes nothing on: a network that swallows everything.
    Swallow,
    /// It passes bytes on after this time.
    Delay(Duration),
}

/// A proxy in front of one address. Its connections end when this is dropped.
pub struct TcpProxy {
    addr: SocketAddr,
    mode: Arc<watch::Sender<Mode>>,
    _tasks: JoinSet<()>,
}

impl TcpProxy {
    /// Starts a proxy that passes bytes on to `target`.
    ///
    /// # Panics
    /// Panics if no port is free.
    pub async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("it has an address");
        let mode = Arc::new(watch::Sender::new(Mode::Pass));
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, target, Arc::clone(&mode)));
        Self {
            addr,
            mode,
            _tasks: tasks,
        }
    }

    /// Returns the address on which it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Changes what happens to the connections that are open, and to those that come.
    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, mode: Arc<watch::Sender<Mode>>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((client, _)) = listener.accept().await else {
            return;
        };
        connections.spawn(connection(client, target, mode.subscribe()));
        while connections.try_join_next().is_some() {}
    }
}

/// Passes one connection on until it ends or is cut.
async fn connection(client: TcpStream, target: SocketAddr, mode: watch::Receiver<Mode>) {
    let mut cut = mode.clone();
    let passed = async {
        let mut open = mode.clone();
        let _ = open.wait_for(|mode| *mode != Mode::Swallow).await;
        let Ok(server) = TcpStream::connect(target).await else {
            return;
        };
        let ((from_client, to_client), (from_server, to_server)) =
            (client.into_split(), server.into_split());
        tokio::select! {
            () = pass(from_client, to_server, mode.clone()) => {}
            () = pass(from_server, to_client, mode) => {}
        }
    };
    tokio::select! {
        () = passed => {}
        _ = cut.wait_for(|mode| *mode == Mode::Cut) => {}
    }
}

/// Passes the bytes of one direction on.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut mode: watch::Receiver<Mode>) {
    let mut bytes = vec![0; 64 << 10];
    loop {
        let Ok(length @ 1..) = from.read(&mut bytes).await else {
            return;
        };
        let now = mode.wait_for(|mode| *mode != Mode::Swallow).await;
        let Ok(now) = now.map(|mode| *mode) else {
            return;
        };
        if let Mode::Delay(time) = now {
            tokio::time::sleep(time).await;
        }
        if to.write_all(&bytes[..length]).await.is_err() {
            return;
        }
    }
}
