//! Packets as they lie on the wire: engine.io's version 4 around socket.io's version 5, and no trust in who sends them.
//!
//! <https://socket.io/docs/v4/engine-io-protocol/> and <https://socket.io/docs/v4/socket-io-protocol/>

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::payload::{MAX_ATTACHMENTS, Payload, PayloadError};

/// engine.io's answer to a ping.
pub(super) const PONG: &str = "3";

/// A packet of engine.io that came as text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame<'a> {
    /// The session is open.
    Open {
        /// After so much silence the server is gone.
        silence: Duration,
    },
    /// The session is over.
    Close,
    /// Wants a [`PONG`].
    Ping,
    /// Carries a packet of socket.io.
    Message(&'a str),
    /// Nothing that concerns this client.
    Other,
}

/// A packet of socket.io for this client's namespace, together with its attachments.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Packet {
    /// This client is in.
    Connected,
    /// This client is not let in, and why.
    Refused(String),
    /// This client is out.
    Disconnected,
    /// An event.
    Event {
        /// Its name.
        name: String,
        /// Its arguments.
        args: Payload,
        /// The ack that is wanted.
        ack: Option<u64>,
    },
    /// The ack of an event of ours.
    Ack {
        /// Which.
        id: u64,
        /// Its arguments.
        args: Payload,
    },
}

/// The reason for which a packet cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum PacketError {
    /// Unknown types, missing parts.
    #[error("a packet is {0}")]
    Malformed(&'static str),
    /// A lie, or more than anybody sends.
    #[error("a packet announces {0} attachments; at most {MAX_ATTACHMENTS} are possible")]
    Attachments(usize),
    /// Arguments that are none.
    #[error(transparent)]
    Payload(#[from] PayloadError),
}

/// The data with which the server opens a session.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Opened {
    #[serde(rename = "sid")]
    _sid: String,
    ping_interval: u64,
    ping_timeout: u64,
}

impl<'a> Frame<'a> {
    pub(super) fn read(text: &'a str) -> Result<Self, PacketError> {
        let kind = text.chars().next();
        let rest = text.get(1..).unwrap_or_default();
        Ok(match kind {
            Some('0') => {
                let opened: Opened = serde_json::from_str(rest)
                    .map_err(|_| PacketError::Malformed("no handshake of engine.io"))?;
                let silence = opened.ping_interval.saturating_add(opened.ping_timeout);
                Self::Open {
                    silence: Duration::from_millis(silence.max(1000)),
                }
            }
            Some('1') => Self::Close,
            Some('2') => Self::Ping,
            Some('4') => Self::Message(rest),
            Some('3' | '5' | '6') => Self::Other,
            _ => return Err(PacketError::Malformed("of a type that engine.io has not")),
        })
    }
}

/// `40/chat,{"token":"…"}`: asks to be let in.
pub(super) fn connect(namespace: &str, auth: Option<&str>) -> String {
    format!("40{}{}", prefix(namespace), auth.unwrap_or_default())
}

/// `41/chat,`: says goodbye.
pub(super) fn disconnect(namespace: &str) -> String {
    format!("41{}", prefix(namespace))
}

/// `42/chat,7["event",…]`. The attachments follow as binary messages.
pub(super) fn event(namespace: &str, ack: Option<u64>, event: &Payload) -> String {
    with_payload(['2', '5'], namespace, ack, event)
}

/// `43/chat,7[…]`.
pub(super) fn ack(namespace: &str, id: u64, args: &Payload) -> String {
    with_payload(['3', '6'], namespace, Some(id), args)
}

fn with_payload(kinds: [char; 2], namespace: &str, id: Option<u64>, args: &Payload) -> String {
    let id = id.map(|id| id.to_string()).unwrap_or_default();
    let (namespace, json) = (prefix(namespace), &args.json);
    match args.attachments.len() {
        0 => format!("4{}{namespace}{id}{json}", kinds[0]),
        count => format!("4{}{count}-{namespace}{id}{json}", kinds[1]),
    }
}

fn prefix(namespace: &str) -> String {
    match namespace {
        "/" => String::new(),
        namespace => format!("{namespace},"),
    }
}

/// Puts packets and their attachments together.
pub(super) struct Decoder {
    namespace: String,
    waiting: Option<(Head, Vec<Bytes>)>,
}

impl Decoder {
    /// Passes over what is for other namespaces.
    pub(super) fn new(namespace: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            waiting: None,
        }
    }

    /// Takes the text of a packet, and gives the packet when it is complete.
    pub(super) fn text(&mut self, text: &str) -> Result<Option<Packet>, PacketError> {
        if self.waiting.is_some() {
            return Err(PacketError::Malformed("without its attachments"));
        }
        let head = Head::read(text)?;
        if head.attachments == 0 {
            return self.complete(head, Vec::new());
        }
        self.waiting = Some((head, Vec::new()));
        Ok(None)
    }

    /// Takes an attachment, and gives the packet when this was the last.
    pub(super) fn binary(&mut self, bytes: Bytes) -> Result<Option<Packet>, PacketError> {
        let Some((head, mut attachments)) = self.waiting.take() else {
            return Err(PacketError::Malformed(
                "an attachment that belongs to nothing",
            ));
        };
        attachments.push(bytes);
        if attachments.len() == head.attachments {
            return self.complete(head, attachments);
        }
        self.waiting = Some((head, attachments));
        Ok(None)
    }

    fn complete(&self, head: Head, attachments: Vec<Bytes>) -> Result<Option<Packet>, PacketError> {
        if head.namespace == self.namespace {
            head.packet(attachments).map(Some)
        } else {
            Ok(None)
        }
    }
}

/// A packet but for its attachments.
struct Head {
    kind: char,
    attachments: usize,
    namespace: String,
    id: Option<u64>,
    json: String,
}

impl Head {
    /// `51-/chat,7["event",{"_placeholder":true,"num":0}]`
    fn read(text: &str) -> Result<Self, PacketError> {
        let kind = text
            .chars()
            .next()
            .filter(|kind| ('0'..='6').contains(kind))
            .ok_or(PacketError::Malformed("of a type that socket.io has not"))?;
        let mut rest = &text[1..];
        let mut attachments = 0;
        if matches!(kind, '5' | '6') {
            let (count, after) = rest
                .split_once('-')
                .ok_or(PacketError::Malformed("binary without attachments"))?;
            attachments = count
                .parse()
                .map_err(|_| PacketError::Malformed("binary without attachments"))?;
            rest = after;
        }
        if attachments > MAX_ATTACHMENTS {
            return Err(PacketError::Attachments(attachments));
        }
        let mut namespace = "/";
        if rest.starts_with('/') {
            (namespace, rest) = rest.split_once(',').unwrap_or((rest, ""));
        }
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (id, json) = rest.split_at(digits);
        let id = match id {
            "" => None,
            id => Some(
                id.parse()
                    .map_err(|_| PacketError::Malformed("numbered too high"))?,
            ),
        };
        Ok(Self {
            kind,
            attachments,
            namespace: namespace.to_owned(),
            id,
            json: json.to_owned(),
        })
    }

    fn packet(self, attachments: Vec<Bytes>) -> Result<Packet, PacketError> {
        let args = |json| {
            let args = Payload { json, attachments };
            args.check().map(|()| args)
        };
        Ok(match self.kind {
            '0' => Packet::Connected,
            '1' => Packet::Disconnected,
            '2' | '5' => {
                let args = args(self.json)?;
                let (name, json) = event_name(&args.json)?;
                Packet::Event {
                    name,
                    args: Payload { json, ..args },
                    ack: self.id,
                }
            }
            '4' => Packet::Refused(message(&self.json)),
            _ => Packet::Ack {
                id: self
                    .id
                    .ok_or(PacketError::Malformed("an ack of no event"))?,
                args: args(self.json)?,
            },
        })
    }
}

/// The name of an event, and its other arguments.
fn event_name(json: &str) -> Result<(String, String), PacketError> {
    let without_name = PacketError::Malformed("an event without a name");
    let elements: Vec<&RawValue> = serde_json::from_str(json)
        .map_err(|_| PacketError::Malformed("an event without arguments"))?;
    let Some((name, args)) = elements.split_first() else {
        return Err(without_name);
    };
    let name = serde_json::from_str(name.get()).map_err(|_| without_name)?;
    let args: Vec<&str> = args.iter().map(|raw| raw.get()).collect();
    Ok((name, format!("[{}]", args.join(","))))
}

/// Reads the reason for which a client was refused: `{"message":"…"}`, or whatever else the server sends.
fn message(json: &str) -> String {
    #[derive(Deserialize)]
    struct Refusal {
        message: String,
    }
    match serde_json::from_str(json) {
        Ok(Refusal { message }) => message,
        Err(_) => json.to_owned(),
    }
}

#[cfg(test)]
mod tests;
