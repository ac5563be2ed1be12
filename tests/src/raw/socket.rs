//! The raw client over a websocket. It can also send frames that break the protocol.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use futures_util::{SinkExt, StreamExt};
use http::HeaderName;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use super::polling::session_of;
use super::{Packet, ack_of, answer_to_connect, connect_packet};

fn url(addr: SocketAddr) -> String {
    format!("ws://{addr}/socket.io/?EIO=4&transport=websocket")
}

/// One session over a websocket connection.
pub struct RawSocket {
    stream: WebSocketStream<TcpStream>,
    key: String,
    pub(super) sid: String,
    next_ack: u64,
}

impl RawSocket {
    /// Opens a session without connecting to a namespace.
    ///
    /// # Errors
    /// Returns an error if the server does not open the session.
    pub async fn open(addr: SocketAddr) -> Result<Self> {
        Self::open_over(TcpStream::connect(addr).await?, addr).await
    }

    /// Opens a session over the TCP connection `tcp`, which is connected to `addr`.
    ///
    /// # Errors
    /// Returns an error if the server does not open the session.
    pub async fn open_over(tcp: TcpStream, addr: SocketAddr) -> Result<Self> {
        Self::resume(tcp, addr, "").await?.opened().await
    }

    /// Opens a session with additional headers in the websocket handshake.
    ///
    /// # Errors
    /// Returns an error if a header is invalid, or if the server does not open the session.
    pub async fn open_with(addr: SocketAddr, headers: &[(&str, &str)]) -> Result<Self> {
        let mut request = url(addr).into_client_request()?;
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes())?;
            request.headers_mut().append(name, value.parse()?);
        }
        let tcp = TcpStream::connect(addr).await?;
        Self::handshake(tcp, request, "").await?.opened().await
    }

    async fn opened(mut self) -> Result<Self> {
        let Packet::Text(open) = self.next().await? else {
            bail!("binary instead of an open packet")
        };
        self.key = session_of(&open)?;
        self.sid.clone_from(&self.key);
        Ok(self)
    }

    /// Opens a websocket for the session `key`, which was opened over polling. The caller sends the packets of the
    /// upgrade.
    ///
    /// # Errors
    /// Returns an error if the server does not open the websocket.
    pub async fn resume(tcp: TcpStream, addr: SocketAddr, key: &str) -> Result<Self> {
        let mut url = url(addr);
        if !key.is_empty() {
            url = format!("{url}&sid={key}");
        }
        Self::handshake(tcp, url.into_client_request()?, key).await
    }

    async fn handshake(tcp: TcpStream, request: Request, key: &str) -> Result<Self> {
        tcp.set_nodelay(true)?;
        let (stream, _) = tokio_tungstenite::client_async(request, tcp).await?;
        Ok(Self {
            stream,
            key: key.to_owned(),
            sid: key.to_owned(),
            next_ack: 0,
        })
    }

    /// Opens a session and connects to a namespace without `auth`.
    ///
    /// # Errors
    /// Returns an error if the server does not open the session or refuses the connection. A refusal contains the
    /// packet of the server.
    pub async fn connect(addr: SocketAddr, namespace: &str) -> Result<Self> {
        let mut socket = Self::open(addr).await?;
        socket.enter(namespace, "").await?;
        Ok(socket)
    }

    /// Connects this session to a namespace with the JSON text `auth` and waits for the answer. An empty text sends no
    /// `auth`.
    ///
    /// # Errors
    /// Returns an error if the server refuses the connection or the session ends. A refusal contains the packet of the
    /// server.
    pub async fn enter(&mut self, namespace: &str, auth: &str) -> Result<()> {
        self.send(connect_packet(namespace, auth)).await?;
        loop {
            if let Some(answer) = answer_to_connect(&self.next().await?) {
                self.sid = answer?;
                return Ok(());
            }
        }
    }

    /// Returns the id of the sockets of this client; the key of its session before it has entered a namespace.
    pub fn sid(&self) -> &str {
        &self.sid
    }

    /// Returns the key of the session, which is secret.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns the local address of the connection.
    ///
    /// # Panics
    /// Panics if the operating system no longer knows the address of the connection.
    pub fn address(&self) -> SocketAddr {
        let address = self.stream.get_ref().local_addr();
        address.expect("a connection has an address")
    }

    /// Sends an engine.io packet as text.
    ///
    /// # Errors
    /// Returns an error if the connection has ended.
    pub async fn send(&mut self, packet: impl Into<String>) -> Result<()> {
        let packet: String = packet.into();
        Ok(self.stream.send(Message::text(packet)).await?)
    }

    /// Sends an attachment as a binary message.
    ///
    /// # Errors
    /// Returns an error if the connection has ended.
    pub async fn send_binary(&mut self, bytes: Vec<u8>) -> Result<()> {
        Ok(self.stream.send(Message::binary(bytes)).await?)
    }

    /// Sends one data frame as it is. A frame with `last` set to false leaves its message incomplete, and the bytes of
    /// a text frame need not be UTF-8.
    ///
    /// # Errors
    /// Returns an error if the connection has ended.
    pub async fn send_frame(&mut self, kind: Data, bytes: Vec<u8>, last: bool) -> Result<()> {
        self.feed_frame(kind, bytes, last).await?;
        Ok(self.stream.flush().await?)
    }

    /// Queues one data frame as [`RawSocket::send_frame`] does, but does not flush. The frame may wait until more is
    /// sent.
    ///
    /// # Errors
    /// Returns an error if the connection has ended.
    pub async fn feed_frame(&mut self, kind: Data, bytes: Vec<u8>, last: bool) -> Result<()> {
        let frame = Frame::message(bytes, OpCode::Data(kind), last);
        Ok(self.stream.feed(Message::Frame(frame)).await?)
    }

    /// Sends the event packet `event`, which requests an ack, `times` times at once. Then reads until at most `most`
    /// events have no ack yet. `unanswered` counts these events across calls.
    ///
    /// # Errors
    /// Returns an error if the connection ends.
    pub async fn flood(
        &mut self,
        event: &str,
        times: usize,
        unanswered: &mut usize,
        most: usize,
    ) -> Result<()> {
        for _ in 0..times {
            self.stream.feed(Message::text(event)).await?;
        }
        self.stream.flush().await?;
        *unanswered += times;
        while *unanswered > most {
            if let Packet::Text(text) = self.next().await?
                && text.starts_with("43")
            {
                *unanswered -= 1;
            }
        }
        Ok(())
    }

    /// Returns the TCP connection below the websocket. Nothing is sent to the server, not even a close frame.
    pub fn into_tcp(self) -> TcpStream {
        self.stream.into_inner()
    }

    /// Returns the next packet. Pings that arrive before it are answered.
    ///
    /// # Errors
    /// Returns an error if the connection ends.
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

    /// Emits an event in `/` `count` times at once and waits for all acks. `good` receives the JSON array of the
    /// arguments of each ack. Other packets that arrive in the meantime are dropped.
    ///
    /// # Errors
    /// Returns an error if the connection ends, or if `good` returns false for an ack.
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

    /// Emits an event in `/` and returns the arguments of its ack, a JSON array as text. Other packets that arrive in
    /// the meantime are dropped.
    ///
    /// # Errors
    /// Returns an error if the connection ends.
    pub async fn ask(&mut self, event: &str, args: &[Value]) -> Result<String> {
        let id = self.next_ack;
        self.next_ack += 1;
        let mut packet = vec![Value::from(event)];
        packet.extend_from_slice(args);
        self.send(format!("42{id}{}", Value::from(packet))).await?;
        let id = id.to_string();
        loop {
            if let Some(arguments) = ack_of(&self.next().await?, &id) {
                return Ok(arguments);
            }
        }
    }
}
