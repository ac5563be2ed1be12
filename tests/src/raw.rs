//! A small socket.io client over websocket, for load and for packets that the official client would not send.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Bytes, Message};

/// One websocket connection.
pub struct RawSocket {
    stream: WebSocketStream<TcpStream>,
    next_ack: u64,
}

/// What came in, apart from pings, which are answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// A packet of engine.io as text, for example `43` + id + arguments for an ack.
    Text(String),
    /// An attachment.
    Binary(Bytes),
}

impl RawSocket {
    /// Opens a connection without connecting to a namespace.
    ///
    /// # Errors
    /// When the server does not open it.
    pub async fn open(addr: SocketAddr) -> Result<Self> {
        let tcp = TcpStream::connect(addr).await?;
        tcp.set_nodelay(true)?;
        let url = format!("ws://{addr}/socket.io/?EIO=4&transport=websocket");
        let (stream, _) = tokio_tungstenite::client_async(url, tcp).await?;
        let mut socket = Self {
            stream,
            next_ack: 0,
        };
        let Packet::Text(open) = socket.next().await? else {
            bail!("binary instead of an open packet")
        };
        if !open.starts_with('0') {
            bail!("no open packet: {open}");
        }
        Ok(socket)
    }

    /// Connects to a namespace.
    ///
    /// # Errors
    /// When the server refuses; with its words.
    pub async fn connect(addr: SocketAddr, namespace: &str) -> Result<Self> {
        let mut socket = Self::open(addr).await?;
        let prefix = if namespace == "/" {
            String::new()
        } else {
            format!("{namespace},")
        };
        socket.send(format!("40{prefix}")).await?;
        let Packet::Text(answer) = socket.next().await? else {
            bail!("binary instead of CONNECT")
        };
        if !answer.starts_with("40") {
            bail!("refused: {answer}");
        }
        Ok(socket)
    }

    /// Sends a packet of engine.io as text.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn send(&mut self, packet: impl Into<String>) -> Result<()> {
        let packet: String = packet.into();
        Ok(self.stream.send(Message::text(packet)).await?)
    }

    /// Sends an attachment.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn send_binary(&mut self, bytes: Vec<u8>) -> Result<()> {
        Ok(self.stream.send(Message::binary(bytes)).await?)
    }

    /// The next packet; pings are answered on the way.
    ///
    /// # Errors
    /// When the connection ends.
    pub async fn next(&mut self) -> Result<Packet> {
        loop {
            match self.stream.next().await.context("the connection ended")?? {
                Message::Text(text) if text.as_str() == "2" => self.send("3").await?,
                Message::Text(text) => return Ok(Packet::Text(text.to_string())),
                Message::Binary(bytes) => return Ok(Packet::Binary(bytes)),
                Message::Close(_) => bail!("the connection was closed"),
                _ => {}
            }
        }
    }

    /// Emits in namespace `/` so many times at once and waits for all acks, each of which `good` must like. What else comes in is
    /// dropped.
    ///
    /// # Errors
    /// When the connection ends, or an ack is not good.
    pub async fn ask_many(
        &mut self,
        count: usize,
        event: &str,
        args: &[Value],
        good: impl Fn(&str) -> bool,
    ) -> Result<()> {
        let mut packet = vec![Value::from(event)];
        packet.extend_from_slice(args);
        let arguments = Value::from(packet).to_string();
        for _ in 0..count {
            let packet = format!("42{}{arguments}", self.next_ack);
            self.next_ack += 1;
            self.stream.feed(Message::text(packet)).await?;
        }
        self.stream.flush().await?;
        let mut missing = count;
        while missing > 0 {
            if let Packet::Text(text) = self.next().await?
                && let Some(ack) = text.strip_prefix("43")
            {
                let ack = ack.trim_start_matches(|c: char| c.is_ascii_digit());
                if !good(ack) {
                    bail!("ack {ack}");
                }
                missing -= 1;
            }
        }
        Ok(())
    }

    /// Emits in namespace `/` and waits for the ack: the text of its arguments. What else comes in is dropped.
    ///
    /// # Errors
    /// When the connection ends.
    pub async fn ask(&mut self, event: &str, args: &[Value]) -> Result<String> {
        let id = self.next_ack;
        self.next_ack += 1;
        let mut packet = vec![Value::from(event)];
        packet.extend_from_slice(args);
        self.send(format!("42{id}{}", Value::from(packet))).await?;
        let prefix = format!("43{id}[");
        loop {
            if let Packet::Text(text) = self.next().await?
                && text.starts_with(&prefix)
            {
                return Ok(text[prefix.len() - 1..].to_string());
            }
        }
    }
}
