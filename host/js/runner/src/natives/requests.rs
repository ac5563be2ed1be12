//! The request that is being answered, and requests to the server itself.

use std::cell::RefCell;

use rquickjs::{Array, Ctx, Result, TypedArray};

use super::{Host, keep_socket};
use crate::bindings::hitchy::platform::requests::{self, Request};
use crate::values::{bytes, error, flat, pairs, thrown};

thread_local! {
    static REQUEST: RefCell<Option<Request>> = const { RefCell::new(None) };
}

/// Sets the request of the call that begins.
pub fn set(request: Option<Request>) {
    REQUEST.set(request);
}

fn with<T>(ctx: &Ctx<'_>, work: impl FnOnce(&Request) -> T) -> Result<T> {
    REQUEST.with_borrow(|request| match request {
        Some(request) => Ok(work(request)),
        None => Err(error(ctx, "this request has been answered already")),
    })
}

pub fn add(host: &Host<'_>) -> Result<()> {
    host.add("id", |ctx: Ctx<'_>| with(&ctx, Request::id))?;
    host.add("method", |ctx: Ctx<'_>| with(&ctx, Request::method))?;
    host.add("url", |ctx: Ctx<'_>| with(&ctx, Request::url))?;
    host.add("door", |ctx: Ctx<'_>| with(&ctx, Request::door))?;
    host.add("remote", |ctx: Ctx<'_>| with(&ctx, Request::remote))?;
    host.add("deadline", |ctx: Ctx<'_>| with(&ctx, Request::deadline_ms))?;
    host.add("header", |ctx: Ctx<'_>, name: String| {
        with(&ctx, |request| request.header(&name))
    })?;
    host.add("headers", |ctx: Ctx<'_>| {
        with(&ctx, |request| flat(request.headers()))
    })?;
    host.add("body", body)?;
    host.add("bodyText", |ctx: Ctx<'_>| {
        with(&ctx, |request| text(request.body()))
    })?;
    host.add("param", |ctx: Ctx<'_>, name: String| {
        with(&ctx, |request| request.param(&name))
    })?;
    host.add("requestSocket", |ctx: Ctx<'_>| {
        with(&ctx, |request| request.socket().map(keep_socket))
    })?;
    add_context(host)?;
    host.add("dispatch", dispatch)
}

fn add_context(host: &Host<'_>) -> Result<()> {
    host.add("contextGet", |ctx: Ctx<'_>, key: String| {
        with(&ctx, |request| request.get(&key))
    })?;
    host.add("contextSet", |ctx: Ctx<'_>, key: String, value: String| {
        with(&ctx, |request| request.set(&key, &value))?.map_err(|failure| thrown(&ctx, &failure))
    })?;
    host.add(
        "responseHeader",
        |ctx: Ctx<'_>, name: String, value: String| {
            with(&ctx, |request| request.set_response_header(&name, &value))?
                .map_err(|failure| thrown(&ctx, &failure))
        },
    )
}

fn body<'js>(ctx: Ctx<'js>) -> Result<TypedArray<'js, u8>> {
    let body = with(&ctx, Request::body)?;
    TypedArray::new(ctx, body)
}

/// Reads UTF-8, with U+FFFD for what is none, as `Request.text` does.
fn text(bytes: Vec<u8>) -> String {
    let text = String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    }
}

/// Sends a request to the server itself. Returns `[status, headers, body]`.
fn dispatch<'js>(
    ctx: Ctx<'js>,
    method: String,
    url: String,
    headers: Vec<String>,
    body: TypedArray<'js, u8>,
) -> Result<Array<'js>> {
    let answer = requests::dispatch(&method, &url, &pairs(headers), &bytes(&body));
    let response = answer.map_err(|failure| thrown(&ctx, &failure))?;
    let array = Array::new(ctx.clone())?;
    array.set(0, response.status)?;
    array.set(1, flat(response.headers))?;
    array.set(2, TypedArray::new(ctx, response.body)?)?;
    Ok(array)
}
