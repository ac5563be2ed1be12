//! The handshake of a websocket (RFC 6455, 4.2), and the probe with which a polling session moves to one.

use std::io;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header};
use axum::response::Response;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::wire::frame::{CLOSE, Header, PING, PONG, TEXT, apply_mask, server_frame};
use crate::server::http::headers::list_items;
use crate::session::Probe;

/// The only version of the protocol that is in use.
const VERSION: HeaderValue = HeaderValue::from_static("13");
/// Length of a key: 16 bytes in base64.
const KEY_LENGTH: usize = 24;
/// The largest frame of a client that probes, in bytes. Control frames are no larger either.
const MAX_PROBE: u64 = 125;

/// A reason why a request does not open a websocket.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum HandshakeError {
    /// The request does not ask for a websocket, for example because a proxy removed the header.
    NoWebsocket,
    /// The client speaks another version of the protocol.
    Version,
}

/// Returns the response to a request that opens a websocket.
pub(super) fn accept(parts: &Parts) -> Result<Response, HandshakeError> {
    let key = check(parts)?;
    let accepted = HeaderValue::try_from(derive_accept_key(key.as_bytes()));
    let accepted = accepted.map_err(|_| HandshakeError::NoWebsocket)?;
    let mut response = switching(StatusCode::SWITCHING_PROTOCOLS);
    response
        .headers_mut()
        .insert(header::SEC_WEBSOCKET_ACCEPT, accepted);
    Ok(response)
}

/// Returns the response to a client that speaks another version of the protocol (RFC 6455, 4.4).
pub(super) fn refuse_version() -> Response {
    let mut response = switching(StatusCode::UPGRADE_REQUIRED);
    response
        .headers_mut()
        .insert(header::SEC_WEBSOCKET_VERSION, VERSION);
    response
}

/// Returns an empty response that names the protocol to change to.
fn switching(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    response
}

/// Checks the head of a request that should open a websocket, and returns its key.
fn check(parts: &Parts) -> Result<&HeaderValue, HandshakeError> {
    let headers = &parts.headers;
    let asks = parts.version >= Version::HTTP_11
        && has_item(headers, header::UPGRADE, "websocket")
        && has_item(headers, header::CONNECTION, "upgrade");
    let key = headers
        .get(header::SEC_WEBSOCKET_KEY)
        .filter(|key| key.len() == KEY_LENGTH);
    let key = key.filter(|_| asks).ok_or(HandshakeError::NoWebsocket)?;
    if headers.get(header::SEC_WEBSOCKET_VERSION) != Some(&VERSION) {
        return Err(HandshakeError::Version);
    }
    Ok(key)
}

/// Returns true if the list in a header has an item, in upper or lower case.
fn has_item(headers: &HeaderMap, name: HeaderName, item: &str) -> bool {
    list_items(headers, name).any(|other| other.eq_ignore_ascii_case(item))
}

/// Answers the probe of a client that moves from polling to this websocket, until the client ends the upgrade. Returns
/// the bytes that came after the packet that ends it.
///
/// The session goes on polling if this fails, as with engine.io for Node. The library (engineioxide 0.17) would close
/// it, and a client behind a proxy that breaks websockets would never connect.
pub(super) async fn probe<S>(stream: &mut S, probe: &Probe) -> io::Result<Vec<u8>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut received = Vec::new();
    loop {
        let (opcode, payload) = next_frame(stream, &mut received).await?;
        match (opcode, payload.as_slice()) {
            (TEXT, b"2probe") => {
                send(stream, TEXT, b"3probe").await?;
                probe.answer();
            }
            (TEXT, b"5") => return Ok(received),
            (PING, data) => send(stream, PONG, data).await?,
            (PONG, _) => {}
            _ => {
                send(stream, CLOSE, b"").await?;
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
    }
}

async fn send<S: AsyncWrite + Unpin>(stream: &mut S, opcode: u8, payload: &[u8]) -> io::Result<()> {
    stream.write_all(&server_frame(opcode, payload)).await?;
    stream.flush().await
}

/// Takes the next frame from `received`, after reading as much as is missing.
async fn next_frame<S: AsyncRead + Unpin>(
    stream: &mut S,
    received: &mut Vec<u8>,
) -> io::Result<(u8, Vec<u8>)> {
    loop {
        if let Some(header) = Header::read(received) {
            let is_probe = header.payload <= MAX_PROBE && !header.is_extended();
            let Some(key) = header.mask.filter(|_| is_probe) else {
                return Err(io::ErrorKind::InvalidData.into());
            };
            let end = header.size + header.payload as usize;
            if received.len() >= end {
                let mut payload = received[header.size..end].to_vec();
                apply_mask(&mut payload, key);
                received.drain(..end);
                let opcode = if header.is_last { header.opcode } else { CLOSE };
                return Ok((opcode, payload));
            }
        }
        if stream.read_buf(received).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i11_10_a_request_without_the_headers_of_a_websocket_opens_none() {
        let complete = [
            ("upgrade", "WebSocket"),
            ("connection", "keep-alive, Upgrade"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-websocket-version", "13"),
        ];
        let outcome = |headers: &[(&str, &str)]| {
            let mut request = axum::http::Request::get("/");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            accept(&request.body(()).unwrap().into_parts().0)
        };
        let response = outcome(&complete).unwrap();
        let accepted = &response.headers()["sec-websocket-accept"];
        assert_eq!(accepted, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "RFC 6455, 1.3");
        for missing in 0..complete.len() {
            let mut headers = complete.to_vec();
            let (name, _) = headers.remove(missing);
            let error = outcome(&headers).unwrap_err();
            let is_version = error == HandshakeError::Version;
            assert_eq!(is_version, name == "sec-websocket-version", "{name}");
        }
        for (place, value) in [(0, "h2c"), (1, "close"), (2, "short"), (3, "8")] {
            let mut headers = complete;
            headers[place].1 = value;
            outcome(&headers).unwrap_err();
        }
    }
}
