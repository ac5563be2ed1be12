//! The one table from failures to what the client reads: a sentence, a code and an id, and nothing of the inside.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::message::Response;
use crate::payload::{Failure, Payload};
use crate::runtime::CallError;

/// The header with the id of the call.
const X_REQUEST_ID: &str = "x-request-id";

/// The reason for which nothing is accepted at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The folder has not been read yet.
    Starting,
    /// The server is shutting down.
    Draining,
    /// A required handler is missing.
    Unguarded,
    /// Redis is required and has not been reached yet.
    Waiting,
}

impl Refusal {
    /// Returns the failure that the client reads.
    pub fn failure(self) -> Failure {
        let sentence = match self {
            Self::Starting => "the server is starting; try again",
            Self::Draining => "the server is shutting down; try again",
            Self::Unguarded | Self::Waiting => "the server is not ready to answer; try again later",
        };
        Failure::new(503, sentence)
    }
}

/// Returns the failure that a client reads when a call gave no usable answer.
pub(super) fn of_call_error(error: &CallError) -> Failure {
    let (code, sentence) = match error {
        CallError::Trap { .. }
        | CallError::OutOfMemory { .. }
        | CallError::TooManyHandles { .. }
        | CallError::Host(_) => (500, "internal server error"),
        CallError::BadAnswer(_) => (502, "the handler gave an answer that cannot be passed on"),
        CallError::Overloaded
        | CallError::NoInstance(_)
        | CallError::NoMemory
        | CallError::PoolBusy { .. }
        | CallError::InstanceBusy(_) => (503, "the server is overloaded; try again"),
        CallError::Deadline(_) | CallError::StreamDeadline(_) | CallError::Cpu(_) => {
            (504, "the handler did not answer in time")
        }
    };
    Failure::new(code, sentence)
}

/// The body of a failed request.
#[derive(Serialize)]
struct RequestError<'a> {
    error: &'a str,
    code: u16,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
}

/// The ack of a failed event.
#[derive(Serialize)]
struct EventError<'a> {
    error: EventErrorFields<'a>,
}

#[derive(Serialize)]
struct EventErrorFields<'a> {
    code: u16,
    message: &'a str,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
}

/// Returns the answer to a request that failed: `{"error", "code", "id"}` and the failure's `data` and `detail`.
pub fn error_response(id: &str, failure: &Failure) -> Response<Bytes> {
    let body = RequestError {
        error: &failure.message,
        code: failure.code,
        id,
        data: failure.raw_data(),
        detail: failure.detail.as_deref(),
    };
    // A struct of text and numbers always serialises.
    let body = serde_json::to_vec(&body).unwrap_or_default();
    let mut headers = HeaderMap::new();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json; charset=utf-8"),
    );
    if failure.code == 503 {
        headers.insert(header::RETRY_AFTER, retry_after(id));
    }
    let status = StatusCode::from_u16(failure.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let response = Response {
        status,
        headers,
        body: Bytes::from(body),
    };
    with_id(response, id)
}

/// Adds the id of its call to an answer.
pub fn with_id<B>(mut response: Response<B>, id: &str) -> Response<B> {
    if let Ok(id) = HeaderValue::from_str(id) {
        response.headers.insert(X_REQUEST_ID, id);
    }
    response
}

/// Returns one to three seconds, so that clients that were turned away together do not come back together.
fn retry_after(id: &str) -> HeaderValue {
    let jitter = id
        .bytes()
        .fold(0_u32, |sum, byte| sum.wrapping_add(byte.into()));
    HeaderValue::from(1 + jitter % 3)
}

/// Returns the ack of an event that failed: `{"error": {"code", "message", "id"}}` and the failure's `data` and
/// `detail`.
pub fn ack_of_failure(id: &str, failure: &Failure) -> Payload {
    let fields = EventErrorFields {
        code: failure.code,
        message: &failure.message,
        id,
        data: failure.raw_data(),
        detail: failure.detail.as_deref(),
    };
    Payload::one(&EventError { error: fields })
}

/// Returns the value of the header `allow`.
pub(super) fn allow_header(methods: &[Method]) -> HeaderValue {
    let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
    HeaderValue::from_str(&names.join(", ")).unwrap_or_else(|_| HeaderValue::from_static("OPTIONS"))
}

/// Returns the answer to OPTIONS where no handler answers it.
pub(super) fn options_response(methods: &[Method]) -> Response<Bytes> {
    let mut headers = HeaderMap::new();
    headers.insert(header::ALLOW, allow_header(methods));
    Response {
        status: StatusCode::NO_CONTENT,
        headers,
        body: Bytes::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(failure: &Failure) -> String {
        String::from_utf8(error_response("1f", failure).body.to_vec()).unwrap()
    }

    #[test]
    fn r10_an_error_has_a_sentence_a_code_and_an_id() {
        assert_eq!(
            body(&Failure::new(404, "nothing \"here\"")),
            r#"{"error":"nothing \"here\"","code":404,"id":"1f"}"#
        );
        let with_data = Failure {
            data: Some(r#"{"field":"name"}"#.to_owned()),
            ..Failure::new(409, "taken")
        };
        assert_eq!(
            body(&with_data),
            r#"{"error":"taken","code":409,"id":"1f","data":{"field":"name"}}"#
        );
    }

    #[test]
    fn c04_a_failed_listener_acks_one_error() {
        let ack = ack_of_failure("1f", &Failure::new(504, "late"));
        assert_eq!(
            ack.json,
            r#"[{"error":{"code":504,"message":"late","id":"1f"}}]"#
        );
    }

    #[test]
    fn r10_overload_says_when_to_come_back() {
        let response = error_response("1f", &of_call_error(&CallError::Overloaded));
        assert!(response.headers.contains_key("retry-after"));
    }
}
