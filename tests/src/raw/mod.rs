//! Clients of socket.io that send exactly what they are told, for load and for packets that the official client would
//! not send.

mod polling;
mod socket;
mod witness;

pub use polling::{OPEN, RawPolling, SEPARATOR, attachment, target};
pub use socket::RawSocket;
pub use witness::{Witness, wait_for_end_in_log};

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio_tungstenite::tungstenite::Bytes;

use crate::wait::{SOON, within};

/// A packet that came in. Pings are answered and left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// A packet of engine.io as text, for example `43` + id + arguments for an ack.
    Text(String),
    /// An attachment.
    Binary(Bytes),
}

impl Packet {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Binary(_) => None,
        }
    }
}

/// A raw client over either transport. Nothing that it waits for may take longer than [`SOON`].
pub enum RawClient {
    /// Over a websocket.
    Websocket(Box<RawSocket>),
    /// Over polling.
    Polling(Box<RawPolling>),
}

impl RawClient {
    /// Opens a session over `websocket` or `polling` without connecting to a namespace.
    ///
    /// # Errors
    /// Fails if the server does not open it.
    pub async fn open(transport: &str, addr: SocketAddr) -> Result<Self> {
        Ok(match transport {
            "polling" => Self::Polling(Box::new(RawPolling::open(addr).await?)),
            _ => Self::Websocket(Box::new(RawSocket::open(addr).await?)),
        })
    }

    /// Opens a session and connects to a namespace.
    ///
    /// # Panics
    /// Panics if the server refuses.
    pub async fn connect(transport: &str, addr: SocketAddr, namespace: &str) -> Self {
        Self::connect_with(transport, addr, namespace, "").await
    }

    /// Opens a session and connects to a namespace with this JSON text as `auth`.
    ///
    /// # Panics
    /// Panics if the server refuses.
    pub async fn connect_with(
        transport: &str,
        addr: SocketAddr,
        namespace: &str,
        auth: &str,
    ) -> Self {
        let mut client = Self::open(transport, addr).await.expect("a session");
        client.enter(namespace, auth).await.expect("let in");
        client
    }

    /// Connects to a namespace with this text as `auth`, and waits for the answer.
    ///
    /// # Errors
    /// Fails if the server refuses. The error has its words.
    pub async fn enter(&mut self, namespace: &str, auth: &str) -> Result<()> {
        self.send(connect_packet(namespace, auth)).await?;
        loop {
            if let Some(answer) = answer_to_connect(&self.next().await?) {
                return answer;
            }
        }
    }

    /// The id of the session, which is the id of its sockets.
    pub fn sid(&self) -> &str {
        match self {
            Self::Websocket(client) => client.sid(),
            Self::Polling(client) => client.sid(),
        }
    }

    /// Returns its names in the server's log: the session's id, and the address of its one connection.
    pub fn names(&self) -> Vec<String> {
        let mut names = vec![self.sid().to_owned()];
        if let Self::Websocket(client) = self {
            names.push(client.address().to_string());
        }
        names
    }

    /// Sends a packet of engine.io as text.
    ///
    /// # Errors
    /// Fails if the session is gone.
    pub async fn send(&mut self, packet: impl Into<String>) -> Result<()> {
        match self {
            Self::Websocket(client) => client.send(packet).await,
            Self::Polling(client) => client.send(&packet.into()).await,
        }
    }

    /// Sends an attachment.
    ///
    /// # Errors
    /// Fails if the session is gone.
    pub async fn send_binary(&mut self, bytes: &[u8]) -> Result<()> {
        match self {
            Self::Websocket(client) => client.send_binary(bytes.to_vec()).await,
            Self::Polling(client) => client.send_binary(bytes).await,
        }
    }

    /// The next packet; pings are answered on the way.
    ///
    /// # Errors
    /// Fails if the session ends.
    ///
    /// # Panics
    /// Panics if none comes soon.
    pub async fn next(&mut self) -> Result<Packet> {
        let next = async {
            match self {
                Self::Websocket(client) => client.next().await,
                Self::Polling(client) => client.next().await,
            }
        };
        within("a packet or an end", SOON, next).await
    }

    /// Waits for the ack of this id (with its namespace: `7`, or `/chat,7`): the text of its arguments. What else comes
    /// in is dropped.
    ///
    /// # Errors
    /// Fails if the session ends.
    pub async fn ack(&mut self, id: &str) -> Result<String> {
        loop {
            if let Some(arguments) = ack_of(&self.next().await?, id) {
                return Ok(arguments);
            }
        }
    }

    /// Sends an event of `/` with this id for its ack, and waits for that. `packet` is the text of the array:
    /// `["event",1]`.
    ///
    /// # Errors
    /// Fails if the session ends.
    pub async fn ask(&mut self, id: &str, packet: &str) -> Result<String> {
        self.send(format!("42{id}{packet}")).await?;
        self.ack(id).await
    }

    /// Waits until the server has ended the session; gives back the packets that came before.
    ///
    /// # Panics
    /// Panics if it does not within `deadline`.
    pub async fn ended(&mut self, deadline: Duration) -> Vec<Packet> {
        let mut before = Vec::new();
        let start = Instant::now();
        let end = async {
            while let Ok(packet) = self.next().await {
                before.push(packet);
                assert!(start.elapsed() < deadline, "the session goes on");
            }
        };
        within("the session ends", deadline, end).await;
        before
    }
}

/// The text of the arguments of the ack of this id (with its namespace: `7`, or `/chat,7`), if a packet is that.
fn ack_of(packet: &Packet, id: &str) -> Option<String> {
    let arguments = packet.text()?.strip_prefix("43")?.strip_prefix(id)?;
    arguments.starts_with('[').then(|| arguments.to_owned())
}

/// CONNECT to a namespace.
fn connect_packet(namespace: &str, auth: &str) -> String {
    match namespace {
        "/" => format!("40{auth}"),
        namespace => format!("40{namespace},{auth}"),
    }
}

/// Returns the result of CONNECT if a packet is the answer to it.
fn answer_to_connect(packet: &Packet) -> Option<Result<()>> {
    let text = packet.text()?;
    match text.get(..2)? {
        "40" => Some(Ok(())),
        "44" => Some(Err(anyhow::anyhow!("refused: {text}"))),
        _ => None,
    }
}
