//! The values that walk from a door to a guest and back: requests, responses and events.

mod body;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

pub use self::body::{Body, NotWhole, Pieces};

use crate::lock::lock;
use crate::path::Target;
use crate::payload::{Failure, Payload};
use crate::sockets::{Connection, Context};

/// The most headers that an answer may have.
pub const MAX_RESPONSE_HEADERS: usize = 64;
/// The most bytes that their names and values may have together.
pub const MAX_RESPONSE_HEADER_BYTES: usize = 32 * 1024;

/// Names a call in answers, headers and the log.
pub type CallId = Arc<str>;

/// The way a request came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// Over HTTP.
    Http,
    /// By `request` over a socket.
    Socket,
    /// By a handler's `dispatch`.
    Dispatch,
}

impl Door {
    /// Its name, as guests and logs see it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Socket => "socket",
            Self::Dispatch => "dispatch",
        }
    }
}

/// A request, whichever door it came through.
#[derive(Clone, Debug)]
pub struct Request {
    /// The id of the call, as in `x-request-id`.
    pub id: CallId,
    /// The door through which it came.
    pub door: Door,
    /// The method, in upper case.
    pub method: Method,
    /// The path and the query.
    pub target: Target,
    /// Without hop-by-hop and framing headers.
    pub headers: HeaderMap,
    /// The complete body.
    pub body: Bytes,
    /// The address of the client.
    pub remote: SocketAddr,
    /// The connection it came through, for a `request` over a socket.
    pub socket: Option<Arc<Connection>>,
    /// The context that hooks and policies have set.
    pub context: Context,
}

/// The answer to a request. One whose body is `Bytes` is whole for sure.
#[derive(Debug)]
pub struct Response<B = Body> {
    /// The status, 200 to 599.
    pub status: StatusCode,
    /// Without hop-by-hop and framing headers.
    pub headers: HeaderMap,
    /// The body, in memory or as a stream.
    pub body: B,
}

impl<B> Response<B> {
    /// Its head, and its body.
    pub fn parted(self) -> (Response<()>, B) {
        let head = Response {
            status: self.status,
            headers: self.headers,
            body: (),
        };
        (head, self.body)
    }

    /// The same with another body.
    pub fn with<C>(self, body: C) -> Response<C> {
        Response {
            status: self.status,
            headers: self.headers,
            body,
        }
    }
}

impl From<Response<Bytes>> for Response {
    fn from(response: Response<Bytes>) -> Self {
        let (head, body) = response.parted();
        head.with(Body::Whole(body))
    }
}

/// An event from a client.
#[derive(Debug)]
pub struct Event {
    /// The id of the call.
    pub id: CallId,
    /// The name of the event.
    pub name: String,
    /// The arguments of the event.
    pub payload: Payload,
    /// True if the client passed a callback.
    pub ack_wanted: bool,
}

/// Headers that concern one hop of HTTP, or its framing, and are the host's own business in both directions (RFC 9110,
/// 7.6.1).
pub fn is_hop_by_hop(name: &HeaderName) -> bool {
    use http::header::{CONNECTION, CONTENT_LENGTH, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
    [
        CONNECTION,
        CONTENT_LENGTH,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
    ]
    .contains(name)
        || name.as_str() == "keep-alive"
        || name.as_str().starts_with("proxy-")
}

/// A request while it is being answered: what policies add to it, beside what it is.
#[derive(Debug)]
pub struct Exchange {
    /// The request as it came.
    pub request: Request,
    context: Mutex<Context>,
    added_headers: Mutex<HeaderMap>,
}

impl Exchange {
    /// Begins to answer a request.
    pub fn new(request: Request) -> Self {
        let context = Mutex::new(request.context.clone());
        Self {
            request,
            context,
            added_headers: Mutex::default(),
        }
    }

    /// A value of the request's context.
    pub fn get(&self, key: &str) -> Option<String> {
        lock(&self.context).get(key).map(str::to_owned)
    }

    /// Sets a value of the request's context.
    pub fn set(&self, key: String, value: String) -> Result<(), Failure> {
        lock(&self.context).set(key, value)
    }

    /// Adds a header to whatever is answered.
    pub fn add_header(&self, name: HeaderName, value: HeaderValue) -> Result<(), Failure> {
        let mut headers = lock(&self.added_headers);
        if headers.len() >= MAX_RESPONSE_HEADERS {
            return Err(Failure::new(
                413,
                format!("at most {MAX_RESPONSE_HEADERS} headers can be added to an answer"),
            ));
        }
        let size = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len();
        if headers.iter().map(size).sum::<usize>() + size((&name, &value))
            > MAX_RESPONSE_HEADER_BYTES
        {
            let sentence = format!(
                "at most {MAX_RESPONSE_HEADER_BYTES} bytes of headers can be added to an answer"
            );
            return Err(Failure::new(413, sentence));
        }
        headers.append(name, value);
        Ok(())
    }

    /// The headers that policies added.
    pub fn added_headers(&self) -> HeaderMap {
        lock(&self.added_headers).clone()
    }
}
