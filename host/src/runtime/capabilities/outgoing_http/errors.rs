//! Errors of connections and of hyper as errors of `wasi:http`.

use std::error::Error as _;
use std::io;

use wasmtime_wasi_http::Error;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, IoError};

use crate::metrics::OutgoingOutcome;

/// Returns the error of a connection that could not be opened.
pub(super) fn of_connect(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Error::ConnectionRefused,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            Error::DestinationIpUnroutable
        }
        io::ErrorKind::TimedOut => Error::ConnectionTimeout,
        _ => Error::DestinationUnavailable,
    }
}

/// Returns the error of a request that was sent, or of its response.
pub(super) fn of_hyper(error: &hyper::Error) -> Error {
    let source = error.source();
    if let Some(Error::HttpRequestBodySize(size)) =
        source.and_then(|source| source.downcast_ref::<Error>())
    {
        return Error::HttpRequestBodySize(*size);
    }
    let io = source.and_then(|source| source.downcast_ref::<io::Error>());
    if error.is_parse_too_large() {
        Error::HttpResponseHeaderSectionSize(None)
    } else if error.is_parse() {
        Error::HttpProtocolError
    } else if error.is_incomplete_message() || io.is_some_and(is_early_end) {
        Error::HttpResponseIncomplete
    } else if error.is_timeout() {
        Error::HttpResponseTimeout
    } else if io.is_some() || error.is_closed() {
        Error::ConnectionTerminated
    } else {
        Error::InternalError(Some(error.to_string()))
    }
}

fn is_early_end(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof
}

/// Returns the outcome that a failed request counts for.
pub(super) fn outcome(error: &Error) -> OutgoingOutcome {
    match error {
        Error::HttpRequestDenied
        | Error::DestinationIpProhibited
        | Error::HttpRequestUriInvalid
        | Error::HttpRequestMethodInvalid => OutgoingOutcome::Refused,
        Error::ConnectionLimitReached
        | Error::HttpRequestBodySize(_)
        | Error::HttpResponseBodySize(_)
        | Error::HttpResponseHeaderSectionSize(_) => OutgoingOutcome::Limited,
        Error::DnsTimeout
        | Error::ConnectionTimeout
        | Error::ConnectionReadTimeout
        | Error::HttpResponseTimeout => OutgoingOutcome::TimedOut,
        _ => OutgoingOutcome::Failed,
    }
}

/// Returns the code of an error that a guest got from a stream. `None` if the stream is not that of a body.
pub(super) fn code(error: &IoError) -> Option<ErrorCode> {
    if let Some(code) = error.downcast_ref::<ErrorCode>() {
        return Some(code.clone());
    }
    Some(match error.downcast_ref::<Error>()? {
        Error::HttpRequestBodySize(size) => ErrorCode::HttpRequestBodySize(*size),
        Error::HttpResponseBodySize(size) => ErrorCode::HttpResponseBodySize(*size),
        Error::HttpResponseTimeout => ErrorCode::HttpResponseTimeout,
        Error::HttpResponseIncomplete => ErrorCode::HttpResponseIncomplete,
        Error::HttpProtocolError => ErrorCode::HttpProtocolError,
        Error::ConnectionReadTimeout => ErrorCode::ConnectionReadTimeout,
        Error::ConnectionTerminated => ErrorCode::ConnectionTerminated,
        other => ErrorCode::InternalError(Some(other.to_string())),
    })
}
