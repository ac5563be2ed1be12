//! A small socket.io client over polling, for packets and requests that the official client would not send.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::clauses::Way;
use crate::http::{Answer, Connection};
use crate::raw::{Packet, RawSocket};
use crate::wait::{SOON, within};

/// What stands between packets.
const SEPARATOR: char = '\u{1e}';

/// One session of polling.
pub struct Polling {
    addr: SocketAddr,
    sid: String,
    /// Packets that came and were not taken yet.
    came: std::collections::VecDeque<String>,
}

impl Polling {
    /// Opens a session without connecting to a namespace.
    ///
    /// # Errors
    /// When the server does not open it.
    pub async fn open(addr: SocketAddr) -> Result<Self> {
        let mut session = Self {
            addr,
            sid: String::new(),
            came: std::collections::VecDeque::new(),
        };
        let answer = session.request("GET", b"").await?;
        ensure!(answer.status == 200, "not opened: {answer:?}");
        let text = answer.text();
        let open = text.strip_prefix('0').context("an open packet")?;
        let open: Value = serde_json::from_str(open)?;
        session.sid = open["sid"].as_str().context("a session id")?.to_owned();
        Ok(session)
    }

    /// Opens a session and connects to a namespace.
    ///
    /// # Errors
    /// When the server refuses; with its words.
    pub async fn connect(addr: SocketAddr, namespace: &str) -> Result<Self> {
        let mut session = Self::open(addr).await?;
        let packet = match namespace {
            "/" => "40".to_owned(),
            other => format!("40{other},"),
        };
        let answer = session.post(packet).await?;
        ensure!(answer.status == 200, "{answer:?}");
        let answer = session.next().await?;
        ensure!(answer.starts_with("40"), "refused: {answer}");
        Ok(session)
    }

    /// Sends the body of one POST: a packet, or several with `\x1e` in between.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn post(&self, packets: impl AsRef<[u8]>) -> Result<Answer> {
        self.request("POST", packets.as_ref()).await
    }

    /// Asks once for packets.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn get(&self) -> Result<Answer> {
        self.request("GET", b"").await
    }

    /// The next packet; pings are answered on the way.
    ///
    /// # Errors
    /// When the session has ended.
    pub async fn next(&mut self) -> Result<String> {
        loop {
            match self.came.pop_front() {
                Some(packet) if packet == "2" => drop(self.post("3").await?),
                Some(packet) => return Ok(packet),
                None => {
                    let answer = self.get().await?;
                    if answer.status != 200 {
                        bail!("the session ended: {answer:?}");
                    }
                    let text = answer.text();
                    self.came.extend(text.split(SEPARATOR).map(str::to_owned));
                }
            }
        }
    }

    async fn request(&self, method: &str, body: &[u8]) -> Result<Answer> {
        let mut target = "/socket.io/?EIO=4&transport=polling".to_owned();
        if !self.sid.is_empty() {
            target.push_str(&format!("&sid={}", self.sid));
        }
        let mut connection = Connection::try_open(self.addr).await?;
        let headers = [
            ("content-type", "text/plain;charset=UTF-8"),
            ("connection", "close"),
        ];
        Ok(connection.try_ask(method, &target, &headers, body).await?)
    }
}

/// Sends an event (`[name, argument, …]`) to a namespace in this way, and waits for its ack: the text of its arguments, as it
/// came. What else comes in is dropped.
///
/// # Panics
/// When it does not come soon.
pub async fn ack_text(way: Way, addr: SocketAddr, namespace: &str, event: &Value) -> String {
    let prefix = match namespace {
        "/" => String::new(),
        other => format!("{other},"),
    };
    let (packet, wanted) = (format!("42{prefix}0{event}"), format!("43{prefix}0"));
    let ack = async {
        if way.transport() == "polling" {
            let mut session = Polling::connect(addr, namespace).await?;
            session.post(packet).await?;
            loop {
                if let Some(ack) = session.next().await?.strip_prefix(&wanted) {
                    return Ok(ack.to_owned());
                }
            }
        }
        let mut socket = RawSocket::connect(addr, namespace).await?;
        socket.send(packet).await?;
        loop {
            if let Packet::Text(text) = socket.next().await?
                && let Some(ack) = text.strip_prefix(&wanted)
            {
                return anyhow::Ok(ack.to_owned());
            }
        }
    };
    let ack = within("an ack", SOON, ack).await;
    ack.unwrap_or_else(|error| panic!("no ack of {event}: {error}"))
}
