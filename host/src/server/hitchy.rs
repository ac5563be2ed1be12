//! Door: `request` in the namespace /hitchy. The same request as over HTTP, inside a packet, and its answer as the ack.

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use bytes::Bytes;
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use socketioxide::adapter::Adapter;
use socketioxide::handler::{MessageHandler, Value};
use socketioxide::socket::Socket;
use tokio::sync::Semaphore;

use super::ack::Ack;
use super::front::{MAX_HEADER_BYTES, MAX_HEADERS, MAX_TARGET};
use super::inbox::Inbox;
use super::jar::Jar;
use crate::config::SetCookie;
use crate::dispatch::{error_response, without_head_body};
use crate::message::{CallId, Door, Event, Request, Response, is_hop_by_hop};
use crate::path::Target;
use crate::payload::{Failure, attachment, check_depth};
use crate::sockets::Connection;

/// Requests of one connection that run at the same time.
pub(super) const RUNNING: usize = 32;
/// Identity is the handshake's: what a page's script sends under these names does not count.
const FROM_HANDSHAKE: [HeaderName; 5] = [
    header::HOST,
    header::ORIGIN,
    header::USER_AGENT,
    header::ACCEPT_LANGUAGE,
    header::REFERER,
];

/// Takes requests from the library and lets them run side by side.
pub(super) struct Requests<A: Adapter> {
    inbox: Inbox<A>,
    running: Arc<Semaphore>,
    jar: Arc<Jar>,
    set_cookie: SetCookie,
}

impl<A: Adapter> Requests<A> {
    pub(super) fn new(inbox: Inbox<A>, set_cookie: SetCookie) -> Self {
        Self {
            running: Arc::new(Semaphore::new(RUNNING)),
            jar: Jar::new(&inbox.connection.handshake.headers),
            set_cookie,
            inbox,
        }
    }

    fn request(&self, event: &Event) -> Result<Request, Failure> {
        let arguments: Vec<&RawValue> =
            serde_json::from_str(&event.payload.json).map_err(|error| bad(error.to_string()))?;
        let first = arguments.first().ok_or_else(|| {
            bad("the first argument is missing; it is {method, url, headers, body}")
        })?;
        let packet: Packet<'_> = serde_json::from_str(first.get()).map_err(|error| {
            bad(format!(
                "the first argument is no object {{method, url, headers, body}}: {error}"
            ))
        })?;
        packet.request(
            &event.id,
            &self.inbox.connection,
            &self.jar,
            &event.payload.attachments,
        )
    }
}

impl<A: Adapter> MessageHandler<A, Requests<A>> for Requests<A> {
    fn call(&self, socket: Arc<Socket<A>>, value: Value, ack_id: Option<i64>) {
        let (event, ack) = match self.inbox.take(&socket, value, ack_id) {
            Ok(taken) => taken,
            Err((failure, ack)) => return refuse(ack, &failure),
        };
        if event.name != "request" {
            let failure = Failure::new(
                404,
                format!(
                    "only `request` is answered in /hitchy, not {:?}",
                    event.name
                ),
            );
            return ack.fail_now(&failure);
        }
        let request = match self.request(&event) {
            Ok(request) => request,
            Err(failure) => return refuse(ack, &failure),
        };
        let accepted = match self.inbox.dispatch.accept() {
            Ok(accepted) => accepted,
            Err(refusal) => return refuse(ack, &refusal.failure()),
        };
        let Some(waiting) = self.inbox.place(event.payload.size()) else {
            let sentence =
                "too many requests of this connection are running and waiting; send more slowly";
            return refuse(ack, &Failure::new(429, sentence));
        };
        let running = Arc::clone(&self.running);
        let (dispatch, jar) = (Arc::clone(&self.inbox.dispatch), Arc::clone(&self.jar));
        let set_cookie = self.set_cookie;
        tokio::spawn(async move {
            let _waiting = waiting;
            let _permit = running.acquire().await;
            let method = request.method.clone();
            // Shutting down waits for the ack too.
            let _accepted = accepted.clone();
            let response = dispatch.request(request, accepted).await;
            jar.keep(&response.headers);
            let response = &without_head_body(response, &method);
            let bytes = response.body.len();
            let answer = Answer {
                response,
                set_cookie,
            };
            ack.send(&answer, bytes).await;
        });
    }
}

fn bad(sentence: impl Into<String>) -> Failure {
    Failure::new(400, sentence)
}

fn refuse<A: Adapter>(ack: Ack<A>, failure: &Failure) {
    let mut response = error_response(ack.id(), failure);
    if failure.code == 429 {
        response
            .headers
            .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    let answer = Answer {
        response: &response,
        set_cookie: SetCookie::Withhold,
    };
    ack.send_now(&answer, response.body.len());
}

/// What a client sends. `null` counts as missing.
#[derive(Deserialize)]
struct Packet<'a> {
    #[serde(borrow, default)]
    method: Option<&'a RawValue>,
    #[serde(borrow, default)]
    url: Option<&'a RawValue>,
    #[serde(borrow, default)]
    headers: Option<&'a RawValue>,
    #[serde(borrow, default)]
    body: Option<&'a RawValue>,
}

impl Packet<'_> {
    fn request(
        &self,
        id: &CallId,
        connection: &Arc<Connection>,
        jar: &Jar,
        attachments: &[Bytes],
    ) -> Result<Request, Failure> {
        let method = self.method()?;
        let target = self.target()?;
        let mut headers = self.headers()?;
        let body = self.body(&mut headers, attachments)?;
        for name in FROM_HANDSHAKE {
            for value in connection.handshake.headers.get_all(&name) {
                headers.append(name.clone(), value.clone());
            }
        }
        for value in jar.headers() {
            headers.append(header::COOKIE, value);
        }
        Ok(Request {
            id: Arc::clone(id),
            door: Door::Socket,
            method,
            target,
            headers,
            body,
            remote: connection.handshake.remote,
            socket: Some(Arc::clone(connection)),
            context: connection.context(),
        })
    }

    fn target(&self) -> Result<Target, Failure> {
        let url: String = match self.url {
            Some(url) => serde_json::from_str(url.get()).map_err(|_| bad("url is not a string"))?,
            None => return Err(bad("url is missing")),
        };
        if url.len() > MAX_TARGET {
            let sentence = format!("the url is longer than {MAX_TARGET} bytes");
            return Err(Failure::new(414, sentence));
        }
        Target::parse(&url).map_err(|error| bad(error.to_string()))
    }

    fn method(&self) -> Result<Method, Failure> {
        let Some(method) = self.method else {
            return Ok(Method::GET);
        };
        let name: String =
            serde_json::from_str(method.get()).map_err(|_| bad("method is not a string"))?;
        if name.is_empty() {
            return Ok(Method::GET);
        }
        let method = Method::from_bytes(name.to_ascii_uppercase().as_bytes())
            .map_err(|_| bad("method is not a token (RFC 9110, 5.6.2)"))?;
        if method == Method::CONNECT {
            return Err(bad("method CONNECT is for proxies, which this is not"));
        }
        Ok(method)
    }

    fn headers(&self) -> Result<HeaderMap, Failure> {
        let Some(raw) = self.headers else {
            return Ok(HeaderMap::new());
        };
        let fields: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(raw.get()).map_err(|_| bad("headers is not an object"))?;
        let (mut headers, mut size) = (HeaderMap::new(), 0);
        for (name, value) in fields {
            let Ok(header) = HeaderName::from_bytes(name.as_bytes()) else {
                return Err(bad(format!(
                    "headers: the name {name:?} is not a token (RFC 9110, 5.1)"
                )));
            };
            let values = header_values(&name, value)?;
            if is_withheld(&header) {
                continue;
            }
            // Of two names that differ only in case the last wins.
            headers.remove(&header);
            for value in values {
                size += header.as_str().len() + value.len();
                if headers.len() >= MAX_HEADERS || size > MAX_HEADER_BYTES {
                    return Err(too_many_headers());
                }
                headers.append(header.clone(), value);
            }
        }
        Ok(headers)
    }

    /// The body as bytes. Its kind decides the content type when none was sent.
    fn body(&self, headers: &mut HeaderMap, attachments: &[Bytes]) -> Result<Bytes, Failure> {
        let Some(raw) = self.body else {
            headers.remove(header::CONTENT_TYPE);
            return Ok(Bytes::new());
        };
        let text = raw.get();
        let (body, content_type) = match attachment(raw, attachments.len()) {
            Ok(Some(index)) => (attachments[index].clone(), "application/octet-stream"),
            Ok(None) if text.starts_with('"') => {
                let text: String =
                    serde_json::from_str(text).map_err(|error| bad(format!("body: {error}")))?;
                (Bytes::from(text), "text/plain; charset=utf-8")
            }
            Ok(None) => {
                require_json(headers)?;
                (
                    Bytes::copy_from_slice(text.as_bytes()),
                    "application/json; charset=utf-8",
                )
            }
            Err(cause) => return Err(bad(format!("body: {cause}"))),
        };
        headers
            .entry(header::CONTENT_TYPE)
            .or_insert(HeaderValue::from_static(content_type));
        Ok(body)
    }
}

fn too_many_headers() -> Failure {
    let sentence =
        format!("at most {MAX_HEADERS} headers of {MAX_HEADER_BYTES} bytes together are taken");
    Failure::new(431, sentence)
}

/// A value that is no string can only be sent as JSON.
fn require_json(headers: &HeaderMap) -> Result<(), Failure> {
    let Some(content_type) = headers.get(header::CONTENT_TYPE) else {
        return Ok(());
    };
    match media_type(content_type).as_deref() {
        Some("application/json" | "text/json") => Ok(()),
        _ => Err(bad(
            "body is no string, and content-type is not application/json; send a string, or leave content-type out",
        )),
    }
}

/// `application/json` of `Application/JSON; charset=utf-8`.
fn media_type(content_type: &HeaderValue) -> Option<String> {
    let text = content_type.to_str().ok()?;
    Some(text.split(';').next()?.trim().to_ascii_lowercase())
}

/// What the host sets, what the handshake says, and what only proxies may say.
fn is_withheld(name: &HeaderName) -> bool {
    is_hop_by_hop(name)
        || FROM_HANDSHAKE.contains(name)
        || name == header::COOKIE
        || name == header::FORWARDED
        || name.as_str() == "proxy"
        || name.as_str() == "x-real-ip"
        || name.as_str().starts_with("x-forwarded-")
}

fn header_values(name: &str, value: serde_json::Value) -> Result<Vec<HeaderValue>, Failure> {
    use serde_json::Value::{Array, Bool, Null, Number, Object, String};
    let text = match value {
        Null => return Ok(Vec::new()),
        String(text) => text,
        Number(number) => number.to_string(),
        Bool(value) => value.to_string(),
        Array(values) if values.iter().any(|value| matches!(value, Array(_))) => {
            return Err(bad(format!(
                "headers: the value of {name:?} is an array in an array"
            )));
        }
        Array(values) => {
            let values: Result<Vec<_>, _> = values
                .into_iter()
                .map(|value| header_values(name, value))
                .collect();
            return values.map(|values| values.into_iter().flatten().collect());
        }
        Object(_) => return Err(bad(format!("headers: the value of {name:?} is an object"))),
    };
    let value = HeaderValue::from_bytes(text.as_bytes());
    let value = value.map_err(|_| {
        bad(format!(
            "headers: the value of {name:?} contains a control character"
        ))
    })?;
    Ok(vec![value])
}

/// The ack: `{statusCode, headers, body}`.
struct Answer<'a> {
    response: &'a Response,
    set_cookie: SetCookie,
}

impl Serialize for Answer<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut answer = serializer.serialize_map(Some(3))?;
        answer.serialize_entry("statusCode", &self.response.status.as_u16())?;
        let headers = AnswerHeaders {
            headers: &self.response.headers,
            set_cookie: self.set_cookie,
        };
        answer.serialize_entry("headers", &headers)?;
        answer.serialize_entry("body", &AnswerBody::of(self.response))?;
        answer.end()
    }
}

/// Repeats are joined, but for `set-cookie`, which is withheld from page scripts, or an array.
struct AnswerHeaders<'a> {
    headers: &'a HeaderMap,
    set_cookie: SetCookie,
}

impl Serialize for AnswerHeaders<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut headers = serializer.serialize_map(None)?;
        for name in self.headers.keys() {
            if name == header::DATE || is_hop_by_hop(name) {
                continue;
            }
            let values = self.headers.get_all(name).iter();
            let values = values.map(|value| String::from_utf8_lossy(value.as_bytes()));
            let values: Vec<_> = values.collect();
            if name != header::SET_COOKIE {
                headers.serialize_entry(name.as_str(), &values.join(", "))?;
            } else if self.set_cookie == SetCookie::Pass {
                headers.serialize_entry(name.as_str(), &values)?;
            }
        }
        headers.end()
    }
}

/// The body as a client reads it: JSON as a value, text as a string, anything else as bytes.
enum AnswerBody<'a> {
    None,
    Json(&'a RawValue),
    Text(&'a str),
    Bytes(&'a [u8]),
}

impl<'a> AnswerBody<'a> {
    fn of(response: &'a Response) -> Self {
        let body: &[u8] = &response.body;
        if body.is_empty() {
            return Self::None;
        }
        let content_type = response
            .headers
            .get(header::CONTENT_TYPE)
            .and_then(media_type)
            .unwrap_or_default();
        let Ok(text) = std::str::from_utf8(body) else {
            return Self::Bytes(body);
        };
        if is_json(&content_type) {
            return Self::json(text);
        }
        if is_text(&content_type) {
            Self::Text(text)
        } else {
            Self::Bytes(body)
        }
    }

    /// JSON text goes into the packet as it is, so that large numbers survive. What is not JSON is a string.
    fn json(text: &'a str) -> Self {
        match serde_json::from_str(text) {
            Ok(raw) if check_depth(text).is_ok() => Self::Json(raw),
            _ => Self::Text(text),
        }
    }
}

impl Serialize for AnswerBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => serializer.serialize_none(),
            Self::Json(raw) => raw.serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Bytes(bytes) => serializer.serialize_bytes(bytes),
        }
    }
}

fn is_json(media_type: &str) -> bool {
    matches!(media_type, "application/json" | "text/json") || media_type.ends_with("+json")
}

fn is_text(media_type: &str) -> bool {
    media_type.starts_with("text/")
        || media_type.ends_with("+xml")
        || matches!(
            media_type,
            "application/xml"
                | "application/javascript"
                | "application/ecmascript"
                | "application/x-www-form-urlencoded"
        )
}
