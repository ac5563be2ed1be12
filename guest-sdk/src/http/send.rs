//! Sends a request through `wasi:http` and waits for the response.

use super::error::ErrorKind;
use super::wire::{Answer, Failed, Parts};
use crate::bindings::wasi::http::outgoing_handler::handle;
use crate::bindings::wasi::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, IncomingBody, IncomingResponse, Method,
    OutgoingBody, OutgoingRequest, RequestOptions, Scheme, http_error_code,
};
use crate::bindings::wasi::io::streams::StreamError;

/// Bytes that are read at once.
const PART: u64 = 64 << 10;

/// Sends a request and waits for the whole response.
pub(super) fn send(parts: Parts) -> Result<Answer, Failed> {
    let request = prepare(&parts)?;
    // A request without a body can be sent again by the host when its connection turns out to be closed.
    let body = if parts.body.is_empty() {
        None
    } else {
        request.body().ok()
    };
    let sent = handle(request, Some(options(&parts))).map_err(|code| failed(&code))?;
    if let Some(body) = body {
        write(body, &parts.body);
    }
    receive(wait(&sent)?)
}

fn invalid(cause: &str) -> Failed {
    Failed::new(ErrorKind::Invalid, cause)
}

fn prepare(parts: &Parts) -> Result<OutgoingRequest, Failed> {
    let headers = Fields::new();
    for (name, value) in &parts.headers {
        let appended = headers.append(name, value.as_bytes());
        appended.map_err(|_| invalid(&format!("the header {name} cannot be set")))?;
    }
    if !parts.body.is_empty() {
        let length = parts.body.len().to_string();
        // A length that the handler set by itself is checked by the host.
        let _ = headers.set("content-length", &[length.into_bytes()]);
    }
    let request = OutgoingRequest::new(headers);
    let scheme = if parts.is_secure {
        Scheme::Https
    } else {
        Scheme::Http
    };
    request
        .set_method(&method(&parts.method))
        .and_then(|()| request.set_scheme(Some(&scheme)))
        .map_err(|()| invalid("the method is not valid"))?;
    request
        .set_authority(Some(&parts.authority))
        .and_then(|()| request.set_path_with_query(Some(&parts.path)))
        .map_err(|()| invalid("the URL is not valid"))?;
    Ok(request)
}

fn method(method: &str) -> Method {
    match method {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "OPTIONS" => Method::Options,
        "PATCH" => Method::Patch,
        other => Method::Other(other.to_owned()),
    }
}

fn options(parts: &Parts) -> RequestOptions {
    let options = RequestOptions::new();
    if let Some(timeout) = parts.timeout {
        let nanoseconds = Some(u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX));
        // A host that does not support one of them keeps its own times.
        let _ = options.set_connect_timeout(nanoseconds);
        let _ = options.set_first_byte_timeout(nanoseconds);
        let _ = options.set_between_bytes_timeout(nanoseconds);
    }
    options
}

/// Writes the body. If the request fails meanwhile, the future of the response has the error.
fn write(body: OutgoingBody, mut rest: &[u8]) {
    let Ok(stream) = body.write() else {
        return;
    };
    let pollable = stream.subscribe();
    while !rest.is_empty() {
        let Ok(space) = stream.check_write() else {
            return;
        };
        if space == 0 {
            pollable.block();
            continue;
        }
        let space = usize::try_from(space).unwrap_or(usize::MAX);
        let (part, after) = rest.split_at(rest.len().min(space));
        if stream.write(part).is_err() {
            return;
        }
        rest = after;
    }
    drop(pollable);
    // The body ends when its stream is dropped.
    drop(stream);
    let _ = OutgoingBody::finish(body, None);
}

fn wait(sent: &FutureIncomingResponse) -> Result<IncomingResponse, Failed> {
    sent.subscribe().block();
    match sent.get() {
        Some(Ok(Ok(response))) => Ok(response),
        Some(Ok(Err(code))) => Err(failed(&code)),
        // It is ready, and nobody has taken it before.
        Some(Err(())) | None => Err(Failed::new(ErrorKind::Failed, "there is no response")),
    }
}

fn receive(response: IncomingResponse) -> Result<Answer, Failed> {
    let headers = response.headers().entries();
    let headers = headers
        .into_iter()
        .map(|(name, value)| (name, String::from_utf8_lossy(&value).into_owned()));
    Ok(Answer {
        status: response.status(),
        headers: headers.collect(),
        body: match response.consume() {
            Ok(body) => read(&body)?,
            Err(()) => Vec::new(),
        },
    })
}

fn read(body: &IncomingBody) -> Result<Vec<u8>, Failed> {
    let mut bytes = Vec::new();
    let Ok(stream) = body.stream() else {
        return Ok(bytes);
    };
    loop {
        match stream.blocking_read(PART) {
            Ok(part) => bytes.extend(part),
            Err(StreamError::Closed) => return Ok(bytes),
            Err(StreamError::LastOperationFailed(error)) => {
                return Err(match http_error_code(&error) {
                    Some(code) => failed(&code),
                    None => Failed::new(ErrorKind::Failed, "the response broke off"),
                });
            }
        }
    }
}

/// Returns the error for a code of the host.
fn failed(code: &ErrorCode) -> Failed {
    use ErrorKind::{Failed as Fails, Invalid, Refused, TimedOut};
    let (kind, cause) = match code {
        ErrorCode::HttpRequestDenied => (
            Refused,
            "this handler may not call the server; the setting `outbound` names those that it may",
        ),
        ErrorCode::DestinationIpProhibited => (
            Refused,
            "the name of the server does not lead to a public address",
        ),
        ErrorCode::HttpRequestUriInvalid => (Refused, "the host is not written in its usual form"),
        ErrorCode::HttpRequestMethodInvalid => (Invalid, "the method is not allowed"),
        ErrorCode::DnsTimeout => (TimedOut, "the name was not resolved in time"),
        ErrorCode::ConnectionTimeout => (TimedOut, "the server did not accept in time"),
        ErrorCode::ConnectionReadTimeout
        | ErrorCode::ConnectionWriteTimeout
        | ErrorCode::HttpResponseTimeout => (TimedOut, "the server did not answer in time"),
        ErrorCode::DnsError(_) | ErrorCode::DestinationNotFound => {
            (Fails, "the name of the server cannot be resolved")
        }
        ErrorCode::ConnectionRefused => (Fails, "the server refuses connections"),
        ErrorCode::ConnectionLimitReached => (Fails, "too many requests are under way"),
        ErrorCode::TlsCertificateError => (Fails, "the certificate of the server is not accepted"),
        ErrorCode::TlsProtocolError | ErrorCode::TlsAlertReceived(_) => (Fails, "TLS failed"),
        ErrorCode::HttpRequestBodySize(_) => (Fails, "the body of the request is too large"),
        ErrorCode::HttpResponseBodySize(_) => (Fails, "the body of the response is too large"),
        ErrorCode::HttpResponseHeaderSectionSize(_) => {
            (Fails, "the head of the response is too large")
        }
        ErrorCode::HttpResponseIncomplete | ErrorCode::ConnectionTerminated => {
            (Fails, "the connection broke off")
        }
        ErrorCode::HttpProtocolError => (Fails, "the response is not HTTP"),
        _ => (Fails, "the request failed"),
    };
    Failed::new(kind, cause)
}
