//! Raw socket.io clients, which send exactly the packets that a test passes. They generate load and send packets that
//! the official client would never send.

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

/// A packet that the server sent. Pings do not appear here, because the client answers them itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// An engine.io packet as text, for example `43` + id + arguments for an ack.
    Text(String),
    /// The bytes of an attachment.
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

/// A raw client over either transport. Each wait of this client ends after [`SOON`] (10 seconds) at the latest.
pub enum RawClient {
    /// A client over a websocket.
    Websocket(Box<RawSocket>),
    /// A client over HTTP long-polling.
    Polling(Box<RawPolling>),
}

impl RawClient {
    /// Opens a session over `websocket` or `polling` without connecting to a namespace.
    ///
    /// # Errors
    /// Returns an error if the server does not open the session.
    pub async fn open(transport: &str, addr: SocketAddr) -> Result<Self> {
        Ok(match transport {
            "polling" => Self::Polling(Box::new(RawPolling::open(addr).await?)),
            _ => Self::Websocket(Box::new(RawSocket::open(addr).await?)),
        })
    }

    /// Opens a session over `websocket` or `polling` and connects to a namespace without `auth`.
    ///
    /// # Panics
    /// Panics if the server does not open the session or refuses the connection.
    pub async fn connect(transport: &str, addr: SocketAddr, namespace: &str) -> Self {
        Self::connect_with(transport, addr, namespace, "").await
    }

    /// Opens a session and connects to a namespace with the JSON text `auth`. An empty text sends no `auth`.
    ///
    /// # Panics
    /// Panics if the server does not open the session or refuses the connection.
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

    /// Connects to a namespace with the JSON text `auth` and waits for the answer. An empty text sends no `auth`.
    ///
    /// # Errors
    /// Returns an error if the server refuses the connection or the session ends. A refusal contains the packet of the
    /// server.
    pub async fn enter(&mut self, namespace: &str, auth: &str) -> Result<()> {
        self.send(connect_packet(namespace, auth)).await?;
        loop {
            if let Some(answer) = answer_to_connect(&self.next().await?) {
                let sid = answer?;
                match self {
                    Self::Websocket(client) => client.sid = sid,
                    Self::Polling(client) => client.sid = sid,
                }
                return Ok(());
            }
        }
    }

    /// Returns the id of the sockets of this client; the key of its session before it has entered a namespace.
    pub fn sid(&self) -> &str {
        match self {
            Self::Websocket(client) => client.sid(),
            Self::Polling(client) => client.sid(),
        }
    }

    /// Returns the names by which the server's log may call this client: the id of its sockets and, over a websocket,
    /// the local address of the connection.
    pub fn names(&self) -> Vec<String> {
        let mut names = vec![self.sid().to_owned()];
        if let Self::Websocket(client) = self {
            names.push(client.address().to_string());
        }
        names
    }

    /// Sends an engine.io packet as text.
    ///
    /// # Errors
    /// Returns an error if the session has ended.
    pub async fn send(&mut self, packet: impl Into<String>) -> Result<()> {
        match self {
            Self::Websocket(client) => client.send(packet).await,
            Self::Polling(client) => client.send(&packet.into()).await,
        }
    }

    /// Sends an attachment.
    ///
    /// # Errors
    /// Returns an error if the session has ended.
    pub async fn send_binary(&mut self, bytes: &[u8]) -> Result<()> {
        match self {
            Self::Websocket(client) => client.send_binary(bytes.to_vec()).await,
            Self::Polling(client) => client.send_binary(bytes).await,
        }
    }

    /// Returns the next packet. Pings that arrive before it are answered.
    ///
    /// # Errors
    /// Returns an error if the session ends.
    ///
    /// # Panics
    /// Panics if no packet arrives within 10 seconds.
    pub async fn next(&mut self) -> Result<Packet> {
        let next = async {
            match self {
                Self::Websocket(client) => client.next().await,
                Self::Polling(client) => client.next().await,
            }
        };
        within("a packet or an end", SOON, next).await
    }

    /// Waits for the ack with this id and returns the JSON array of its arguments as text. The id includes its
    /// namespace: `7` in `/`, `/chat,7` in `/chat`. Other packets that arrive in the meantime are dropped.
    ///
    /// # Errors
    /// Returns an error if the session ends.
    pub async fn ack(&mut self, id: &str) -> Result<String> {
        loop {
            if let Some(arguments) = ack_of(&self.next().await?, id) {
                return Ok(arguments);
            }
        }
    }

    /// Sends an event in `/` with this ack id, and returns the arguments of the ack as [`RawClient::ack`] does.
    /// `packet` is the JSON array of the event: `["event",1]`.
    ///
    /// # Errors
    /// Returns an error if the session ends.
    pub async fn ask(&mut self, id: &str, packet: &str) -> Result<String> {
        self.send(format!("42{id}{packet}")).await?;
        self.ack(id).await
    }

    /// Waits until the server has ended the session, and returns the packets that arrived before.
    ///
    /// # Panics
    /// Panics if the session does not end within `deadline`, or if nothing happens on it for 10 seconds.
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

/// Returns the JSON array of arguments if `packet` is the ack with this id. The id includes its namespace: `7` in `/`,
/// `/chat,7` in `/chat`.
fn ack_of(packet: &Packet, id: &str) -> Option<String> {
    let arguments = packet.text()?.strip_prefix("43")?.strip_prefix(id)?;
    arguments.starts_with('[').then(|| arguments.to_owned())
}

/// Returns a CONNECT packet for a namespace.
fn connect_packet(namespace: &str, auth: &str) -> String {
    match namespace {
        "/" => format!("40{auth}"),
        namespace => format!("40{namespace},{auth}"),
    }
}

/// Returns the result of a CONNECT if `packet` is the answer to one: the id of the socket in CONNECT (`40`), or
/// CONNECT_ERROR (`44`).
fn answer_to_connect(packet: &Packet) -> Option<Result<String>> {
    let text = packet.text()?;
    match text.get(..2)? {
        "40" => {
            let json = text.find('{').map_or("", |start| &text[start..]);
            Some(polling::session_of(&format!("0{json}")))
        }
        "44" => Some(Err(anyhow::anyhow!("refused: {text}"))),
        _ => None,
    }
}
