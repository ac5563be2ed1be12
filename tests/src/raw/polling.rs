//! The raw client over HTTP long-polling: GET requests receive packets, POST requests send them.

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

/// The separator between the packets of a payload: the record separator, as engine.io 4 defines it.
pub const SEPARATOR: char = '\x1e';

/// One session over polling, on two keep-alive connections: one for GET and one for POST.
pub struct RawPolling {
    addr: SocketAddr,
    key: String,
    pub(super) sid: String,
    gets: Connection,
    posts: Connection,
    waiting: VecDeque<Packet>,
}

impl RawPolling {
    /// Opens a session without connecting to a namespace.
    ///
    /// # Errors
    /// Returns an error if the server does not open the session.
    pub async fn open(addr: SocketAddr) -> Result<Self> {
        let mut gets = Connection::try_open(addr).await?;
        let answer = gets.try_ask("GET", OPEN, &[], b"").await?;
        if answer.status != 200 {
            bail!("no session: {} {}", answer.status, answer.text());
        }
        let key = session_of(&answer.text())?;
        Ok(Self {
            addr,
            sid: key.clone(),
            key,
            gets,
            posts: Connection::try_open(addr).await?,
            waiting: VecDeque::new(),
        })
    }

    /// Connects to a namespace with the JSON text `auth` and waits for the answer. An empty text sends no `auth`.
    ///
    /// # Errors
    /// Returns an error if the server refuses the connection or the session ends. A refusal contains the packet of the
    /// server.
    pub async fn enter(&mut self, namespace: &str, auth: &str) -> Result<()> {
        self.send(&connect_packet(namespace, auth)).await?;
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

    /// Returns the request target of this session, with its key in the query.
    pub fn target(&self) -> String {
        target(&self.key)
    }

    /// Sends one packet as a POST.
    ///
    /// # Errors
    /// Returns an error if the answer has another status than 200, or none arrives.
    pub async fn send(&mut self, packet: &str) -> Result<()> {
        let answer = self.post(packet.as_bytes()).await?;
        if answer.status != 200 {
            bail!("not taken: {} {}", answer.status, answer.text());
        }
        Ok(())
    }

    /// Sends an attachment, which polling carries as base64.
    ///
    /// # Errors
    /// Returns an error if the answer has another status than 200, or none arrives.
    pub async fn send_binary(&mut self, bytes: &[u8]) -> Result<()> {
        self.send(&attachment(bytes)).await
    }

    /// Posts a payload without a change and returns the answer, also if that is a refusal.
    ///
    /// # Errors
    /// Returns an error if no complete answer arrives.
    pub async fn post(&mut self, payload: &[u8]) -> Result<Answer> {
        let target = self.target();
        let answer = self.posts.try_ask("POST", &target, TEXT, payload).await?;
        // The server closes the connection after a refusal, because it may not have read the body of the request.
        if answer.status != 200 {
            self.posts = Connection::try_open(self.addr).await?;
        }
        Ok(answer)
    }

    /// Sends one GET and returns the answer with its payload not parsed.
    ///
    /// # Errors
    /// Returns an error if no complete answer arrives.
    pub async fn poll(&mut self) -> Result<Answer> {
        let target = self.target();
        Ok(self.gets.try_ask("GET", &target, &[], b"").await?)
    }

    /// Polls on two connections at once, which the protocol forbids, and returns the first answer whose status is not
    /// 200.
    ///
    /// # Errors
    /// Returns an error if no complete answer arrives.
    pub async fn overlap(&mut self) -> Result<Answer> {
        let target = self.target();
        let mut other = Connection::try_open(self.addr).await?;
        let polls = async |connection: &mut Connection| {
            loop {
                // Packets that are queued already are answered at once. After those, the GETs of both connections are
                // pending together.
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

    /// Returns the next packet. Pings that arrive before it are answered.
    ///
    /// # Errors
    /// Returns an error if the session ends.
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

    /// Upgrades the session to a websocket as the official client does: it sends a probe (`2probe`), waits for its echo
    /// (`3probe`) and then sends the upgrade packet (`5`).
    ///
    /// # Errors
    /// Returns an error if the server does not open the websocket or does not echo the probe.
    pub async fn upgrade(self) -> Result<RawSocket> {
        let tcp = TcpStream::connect(self.addr).await?;
        let mut socket = RawSocket::resume(tcp, self.addr, &self.key).await?;
        socket.sid.clone_from(&self.sid);
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

/// The request target that opens a session over polling.
pub const OPEN: &str = "/socket.io/?EIO=4&transport=polling";
/// The `content-type` that the official client sends with its payloads.
const TEXT: &[(&str, &str)] = &[("content-type", "text/plain;charset=UTF-8")];

/// Returns the request target of the session with the key `key`.
pub fn target(key: &str) -> String {
    format!("{OPEN}&sid={key}")
}

/// Returns an attachment in the form that polling carries: `b` and the bytes as base64.
pub fn attachment(bytes: &[u8]) -> String {
    format!("b{}", STANDARD.encode(bytes))
}

/// Returns the session id in an engine.io open packet (`0{"sid": …}`).
pub(super) fn session_of(open: &str) -> Result<String> {
    let open = open.strip_prefix('0').context("no open packet")?;
    let open: Value = serde_json::from_str(open)?;
    Ok(open["sid"].as_str().context("no sid")?.to_owned())
}
