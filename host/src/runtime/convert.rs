//! Converts values between the guest's types and the host's.
//!
//! Answers of guests are checked here and nowhere else: their status, headers, sizes and failures. The payload of an
//! emit is only converted, because the emitter checks it.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::bindings::hitchy::platform::types;
use super::error::CallError;
use super::services::MessageSizes;
use crate::message::{
    Body, MAX_RESPONSE_HEADER_BYTES, MAX_RESPONSE_HEADERS, Response, is_hop_by_hop,
};
use crate::payload::{Failure, Payload, check_depth};

/// Largest message and largest data of a failure, in bytes each. A longer message is cut, longer data is an error.
const MAX_MESSAGE: usize = 16 * 1024;

/// Reasons why headers of a guest cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum HeaderError {
    /// A name is not a token.
    #[error("the header name {0:?} is not a token (RFC 9110, 5.1)")]
    Name(String),
    /// The value of the header with this name contains a control character.
    #[error("the value of the header {0} contains a control character (RFC 9110, 5.5)")]
    Value(String),
    /// There are too many headers, or they are too large together.
    #[error(
        "{count} headers of {size} bytes; at most {MAX_RESPONSE_HEADERS} of {MAX_RESPONSE_HEADER_BYTES} bytes together are passed on"
    )]
    Excess { count: usize, size: usize },
}

impl From<HeaderError> for Failure {
    fn from(error: HeaderError) -> Self {
        Self::new(400, error.to_string())
    }
}

/// Converts one header of a guest.
pub(super) fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), HeaderError> {
    let valid_name =
        HeaderName::from_bytes(name.as_bytes()).map_err(|_| HeaderError::Name(name.to_owned()))?;
    let valid_value = HeaderValue::from_bytes(value.as_bytes())
        .map_err(|_| HeaderError::Value(name.to_owned()))?;
    Ok((valid_name, valid_value))
}

/// Converts a list of headers of a guest. Equal names are kept as several values.
pub(super) fn headers(list: Vec<(String, String)>) -> Result<HeaderMap, HeaderError> {
    let size: usize = list
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    if list.len() > MAX_RESPONSE_HEADERS || size > MAX_RESPONSE_HEADER_BYTES {
        let count = list.len();
        return Err(HeaderError::Excess { count, size });
    }
    let mut headers = HeaderMap::with_capacity(list.len());
    for (name, value) in list {
        let (name, value) = header(&name, &value)?;
        headers.append(name, value);
    }
    Ok(headers)
}

/// Checks the headers of an answer that streams, and removes those of the hop and of framing. The names of trailers
/// stay, because HTTP/1.1 sends no trailers that the head does not name.
pub(super) fn stream_headers(mut headers: HeaderMap) -> Result<HeaderMap, CallError> {
    let size: usize = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    if headers.len() > MAX_RESPONSE_HEADERS || size > MAX_RESPONSE_HEADER_BYTES {
        let count = headers.len();
        let excess = HeaderError::Excess { count, size };
        return Err(CallError::BadAnswer(excess.to_string()));
    }
    let dropped: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_hop_by_hop(name) && *name != header::TRAILER)
        .cloned()
        .collect();
    for name in dropped {
        headers.remove(name);
    }
    Ok(headers)
}

/// Returns a header's value as text: decoded as UTF-8, or else as ISO 8859-1, where each byte is the character with
/// the same number.
fn text(value: &HeaderValue) -> String {
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => text.to_owned(),
        Err(_) => value.as_bytes().iter().copied().map(char::from).collect(),
    }
}

/// Returns all headers as pairs of name and value, for a guest.
pub(super) fn header_list(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), text(value)))
        .collect()
}

/// Returns all values of the header `name`, for a guest.
pub(super) fn header_values(headers: &HeaderMap, name: &str) -> Vec<String> {
    headers.get_all(name).iter().map(text).collect()
}

/// Checks the response of a guest and converts it to one that every door can send.
pub(super) fn response(
    response: types::Response,
    sizes: MessageSizes,
) -> Result<Response, CallError> {
    let types::Response {
        status: code,
        headers: list,
        body,
    } = response;
    let status = status(code)?;
    if body.len() > sizes.answer {
        let message = format!(
            "a body of {} bytes; at most {} are passed on (server.answer-limit)",
            body.len(),
            sizes.answer
        );
        return Err(CallError::BadAnswer(message));
    }
    // The host frames messages itself: a wrong content-length of a guest would desynchronise the connection.
    let end_to_end = list.into_iter().filter(|(name, _)| {
        !HeaderName::from_bytes(name.as_bytes()).is_ok_and(|name| is_hop_by_hop(&name))
    });
    let headers =
        headers(end_to_end.collect()).map_err(|error| CallError::BadAnswer(error.to_string()))?;
    Ok(Response {
        status,
        headers,
        body: if is_bodiless(status) {
            Body::empty()
        } else {
            Body::Full(Bytes::from(body))
        },
    })
}

/// Checks the status of a guest's answer.
pub(super) fn status(code: u16) -> Result<StatusCode, CallError> {
    StatusCode::from_u16(code)
        .ok()
        .filter(|_| (200..=599).contains(&code))
        .ok_or_else(|| {
            CallError::BadAnswer(format!("the status {code} is not between 200 and 599"))
        })
}

/// Returns true for a status whose answer has no body (RFC 9110, 15.3.5 and 15.4.5).
pub(super) fn is_bodiless(status: StatusCode) -> bool {
    status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED
}

/// Converts the response to a dispatched request for the guest that sent it.
pub(super) fn response_to_guest(response: Response<Bytes>) -> types::Response {
    types::Response {
        status: response.status.as_u16(),
        headers: header_list(&response.headers),
        body: response.body.to_vec(),
    }
}

/// Converts a payload of a guest without checking it. The sender of the payload checks it.
pub(super) fn payload(payload: types::Payload) -> Payload {
    Payload {
        json: payload.json,
        attachments: payload.attachments.into_iter().map(Bytes::from).collect(),
    }
}

/// Converts a payload for a guest.
pub(super) fn payload_to_guest(payload: Payload) -> types::Payload {
    types::Payload {
        json: payload.json,
        attachments: payload.attachments.into_iter().map(Vec::from).collect(),
    }
}

/// Checks the ack of a guest and converts it to a payload that can be sent.
pub(super) fn ack(ack: types::Payload, sizes: MessageSizes) -> Result<Payload, CallError> {
    let ack = payload(ack);
    if ack.size() > sizes.answer {
        let message = format!(
            "an ack of {} bytes; at most {} are passed on (server.answer-limit)",
            ack.size(),
            sizes.answer
        );
        return Err(CallError::BadAnswer(message));
    }
    ack.check()
        .map_err(|error| CallError::BadAnswer(error.to_string()))?;
    Ok(ack)
}

/// Converts a client's ack for the guest that waits for it.
pub(super) fn ack_to_guest(
    ack: Result<Payload, Failure>,
) -> Result<types::Payload, types::Failure> {
    ack.map(payload_to_guest).map_err(failure_to_guest)
}

/// Checks the failure that a guest returned and converts it. A message that is too long is cut.
pub(super) fn failure(failure: types::Failure) -> Result<Failure, CallError> {
    let types::Failure {
        code,
        mut message,
        data,
    } = failure;
    if !(400..=599).contains(&code) {
        return Err(CallError::BadAnswer(format!(
            "a failure with the code {code}, which is not between 400 and 599: {message:?}"
        )));
    }
    if let Some(data) = &data {
        let valid = serde_json::from_str::<&serde_json::value::RawValue>(data).is_ok()
            && check_depth(data).is_ok();
        if !valid || data.len() > MAX_MESSAGE {
            return Err(CallError::BadAnswer(format!(
                "the data of a failure is no JSON of at most {MAX_MESSAGE} bytes"
            )));
        }
    }
    if message.len() > MAX_MESSAGE {
        message.truncate(message.floor_char_boundary(MAX_MESSAGE));
    }
    Ok(Failure {
        code,
        message,
        data,
        detail: None,
    })
}

/// Converts a failure of the host for a guest.
pub(super) fn failure_to_guest(failure: Failure) -> types::Failure {
    types::Failure {
        code: failure.code,
        message: failure.message,
        data: failure.data,
    }
}
