//! Requests to other servers, and the one place in which a call waits: for responses, for pieces of bodies and for
//! timers.

use std::cell::RefCell;

use rquickjs::{Array, Ctx, Result, TypedArray};
use url::Url;

use super::Host;
use crate::bindings::wasi::clocks::monotonic_clock;
use crate::bindings::wasi::http::outgoing_handler;
use crate::bindings::wasi::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, IncomingBody, IncomingResponse, Method,
    OutgoingBody, OutgoingRequest, Scheme,
};
use crate::bindings::wasi::io::poll::{self, Pollable};
use crate::bindings::wasi::io::streams::{InputStream, StreamError};
use crate::values::{bytes, error, flat, pairs};

/// Bytes that are read from a body at once.
const PIECE: u64 = 64 << 10;
/// Bytes that an output stream takes at once without asking it.
const MAX_WRITE: usize = 4096;

/// A request to another server.
enum Exchange {
    /// The head of the response is awaited.
    Head(FutureIncomingResponse),
    /// The head is there, and nobody has asked for the body yet.
    Idle(IncomingResponse),
    /// The body is being read.
    Reading(Reading),
    Done,
}

/// A body. The fields are dropped in their order: a stream before the body that it belongs to.
struct Reading {
    stream: InputStream,
    _body: IncomingBody,
    _response: IncomingResponse,
}

thread_local! {
    /// The requests of the call, by number.
    static EXCHANGES: RefCell<Vec<Exchange>> = const { RefCell::new(Vec::new()) };
}

/// Ends the requests of the call.
pub fn clear() {
    EXCHANGES.with_borrow_mut(Vec::clear);
}

pub fn add(host: &Host<'_>) -> Result<()> {
    host.add("fetch", begin)?;
    host.add("fetchHead", head)?;
    host.add("fetchBody", begin_body)?;
    host.add("fetchRead", read)?;
    host.add("wait", wait)
}

/// Waits until something has happened, for at most `timeout` milliseconds unless that is negative. Returns the numbers
/// of the requests that can go on. The list is empty at once if there is nothing to wait for.
fn wait(timeout: f64) -> Vec<u32> {
    EXCHANGES.with_borrow(|exchanges| {
        let waiting = exchanges.iter().enumerate().filter_map(|(number, one)| {
            let pollable = match one {
                Exchange::Head(future) => future.subscribe(),
                Exchange::Reading(reading) => reading.stream.subscribe(),
                Exchange::Idle(_) | Exchange::Done => return None,
            };
            Some((number as u32, pollable))
        });
        let (numbers, mut pollables): (Vec<u32>, Vec<Pollable>) = waiting.unzip();
        if timeout >= 0.0 {
            pollables.push(monotonic_clock::subscribe_duration((timeout * 1e6) as u64));
        }
        if pollables.is_empty() {
            return Vec::new();
        }
        let ready = poll::poll(&pollables.iter().collect::<Vec<_>>());
        let ready = ready.into_iter();
        ready
            .filter_map(|index| numbers.get(index as usize).copied())
            .collect()
    })
}

/// Sends a request, and returns its number.
fn begin(
    ctx: Ctx<'_>,
    method: String,
    url: String,
    headers: Vec<String>,
    body: Option<TypedArray<'_, u8>>,
) -> Result<u32> {
    let refuse = |cause: &str| error(&ctx, &format!("fetch of {url}: {cause}"));
    let parsed = Url::parse(&url).map_err(|cause| refuse(&cause.to_string()))?;
    let body = body.map(|body| bytes(&body));
    let mut headers: Vec<_> = pairs(headers)
        .into_iter()
        .map(|(name, value)| (name, value.into_bytes()))
        .collect();
    if let Some(body) = &body {
        headers.push((
            "content-length".to_owned(),
            body.len().to_string().into_bytes(),
        ));
    }
    let fields =
        Fields::from_list(&headers).map_err(|cause| refuse(&format!("a header: {cause}")))?;
    let request = OutgoingRequest::new(fields);
    address(&request, &method, &parsed)
        .map_err(|()| refuse("the method or the address is not valid"))?;
    let sending = request.body().map_err(|()| refuse("no body can be sent"))?;
    let future = outgoing_handler::handle(request, None).map_err(|code| refuse(&cause(&code)))?;
    send(sending, body.as_deref().unwrap_or_default()).map_err(|cause| refuse(&cause))?;
    Ok(EXCHANGES.with_borrow_mut(|exchanges| {
        exchanges.push(Exchange::Head(future));
        exchanges.len() as u32 - 1
    }))
}

fn address(request: &OutgoingRequest, method: &str, url: &Url) -> std::result::Result<(), ()> {
    let method = match method {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "OPTIONS" => Method::Options,
        "PATCH" => Method::Patch,
        other => Method::Other(other.to_owned()),
    };
    let scheme = match url.scheme() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.to_owned()),
    };
    let target = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    request.set_method(&method)?;
    request.set_scheme(Some(&scheme))?;
    request.set_authority(Some(url.authority()))?;
    request.set_path_with_query(Some(&target))
}

fn send(sending: OutgoingBody, body: &[u8]) -> std::result::Result<(), String> {
    let stream = sending
        .write()
        .map_err(|()| "no body can be sent".to_owned())?;
    for piece in body.chunks(MAX_WRITE) {
        // The server may answer before it has read everything; its answer says more than this error.
        if stream.blocking_write_and_flush(piece).is_err() {
            break;
        }
    }
    drop(stream);
    // The same holds for the end of the body.
    let _ = OutgoingBody::finish(sending, None);
    Ok(())
}

/// Describes an error of an exchange.
fn cause(code: &ErrorCode) -> String {
    match code {
        ErrorCode::InternalError(Some(text)) => text.clone(),
        ErrorCode::HttpRequestDenied => {
            "this handler may not call this server; allow it with the setting `outbound`".to_owned()
        }
        other => format!("{other:?}"),
    }
}

fn take(number: u32) -> Exchange {
    EXCHANGES.with_borrow_mut(|exchanges| {
        let place = exchanges.get_mut(number as usize);
        place.map_or(Exchange::Done, |place| {
            std::mem::replace(place, Exchange::Done)
        })
    })
}

fn put(number: u32, exchange: Exchange) {
    EXCHANGES.with_borrow_mut(|exchanges| {
        if let Some(place) = exchanges.get_mut(number as usize) {
            *place = exchange;
        }
    });
}

/// Returns the head of a response that has arrived: `[status, headers]`.
fn head<'js>(ctx: Ctx<'js>, number: u32) -> Result<Array<'js>> {
    let Exchange::Head(future) = take(number) else {
        return Err(error(&ctx, "no response is awaited"));
    };
    let response = match future.get() {
        Some(Ok(Ok(response))) => response,
        Some(Ok(Err(code))) => return Err(error(&ctx, &format!("fetch failed: {}", cause(&code)))),
        Some(Err(())) | None => return Err(error(&ctx, "no response has arrived")),
    };
    let text = |value: Vec<u8>| String::from_utf8_lossy(&value).into_owned();
    let headers = response.headers().entries().into_iter();
    let headers = headers.map(|(name, value)| (name, text(value))).collect();
    let array = Array::new(ctx)?;
    array.set(0, response.status())?;
    array.set(1, flat(headers))?;
    put(number, Exchange::Idle(response));
    Ok(array)
}

/// Begins to read the body of a response.
fn begin_body(ctx: Ctx<'_>, number: u32) -> Result<()> {
    let Exchange::Idle(response) = take(number) else {
        return Err(error(&ctx, "the body belongs to a call that has ended"));
    };
    let body = response
        .consume()
        .map_err(|()| error(&ctx, "the body is gone"))?;
    let stream = body
        .stream()
        .map_err(|()| error(&ctx, "the body is gone"))?;
    let reading = Reading {
        stream,
        _body: body,
        _response: response,
    };
    put(number, Exchange::Reading(reading));
    Ok(())
}

/// Returns what has arrived of a body, which may be nothing yet. Returns `undefined` at its end.
fn read<'js>(ctx: Ctx<'js>, number: u32) -> Result<Option<TypedArray<'js, u8>>> {
    let Exchange::Reading(reading) = take(number) else {
        return Ok(None);
    };
    match reading.stream.read(PIECE) {
        Ok(piece) => {
            put(number, Exchange::Reading(reading));
            TypedArray::new(ctx, piece).map(Some)
        }
        Err(StreamError::Closed) => Ok(None),
        Err(StreamError::LastOperationFailed(cause)) => {
            let cause = format!(
                "the body of a response broke off: {}",
                cause.to_debug_string()
            );
            Err(error(&ctx, &cause))
        }
    }
}
