//! The errors between this client and a server, each a sentence with advice.

use std::time::Duration;

use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::http::Response;

use super::address::Address;
use super::packet::PacketError;
use crate::text::visible;

/// The reason for which a conversation with a server did not begin or has ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// Connection refused.
    #[error(
        "nobody listens at {0}; start it with `hitchy serve` or `hitchy dev`, or name another address with --url"
    )]
    Nobody(Address),
    /// No such host, no route to it, reset.
    #[error("{0} cannot be reached: {1}; name another address with --url")]
    Unreachable(Address, String),
    /// Its certificate, or no TLS at all.
    #[error("{0} cannot be trusted, or does not speak TLS: {1}; name another address with --url")]
    Tls(Address, String),
    /// The name of a header of HTTP, or the like.
    #[error("{0} does not speak HTTP as it should: {1}; name another address with --url")]
    NotHttp(Address, String),
    /// Something else answers there.
    #[error("there is no socket.io server at {0}{1}; name its path with --path")]
    NotSocketIo(Address, String),
    /// The handshake was answered with an error.
    #[error("{address} refuses the connection with {status}: {sentence}")]
    Handshake {
        address: Address,
        status: u16,
        sentence: String,
    },
    /// A connection hook said no, or there is no such namespace.
    #[error("{address} refuses the connection to {namespace}: {message}")]
    Refused {
        address: Address,
        namespace: String,
        message: String,
    },
    /// Too slow.
    #[error("{0} has not {1} within {time}; wait longer with --timeout", time = humantime::format_duration(*.2))]
    Timeout(Address, &'static str, Duration),
    /// It was there, and is gone.
    #[error("the connection to {0} ended: {1}")]
    Lost(Address, String),
    /// The server does not want this client any more.
    #[error("{0} has disconnected this client from {1}")]
    Dismissed(Address, String),
    /// Something that socket.io does not know.
    #[error("{0} sent what cannot be understood: {1}")]
    Packet(Address, PacketError),
}

impl Error {
    /// Returns true if it is worth trying again after a while.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Nobody(_)
            | Self::Unreachable(..)
            | Self::Timeout(..)
            | Self::Lost(..)
            | Self::Packet(..) => true,
            // Of a proxy while the server restarts, or of a server that has not read its handlers yet.
            Self::Handshake { status, .. } => *status >= 500,
            _ => false,
        }
    }

    /// The system's words for a connection that did not come about or broke.
    pub(super) fn of_io(address: &Address, error: &std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::ConnectionRefused => Self::Nobody(address.clone()),
            // What rustls complains about comes as this.
            std::io::ErrorKind::InvalidData => Self::Tls(address.clone(), error.to_string()),
            _ => Self::Unreachable(address.clone(), error.to_string()),
        }
    }

    /// A handshake that did not make a websocket.
    pub(super) fn of_handshake(address: &Address, path: &str, error: tungstenite::Error) -> Self {
        match error {
            tungstenite::Error::Io(error) => Self::of_io(address, &error),
            tungstenite::Error::Tls(error) => Self::Tls(address.clone(), error.to_string()),
            tungstenite::Error::Protocol(ProtocolError::HandshakeIncomplete) => Self::Unreachable(
                address.clone(),
                "it closed the connection without an answer".to_owned(),
            ),
            tungstenite::Error::Http(response) => Self::of_response(address, path, &response),
            error => Self::NotHttp(address.clone(), error.to_string()),
        }
    }

    fn of_response(address: &Address, path: &str, response: &Response<Option<Vec<u8>>>) -> Self {
        let status = response.status();
        if status.is_success() || status == 404 {
            return Self::NotSocketIo(address.clone(), path.to_owned());
        }
        let location = response
            .headers()
            .get("location")
            .map(|location| format!("look at {}", String::from_utf8_lossy(location.as_bytes())));
        let body = response.body().as_deref().unwrap_or_default();
        let sentence = sentence(body)
            .or(location)
            .or_else(|| status.canonical_reason().map(str::to_owned))
            .unwrap_or_default();
        Self::Handshake {
            address: address.clone(),
            status: status.as_u16(),
            sentence: visible(&sentence).into_owned(),
        }
    }
}

/// Returns the text of an error that a server sent: Hitchy puts it into `error`, others into `message`.
fn sentence(body: &[u8]) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    let sentence = body.get("error").or_else(|| body.get("message"))?;
    sentence.as_str().map(str::to_owned)
}
