//! Errors of the connection between this client and a server, each a sentence with advice.

use std::time::Duration;

use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::http::Response;

use super::address::Address;
use super::packet::PacketError;
use crate::text::visible;

/// The cause of a failed or lost connection to a server.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The system refused the connection, because no program listens there.
    #[error(
        "nobody listens at {0}; start it with `hitchy serve` or `hitchy dev`, or name another address with --url"
    )]
    Nobody(Address),
    /// The host does not exist, has no route, or reset the connection.
    #[error("{0} cannot be reached: {1}; name another address with --url")]
    Unreachable(Address, String),
    /// The certificate is not trusted, or the server does not speak TLS.
    #[error("{0} cannot be trusted, or does not speak TLS: {1}; name another address with --url")]
    Tls(Address, String),
    /// The answer breaks the rules of HTTP, for example in the name of a header.
    #[error("{0} does not speak HTTP as it should: {1}; name another address with --url")]
    NotHttp(Address, String),
    /// A server answers that is not one of socket.io.
    #[error("there is no socket.io server at {0}{1}; name its path with --path")]
    NotSocketIo(Address, String),
    /// The handshake was answered with an error status.
    #[error("{address} refuses the connection with {status}: {sentence}")]
    Handshake {
        address: Address,
        status: u16,
        sentence: String,
    },
    /// A connection hook refused the client, or the namespace does not exist.
    #[error("{address} refuses the connection to {namespace}: {message}")]
    Refused {
        address: Address,
        namespace: String,
        message: String,
    },
    /// The server took too long; the text says for what.
    #[error("{0} has not {1} within {time}; wait longer with --timeout", time = humantime::format_duration(*.2))]
    Timeout(Address, &'static str, Duration),
    /// The connection was open and has ended.
    #[error("the connection to {0} ended: {1}")]
    Lost(Address, String),
    /// The server disconnected this client from the namespace.
    #[error("{0} has disconnected this client from {1}")]
    Disconnected(Address, String),
    /// The server sent a packet that cannot be read.
    #[error("{0} sent what cannot be understood: {1}")]
    Packet(Address, PacketError),
}

impl Error {
    /// Returns true if another attempt may succeed after a while.
    pub(super) fn is_temporary(&self) -> bool {
        match self {
            Self::Nobody(_)
            | Self::Unreachable(..)
            | Self::Timeout(..)
            | Self::Lost(..)
            | Self::Packet(..) => true,
            // A proxy answers so while the server restarts, and a server while it still loads its handlers.
            Self::Handshake { status, .. } => *status >= 500,
            _ => false,
        }
    }

    /// Converts an error of the system.
    pub(super) fn of_io(address: &Address, error: &std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::ConnectionRefused => Self::Nobody(address.clone()),
            // Errors of rustls are wrapped in this kind.
            std::io::ErrorKind::InvalidData => Self::Tls(address.clone(), error.to_string()),
            _ => Self::Unreachable(address.clone(), error.to_string()),
        }
    }

    /// Converts the error of a handshake that did not open a websocket.
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

    /// Converts the HTTP response that a handshake got instead of a websocket.
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

/// Returns the text of an error that a server sent as JSON. Hitchy puts the text into `error`, other servers into
/// `message`.
fn sentence(body: &[u8]) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    let sentence = body.get("error").or_else(|| body.get("message"))?;
    sentence.as_str().map(str::to_owned)
}
