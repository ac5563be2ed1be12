//! Sends the request of `hitchy request --http`.

use std::time::Duration;

use bytes::Bytes;
use http::header::USER_AGENT;
use http::{HeaderMap, Method, Request};
use ureq::Agent;
use ureq::config::AutoHeaderValue;

use super::address::Address;
use super::connection::MAX_MESSAGE;
use super::error::Error;
use super::header::user_agent;
use crate::message::Response;

/// Sends a request and waits for the complete response. Redirects are not followed.
///
/// # Errors
/// The server cannot be reached, breaks the rules of HTTP, or takes longer than `timeout`.
pub(super) fn send(
    address: &Address,
    method: &Method,
    target: &str,
    mut headers: HeaderMap,
    body: Option<Bytes>,
    timeout: Duration,
) -> Result<Response<Bytes>, Error> {
    headers.entry(USER_AGENT).or_insert_with(user_agent);
    let mut builder = Request::builder().method(method).uri(address.http(target));
    if let Some(added) = builder.headers_mut() {
        *added = headers;
    }
    let sent = match body {
        Some(body) => builder
            .body(body.to_vec())
            .map_err(ureq::Error::from)
            .and_then(|request| agent(timeout).run(request)),
        None => builder
            .body(())
            .map_err(ureq::Error::from)
            .and_then(|request| agent(timeout).run(request)),
    };
    sent.and_then(read)
        .map_err(|error| of_http(address, timeout, error))
}

/// Returns a client that adds no headers to requests, so that a handler sees the same headers as over a socket.
fn agent(timeout: Duration) -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_global(Some(timeout))
        .proxy(None)
        .user_agent(AutoHeaderValue::None)
        .accept(AutoHeaderValue::None)
        .accept_encoding(AutoHeaderValue::None)
        .build()
        .into()
}

/// Reads the body of a response, up to [`MAX_MESSAGE`] bytes.
fn read(response: http::Response<ureq::Body>) -> Result<Response<Bytes>, ureq::Error> {
    let (head, mut body) = response.into_parts();
    let body = body.with_config().limit(MAX_MESSAGE as u64).read_to_vec()?;
    Ok(Response {
        status: head.status,
        headers: head.headers,
        body: body.into(),
    })
}

/// Converts an error of ureq.
fn of_http(address: &Address, timeout: Duration, error: ureq::Error) -> Error {
    let address = address.clone();
    match error {
        ureq::Error::Timeout(_) => Error::Timeout(address, "answered", timeout),
        // A timeout of the socket itself is reported as this error.
        ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::TimedOut => {
            Error::Timeout(address, "answered", timeout)
        }
        ureq::Error::Io(error) => Error::of_io(&address, &error),
        ureq::Error::Rustls(error) => Error::Tls(address, error.to_string()),
        ureq::Error::Tls(error) => Error::Tls(address, error.to_owned()),
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => {
            Error::Unreachable(address, error.to_string())
        }
        error => Error::NotHttp(address, error.to_string()),
    }
}
