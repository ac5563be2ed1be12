//! The values that pass from a door to a guest and back: requests, responses and events.

mod body;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

pub use self::body::{Body, CollectError, Piece, Pieces, Upload};

use crate::lock::lock;
use crate::path::Target;
use crate::payload::{Failure, Payload};
use crate::sockets::{Connection, Context};

/// The most headers that an answer may have.
pub const MAX_RESPONSE_HEADERS: usize = 64;
/// The most bytes that the names and values of an answer's headers may have together.
pub const MAX_RESPONSE_HEADER_BYTES: usize = 32 * 1024;

/// The id of a call in answers, headers and the log.
pub type CallId = Arc<str>;

/// The way a request came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// The request came over HTTP.
    Http,
    /// The request came as `request` over a socket.
    Socket,
    /// The request came from a handler's `dispatch`.
    Dispatch,
}

impl Door {
    /// Returns the name of the door as guests and the log show it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Socket => "socket",
            Self::Dispatch => "dispatch",
        }
    }
}

/// A request of any door.
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
    /// The headers, without those of the hop and of framing.
    pub headers: HeaderMap,
    /// The complete body, in memory.
    pub body: Bytes,
    /// The address of the client.
    pub remote: SocketAddr,
    /// The connection of a `request` over a socket; none for other doors.
    pub socket: Option<Arc<Connection>>,
    /// The context that hooks and policies have set.
    pub context: Context,
}

/// The answer to a request. `Response<Bytes>` is complete in memory; `Response` may stream.
#[derive(Debug)]
pub struct Response<B = Body> {
    /// The status, 200 to 599.
    pub status: StatusCode,
    /// The headers, without those of the hop and of framing.
    pub headers: HeaderMap,
    /// The body, in memory or as a stream.
    pub body: B,
}

impl<B> Response<B> {
    /// Splits the response into its head and its body.
    pub fn parted(self) -> (Response<()>, B) {
        let head = Response {
            status: self.status,
            headers: self.headers,
            body: (),
        };
        (head, self.body)
    }

    /// Returns the response with another body.
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
        head.with(Body::Full(body))
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

/// Returns true for a header of one hop of HTTP or of its framing. The host handles these itself in both directions
/// (RFC 9110, 7.6.1).
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

/// A request that is being answered, with the values and headers that policies add.
#[derive(Debug)]
pub struct Exchange {
    /// The request as it came.
    pub request: Request,
    context: Mutex<Context>,
    added_headers: Mutex<HeaderMap>,
}

impl Exchange {
    /// Makes the exchange of a request, with a copy of its context.
    pub fn new(request: Request) -> Self {
        let context = Mutex::new(request.context.clone());
        Self {
            request,
            context,
            added_headers: Mutex::default(),
        }
    }

    /// Returns a value of the request's context.
    pub fn get(&self, key: &str) -> Option<String> {
        lock(&self.context).get(key).map(str::to_owned)
    }

    /// Returns the request's context, as it is now.
    pub fn context(&self) -> Context {
        lock(&self.context).clone()
    }

    /// Sets a value of the request's context. Fails with 413 if the context would become too large.
    pub fn set(&self, key: String, value: String) -> Result<(), Failure> {
        lock(&self.context).set(key, value)
    }

    /// Adds a header to the answer, whatever it will be. Fails with 413 if there are too many or too large headers.
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

    /// Returns the headers that policies added.
    pub fn added_headers(&self) -> HeaderMap {
        lock(&self.added_headers).clone()
    }
}
