//! Packets on the wire: socket.io's protocol 5 inside engine.io's protocol 4. Everything that a server sends is
//! checked.
//!
//! <https://socket.io/docs/v4/engine-io-protocol/> and <https://socket.io/docs/v4/socket-io-protocol/>

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::payload::{MAX_ATTACHMENTS, Payload, PayloadError};

/// engine.io's answer to a ping.
pub(super) const PONG: &str = "3";

/// A packet of engine.io that was received as text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame<'a> {
    /// Opens the session, as its first packet.
    Open {
        /// The connection counts as lost after this time without a message.
        silence: Duration,
    },
    /// Ends the session and all namespaces.
    Close,
    /// Asks the client for a [`PONG`].
    Ping,
    /// Carries a packet of socket.io.
    Message(&'a str),
    /// Any packet that this client ignores.
    Other,
}

/// A packet of socket.io for this client's namespace, together with its attachments.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Packet {
    /// The client was accepted in the namespace.
    Connected,
    /// The client was refused; the text says why.
    Refused(String),
    /// The client was disconnected from the namespace.
    Disconnected,
    /// An event that the server emits.
    Event {
        name: String,
        /// The arguments after the name.
        args: Payload,
        /// The id for the ack, if the server asks for one.
        ack: Option<u64>,
    },
    /// The ack of an event that this client emitted.
    Ack {
        /// The id that the client gave to the event.
        id: u64,
        args: Payload,
    },
}

/// The cause of a packet that cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum PacketError {
    /// The type is unknown, or a part is missing.
    #[error("a packet is {0}")]
    Malformed(&'static str),
    /// The packet announces more attachments than are possible.
    #[error("a packet announces {0} attachments; at most {MAX_ATTACHMENTS} are possible")]
    Attachments(usize),
    /// The arguments are not a list of JSON values.
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
    /// Reads a text message of the websocket.
    ///
    /// # Errors
    /// The type is unknown, or the handshake is malformed.
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

/// Returns the packet CONNECT with its data, for example `40/chat,{"token":"…"}`.
pub(super) fn connect(namespace: &str, auth: Option<&str>) -> String {
    format!("40{}{}", prefix(namespace), auth.unwrap_or_default())
}

/// Returns the packet DISCONNECT, for example `41/chat,`.
pub(super) fn disconnect(namespace: &str) -> String {
    format!("41{}", prefix(namespace))
}

/// Returns the text of an event, for example `42/chat,7["event",…]`. The attachments follow as binary messages.
pub(super) fn event(namespace: &str, ack: Option<u64>, event: &Payload) -> String {
    with_payload(['2', '5'], namespace, ack, event)
}

/// Returns the text of an ack, for example `43/chat,7[…]`. The attachments follow as binary messages.
pub(super) fn ack(namespace: &str, id: u64, args: &Payload) -> String {
    with_payload(['3', '6'], namespace, Some(id), args)
}

/// Returns the text of a packet with a payload. Its type is the first of `kinds`, or the second if there are
/// attachments.
fn with_payload(kinds: [char; 2], namespace: &str, id: Option<u64>, args: &Payload) -> String {
    let id = id.map(|id| id.to_string()).unwrap_or_default();
    let (namespace, json) = (prefix(namespace), &args.json);
    match args.attachments.len() {
        0 => format!("4{}{namespace}{id}{json}", kinds[0]),
        count => format!("4{}{count}-{namespace}{id}{json}", kinds[1]),
    }
}

/// Returns a namespace with its comma, or nothing for `/`.
fn prefix(namespace: &str) -> String {
    match namespace {
        "/" => String::new(),
        namespace => format!("{namespace},"),
    }
}

/// Assembles packets of one namespace from texts and attachments.
pub(super) struct Decoder {
    namespace: String,
    /// The packet whose attachments are still arriving.
    incomplete: Option<(Head, Vec<Bytes>)>,
}

impl Decoder {
    /// Creates a decoder that drops packets for other namespaces.
    pub(super) fn new(namespace: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            incomplete: None,
        }
    }

    /// Reads the text of a packet. Returns the packet if it has no attachments.
    ///
    /// # Errors
    /// The packet is malformed, or attachments of the packet before are missing.
    pub(super) fn text(&mut self, text: &str) -> Result<Option<Packet>, PacketError> {
        if self.incomplete.is_some() {
            return Err(PacketError::Malformed("without its attachments"));
        }
        let head = Head::read(text)?;
        if head.attachments == 0 {
            return self.complete(head, Vec::new());
        }
        self.incomplete = Some((head, Vec::new()));
        Ok(None)
    }

    /// Adds an attachment. Returns the packet after its last attachment.
    ///
    /// # Errors
    /// No attachment was announced, or the complete packet is malformed.
    pub(super) fn binary(&mut self, bytes: Bytes) -> Result<Option<Packet>, PacketError> {
        let Some((head, mut attachments)) = self.incomplete.take() else {
            return Err(PacketError::Malformed(
                "an attachment that belongs to nothing",
            ));
        };
        attachments.push(bytes);
        if attachments.len() == head.attachments {
            return self.complete(head, attachments);
        }
        self.incomplete = Some((head, attachments));
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

/// A packet without its attachments.
struct Head {
    kind: char,
    attachments: usize,
    namespace: String,
    id: Option<u64>,
    json: String,
}

impl Head {
    /// Reads a text such as `51-/chat,7["event",{"_placeholder":true,"num":0}]`.
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
        let (number, json) = rest.split_at(digits);
        let id = match number {
            "" => None,
            number => Some(
                number
                    .parse()
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

    /// Returns the packet together with its attachments.
    fn packet(self, attachments: Vec<Bytes>) -> Result<Packet, PacketError> {
        let checked = |json| {
            let payload = Payload { json, attachments };
            payload.check().map(|()| payload)
        };
        Ok(match self.kind {
            '0' => Packet::Connected,
            '1' => Packet::Disconnected,
            '2' | '5' => {
                let args = checked(self.json)?;
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
                args: checked(self.json)?,
            },
        })
    }
}

/// Splits the arguments of an event into its name and a list of the others.
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

/// Returns the message of a refusal: the text in `{"message":"…"}`, or the JSON itself if it has another form.
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
