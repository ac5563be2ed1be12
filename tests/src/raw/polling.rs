//! The raw client over polling: GETs bring packets, POSTs take them.

use std::collections::VecDeque;
use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio::net::TcpStream;

use super::socket::RawSocket;
use super::{Packet, answer_to_connect, connect_packet};
use crate::http::{Answer, Connection};

/// The separator of the packets of a payload.
pub const SEPARATOR: char = '\x1e';

/// One session over polling, on two connections that stay open.
pub struct RawPolling {
    addr: SocketAddr,
    sid: String,
    gets: Connection,
    posts: Connection,
    waiting: VecDeque<Packet>,
}

impl RawPolling {
    /// Opens a session without connecting to a namespace.
    ///
    /// # Errors
    /// Fails if the server does not open it.
    pub async fn open(addr: SocketAddr) -> Result<Self> {
        let mut gets = Connection::try_open(addr).await?;
        let answer = gets.try_ask("GET", OPEN, &[], b"").await?;
        if answer.status != 200 {
            bail!("no session: {} {}", answer.status, answer.text());
        }
        Ok(Self {
            addr,
            sid: session_of(&answer.text())?,
            gets,
            posts: Connection::try_open(addr).await?,
            waiting: VecDeque::new(),
        })
    }

    /// Connects to a namespace with this text as `auth`.
    ///
    /// # Errors
    /// Fails if the server refuses. The error has its words.
    pub async fn enter(&mut self, namespace: &str, auth: &str) -> Result<()> {
        self.send(&connect_packet(namespace, auth)).await?;
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

    /// The target of its requests.
    pub fn target(&self) -> String {
        target(&self.sid)
    }

    /// Sends a packet.
    ///
    /// # Errors
    /// Fails if the server does not take it.
    pub async fn send(&mut self, packet: &str) -> Result<()> {
        let answer = self.post(packet.as_bytes()).await?;
        if answer.status != 200 {
            bail!("not taken: {} {}", answer.status, answer.text());
        }
        Ok(())
    }

    /// Sends an attachment.
    ///
    /// # Errors
    /// Fails if the server does not take it.
    pub async fn send_binary(&mut self, bytes: &[u8]) -> Result<()> {
        self.send(&attachment(bytes)).await
    }

    /// Posts a payload as it is.
    ///
    /// # Errors
    /// Fails if no whole answer comes.
    pub async fn post(&mut self, payload: &[u8]) -> Result<Answer> {
        let target = self.target();
        let answer = self.posts.try_ask("POST", &target, TEXT, payload).await?;
        // After an answer to a body that it did not read the server closes the connection.
        if answer.status != 200 {
            self.posts = Connection::try_open(self.addr).await?;
        }
        Ok(answer)
    }

    /// One GET: what the server has for the client, as it came.
    ///
    /// # Errors
    /// Fails if no whole answer comes.
    pub async fn poll(&mut self) -> Result<Answer> {
        let target = self.target();
        Ok(self.gets.try_ask("GET", &target, &[], b"").await?)
    }

    /// Polls on two connections at once, which the protocol forbids, until the server refuses to go on: its answer.
    ///
    /// # Errors
    /// Fails if no whole answer comes.
    pub async fn overlap(&mut self) -> Result<Answer> {
        let target = self.target();
        let mut other = Connection::try_open(self.addr).await?;
        let polls = async |connection: &mut Connection| {
            loop {
                // What waited for the client is an answer at once; then both wait.
                let answer = connection.try_ask("GET", &target, &[], b"").await?;
                if answer.status != 200 {
                    return Ok(answer);
                }
            }
        };
        tokio::select! {
            refused = polls(&mut self.gets) => refused,
            refused = polls(&mut other) => refused,
        }
    }

    /// The next packet; pings are answered on the way.
    ///
    /// # Errors
    /// Fails if the session ends.
    pub async fn next(&mut self) -> Result<Packet> {
        loop {
            if let Some(packet) = self.waiting.pop_front() {
                return Ok(packet);
            }
            let answer = self.poll().await?;
            if answer.status != 200 {
                bail!("the session ended: {} {}", answer.status, answer.text());
            }
            for packet in answer.text().split(SEPARATOR) {
                self.take(packet).await?;
            }
        }
    }

    /// Becomes a websocket, as the official client does it: a probe, its echo, the word that ends polling.
    ///
    /// # Errors
    /// Fails if the server does not go along.
    pub async fn upgrade(self) -> Result<RawSocket> {
        let tcp = TcpStream::connect(self.addr).await?;
        let mut socket = RawSocket::resume(tcp, self.addr, &self.sid).await?;
        socket.send("2probe").await?;
        let answer = socket.next().await?;
        if answer != Packet::Text("3probe".into()) {
            bail!("no echo of the probe: {answer:?}");
        }
        socket.send("5").await?;
        Ok(socket)
    }

    async fn take(&mut self, packet: &str) -> Result<()> {
        match packet.as_bytes().first() {
            Some(b'2') => self.send("3").await?,
            Some(b'b') => {
                let bytes = STANDARD.decode(&packet[1..])?;
                self.waiting.push_back(Packet::Binary(bytes.into()));
            }
            Some(b'1') => bail!("the session was closed"),
            None | Some(b'6') => {}
            _ => self.waiting.push_back(Packet::Text(packet.to_owned())),
        }
        Ok(())
    }
}

/// The request that opens a session over polling.
pub const OPEN: &str = "/socket.io/?EIO=4&transport=polling";
/// The content type that the official client sends with its payloads.
const TEXT: &[(&str, &str)] = &[("content-type", "text/plain;charset=UTF-8")];

/// The target of requests of a session.
pub fn target(sid: &str) -> String {
    format!("{OPEN}&sid={sid}")
}

/// Bytes as polling carries them.
pub fn attachment(bytes: &[u8]) -> String {
    format!("b{}", STANDARD.encode(bytes))
}

/// The id in an open packet.
pub(super) fn session_of(open: &str) -> Result<String> {
    let open = open.strip_prefix('0').context("no open packet")?;
    let open: Value = serde_json::from_str(open)?;
    Ok(open["sid"].as_str().context("no sid")?.to_owned())
}
