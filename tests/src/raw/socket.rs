//! The raw client over a websocket.

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

/// One websocket connection.
pub struct RawSocket {
    stream: WebSocketStream<TcpStream>,
    sid: String,
    next_ack: u64,
}

impl RawSocket {
    /// Opens a connection without connecting to a namespace.
    ///
    /// # Errors
    /// Fails if the server does not open it.
    pub async fn open(addr: SocketAddr) -> Result<Self> {
        Self::open_over(TcpStream::connect(addr).await?, addr).await
    }

    /// Opens a session over a TCP connection to `addr` that is open already.
    ///
    /// # Errors
    /// Fails if the server does not open it.
    pub async fn open_over(tcp: TcpStream, addr: SocketAddr) -> Result<Self> {
        Self::resume(tcp, addr, "").await?.opened().await
    }

    /// Opens a connection with these headers in its handshake.
    ///
    /// # Errors
    /// Fails if the server does not open it.
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
        self.sid = session_of(&open)?;
        Ok(self)
    }

    /// A websocket for a session that was opened over polling; what is said on it is up to the caller.
    ///
    /// # Errors
    /// Fails if the server does not open it.
    pub async fn resume(tcp: TcpStream, addr: SocketAddr, sid: &str) -> Result<Self> {
        let mut url = url(addr);
        if !sid.is_empty() {
            url = format!("{url}&sid={sid}");
        }
        Self::handshake(tcp, url.into_client_request()?, sid).await
    }

    async fn handshake(tcp: TcpStream, request: Request, sid: &str) -> Result<Self> {
        tcp.set_nodelay(true)?;
        let (stream, _) = tokio_tungstenite::client_async(request, tcp).await?;
        Ok(Self {
            stream,
            sid: sid.to_owned(),
            next_ack: 0,
        })
    }

    /// Connects to a namespace.
    ///
    /// # Errors
    /// Fails if the server refuses. The error has its words.
    pub async fn connect(addr: SocketAddr, namespace: &str) -> Result<Self> {
        let mut socket = Self::open(addr).await?;
        socket.enter(namespace, "").await?;
        Ok(socket)
    }

    /// Connects an open session to a namespace with this text as `auth`.
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

    /// The id of the session.
    pub fn sid(&self) -> &str {
        &self.sid
    }

    /// Its own address.
    ///
    /// # Panics
    /// Panics if the connection has none any more.
    pub fn address(&self) -> SocketAddr {
        let address = self.stream.get_ref().local_addr();
        address.expect("a connection has an address")
    }

    /// Sends a packet of engine.io as text.
    ///
    /// # Errors
    /// Fails if the connection is gone.
    pub async fn send(&mut self, packet: impl Into<String>) -> Result<()> {
        let packet: String = packet.into();
        Ok(self.stream.send(Message::text(packet)).await?)
    }

    /// Sends an attachment.
    ///
    /// # Errors
    /// Fails if the connection is gone.
    pub async fn send_binary(&mut self, bytes: Vec<u8>) -> Result<()> {
        Ok(self.stream.send(Message::binary(bytes)).await?)
    }

    /// Sends a frame that need not be a whole message, nor text that is text.
    ///
    /// # Errors
    /// Fails if the connection is gone.
    pub async fn send_frame(&mut self, kind: Data, bytes: Vec<u8>, last: bool) -> Result<()> {
        self.feed_frame(kind, bytes, last).await?;
        Ok(self.stream.flush().await?)
    }

    /// Queues a packet, which may wait for more that is sent with it.
    ///
    /// # Errors
    /// Fails if the connection is gone.
    pub async fn feed_frame(&mut self, kind: Data, bytes: Vec<u8>, last: bool) -> Result<()> {
        let frame = Frame::message(bytes, OpCode::Data(kind), last);
        Ok(self.stream.feed(Message::Frame(frame)).await?)
    }

    /// Sends an event that wants an ack so many times at once, and reads until no more than `most` of all are without
    /// one: their number is `unanswered`.
    ///
    /// # Errors
    /// Fails if the connection ends.
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

    /// Takes the connection apart: it can go on without a word to the server.
    pub fn into_tcp(self) -> TcpStream {
        self.stream.into_inner()
    }

    /// The next packet; pings are answered on the way.
    ///
    /// # Errors
    /// Fails if the connection ends.
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

    /// Emits in namespace `/` so many times at once and waits for all acks, each of which `good` must like. What else
    /// comes in is dropped.
    ///
    /// # Errors
    /// Fails if the connection ends, or an ack is not good.
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
    /// Fails if the connection ends.
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
