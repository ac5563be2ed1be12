//! Converts values between the guest's types and the host's. What a guest returns is checked here and nowhere else.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::bindings::hitchy::platform::types;
use super::error::CallError;
use super::services::MessageSizes;
use crate::message::{
    Body, MAX_RESPONSE_HEADER_BYTES, MAX_RESPONSE_HEADERS, Response, is_hop_by_hop,
};
use crate::payload::{Failure, Payload, check_depth};

/// The longest message of a failure, in bytes.
const MAX_MESSAGE: usize = 16 * 1024;

/// Converts a header of the guest. The error says what is wrong with it.
pub(super) fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let Ok(valid) = HeaderName::from_bytes(name.as_bytes()) else {
        return Err(format!(
            "the header name {name:?} is not a token (RFC 9110, 5.1)"
        ));
    };
    let value = HeaderValue::from_bytes(value.as_bytes());
    let value = value.map_err(|_| {
        format!("the value of the header {name} contains a control character (RFC 9110, 5.5)")
    })?;
    Ok((valid, value))
}

/// Converts the headers of the guest. The error says what is wrong with them.
pub(super) fn headers(list: Vec<(String, String)>) -> Result<HeaderMap, String> {
    let size: usize = list
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    if list.len() > MAX_RESPONSE_HEADERS || size > MAX_RESPONSE_HEADER_BYTES {
        return Err(format!(
            "{} headers of {size} bytes; at most {MAX_RESPONSE_HEADERS} of {MAX_RESPONSE_HEADER_BYTES} bytes together are passed on",
            list.len()
        ));
    }
    let mut headers = HeaderMap::with_capacity(list.len());
    for (name, value) in list {
        let (name, value) = header(&name, &value)?;
        headers.append(name, value);
    }
    Ok(headers)
}

/// Returns a header's value as text: UTF-8, else ISO 8859-1, of which each byte is the character of the same number.
fn text(value: &HeaderValue) -> String {
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => text.to_owned(),
        Err(_) => value.as_bytes().iter().copied().map(char::from).collect(),
    }
}

/// Converts all headers for the guest.
pub(super) fn header_list(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), text(value)))
        .collect()
}

/// Converts the values of one header for the guest.
pub(super) fn header_values(headers: &HeaderMap, name: &str) -> Vec<String> {
    headers.get_all(name).iter().map(text).collect()
}

/// Checks the response of a guest, so that every door can send it.
pub(super) fn response(
    response: types::Response,
    sizes: MessageSizes,
) -> Result<Response, CallError> {
    let types::Response {
        status: code,
        headers: list,
        body,
    } = response;
    let status = StatusCode::from_u16(code)
        .ok()
        .filter(|_| (200..=599).contains(&code));
    let status = status.ok_or_else(|| {
        CallError::BadAnswer(format!("the status {code} is not between 200 and 599"))
    })?;
    if body.len() > sizes.answer {
        let message = format!(
            "a body of {} bytes; at most {} are passed on (server.answer-limit)",
            body.len(),
            sizes.answer
        );
        return Err(CallError::BadAnswer(message));
    }
    // Framing is the host's: a wrong length of the guest's would desynchronise the connection.
    let list = list.into_iter().filter(|(name, _)| {
        !HeaderName::from_bytes(name.as_bytes()).is_ok_and(|name| is_hop_by_hop(&name))
    });
    let headers = headers(list.collect()).map_err(CallError::BadAnswer)?;
    let bodiless = status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED;
    let body = if bodiless {
        Body::empty()
    } else {
        Body::Whole(Bytes::from(body))
    };
    Ok(Response {
        status,
        headers,
        body,
    })
}

/// Converts a response for a guest that dispatched a request.
pub(super) fn response_to_guest(response: Response<Bytes>) -> types::Response {
    types::Response {
        status: response.status.as_u16(),
        headers: header_list(&response.headers),
        body: response.body.to_vec(),
    }
}

/// Converts the payload of a guest without a check, which is left to whoever sends it.
pub(super) fn payload(payload: types::Payload) -> Payload {
    Payload {
        json: payload.json,
        attachments: payload.attachments.into_iter().map(Bytes::from).collect(),
    }
}

/// Converts a payload for the guest.
pub(super) fn payload_to_guest(payload: Payload) -> types::Payload {
    types::Payload {
        json: payload.json,
        attachments: payload.attachments.into_iter().map(Vec::from).collect(),
    }
}

/// Checks the ack of a guest, so that it can be sent.
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

/// Converts a client's ack for the guest that asked for it.
pub(super) fn ack_to_guest(
    ack: Result<Payload, Failure>,
) -> Result<types::Payload, types::Failure> {
    ack.map(payload_to_guest).map_err(failure_to_guest)
}

/// Checks the failure that a guest returned.
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
    })
}

/// Converts a failure of the host for the guest.
pub(super) fn failure_to_guest(failure: Failure) -> types::Failure {
    types::Failure {
        code: failure.code,
        message: failure.message,
        data: failure.data,
    }
}
