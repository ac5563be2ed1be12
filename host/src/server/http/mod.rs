//! The HTTP door: turns a request of hyper into one for dispatch, and the response of dispatch into one for hyper.

pub(super) mod body;
pub(super) mod headers;
pub(super) mod peer;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, ready};

use axum::body::{Body, HttpBody};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use axum::response::Response as AxumResponse;
use bytes::Bytes;
use futures_util::StreamExt;
use hyper::body::{Frame, SizeHint};

use self::body::{BodyReader, Unread};
use self::headers::{set_connection_close, without_hop_by_hop};
use self::peer::identify;
use crate::config::{Config, Server};
use crate::dispatch::{Accepted, Dispatch, error_response};
use crate::ending::Ending;
use crate::message::{self, Door, Piece, Pieces, Request, Response, Upload};
use crate::path::Target;
use crate::payload::Failure;
use crate::registry::Table;
use crate::sockets::Context;

/// The door of HTTP requests.
pub(super) struct HttpDoor {
    dispatch: Arc<Dispatch>,
    server: Server,
    bodies: BodyReader,
}

impl HttpDoor {
    pub(super) fn new(dispatch: Arc<Dispatch>, bodies: BodyReader, config: &Config) -> Self {
        Self {
            dispatch,
            server: config.server.clone(),
            bodies,
        }
    }

    /// Returns the dispatch that this door passes requests to.
    pub(super) fn dispatch(&self) -> &Arc<Dispatch> {
        &self.dispatch
    }

    /// Answers a request outside the path of the socket.io endpoint.
    pub(super) async fn answer(&self, parts: Parts, mut body: Body) -> AxumResponse {
        let method = upper_case(&parts.method);
        let (target, content, accepted) = match self.accept(&method, &parts, &mut body).await {
            Ok(accepted) => accepted,
            Err(failure) => return self.refuse(&parts.headers, body, &failure).await,
        };
        // A client that waits for permission to send a body sends none after the answer.
        let sends_body = !parts.headers.contains_key(header::EXPECT);
        let (remote, headers) = identify(&self.server, parts.extensions.get(), parts.headers);
        // hyper knows only `HEAD` in capitals, and would send the body that such an answer announces.
        let has_no_body = method == Method::HEAD && parts.method != Method::HEAD;
        let request = Request {
            id: self.dispatch.next_id(),
            door: Door::Http,
            method,
            target,
            headers: without_hop_by_hop(headers),
            body: Bytes::new(),
            remote,
            socket: None,
            context: Context::default(),
        };
        let (answer, unread) = self.call(request, content, accepted).await;
        let mut response = to_axum(answer);
        if has_no_body {
            *response.body_mut() = Body::empty();
        }
        if let Some(body) = unread {
            if sends_body {
                self.bodies.discard(body, &HeaderMap::new()).await;
            }
            set_connection_close(&mut response);
        }
        if self.dispatch.is_draining() {
            set_connection_close(&mut response);
        }
        response
    }

    /// Passes a request to dispatch. Returns the answer, and the rest of the body that its handler did not read.
    async fn call(
        &self,
        request: Request,
        content: Content,
        accepted: Accepted,
    ) -> (Response, Option<Body>) {
        match content {
            Content::Whole(body) => {
                let request = Request { body, ..request };
                (self.dispatch.request(request, accepted).await, None)
            }
            Content::Arriving(table, upload, unread) => {
                let arriving = (table, upload);
                let answer = self.dispatch.request_arriving(request, arriving, accepted);
                (answer.await, unread.take())
            }
        }
    }

    /// Answers a request with a failure and closes the connection, because the body may not have been read to its end.
    pub(super) async fn refuse(
        &self,
        headers: &HeaderMap,
        body: Body,
        failure: &Failure,
    ) -> AxumResponse {
        self.dispatch.answered(Door::Http, failure.code);
        self.bodies.discard(body, headers).await;
        let mut response = to_axum(error_response(&self.dispatch.next_id(), failure).into());
        set_connection_close(&mut response);
        // The accept loop counts and logs the end of the connection.
        response.extensions_mut().insert(ending_of(failure));
        response
    }

    /// Parses the target of a request, asks dispatch to accept the request and reads its body, unless its handler does
    /// that.
    async fn accept(
        &self,
        method: &Method,
        parts: &Parts,
        body: &mut Body,
    ) -> Result<(Target, Content, Accepted), Failure> {
        let path_and_query = parts
            .uri
            .path_and_query()
            .map_or("", |target| target.as_str());
        let target =
            Target::parse(path_and_query).map_err(|error| Failure::new(400, error.to_string()))?;
        let accepted = self
            .dispatch
            .accept_request(method, &target.path)
            .map_err(|refusal| refusal.failure())?;
        let arriving = (!body.is_end_stream())
            .then(|| self.dispatch.table_of_arriving(method, &target.path))
            .flatten();
        let content = match arriving {
            Some(table) => {
                let (upload, unread) = self.bodies.arriving(body, &parts.headers)?;
                Content::Arriving(table, upload, unread)
            }
            None => Content::Whole(self.bodies.read(body, &parts.headers).await?),
        };
        Ok((target, content, accepted))
    }
}

/// The body of a request that was accepted.
enum Content {
    /// The whole body.
    Whole(Bytes),
    /// A body that arrives while the request is answered, with the table by which it is.
    Arriving(Arc<Table>, Upload, Unread),
}

/// Returns the reason for which the connection of a refused request is closed.
fn ending_of(failure: &Failure) -> Ending {
    match failure.code {
        408 => Ending::BodyTimeout,
        413 => Ending::TooLarge,
        _ => Ending::Refused,
    }
}

/// Returns a method in upper case, as handlers see it through every door. The standard methods already are.
fn upper_case(method: &Method) -> Method {
    if !method
        .as_str()
        .bytes()
        .any(|byte| byte.is_ascii_lowercase())
    {
        return method.clone();
    }
    let upper = method.as_str().to_ascii_uppercase();
    Method::from_bytes(upper.as_bytes()).unwrap_or_else(|_| method.clone())
}

/// Converts a response for hyper, which sets `content-length` itself from the size hint of the body.
pub(super) fn to_axum(response: Response) -> AxumResponse {
    let body = match response.body {
        message::Body::Full(bytes) => Body::from(bytes),
        message::Body::Stream(pieces) => Body::new(StreamBody(pieces)),
    };
    let mut answer = AxumResponse::new(body);
    *answer.status_mut() = response.status;
    *answer.headers_mut() = response.headers;
    answer
}

fn frame_of(piece: Piece) -> Frame<Bytes> {
    match piece {
        Piece::Data(bytes) => Frame::data(bytes),
        Piece::Trailers(trailers) => Frame::trailers(trailers),
    }
}

/// The streaming body of a response, as a body for hyper.
struct StreamBody(Pieces);

impl HttpBody for StreamBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut TaskContext<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let piece = ready!(self.0.poll_next_unpin(context));
        // hyper closes the connection, because the client receives less than the head of the response announced. What a
        // handler breaks off (`ConnectionAborted`) was logged with its call.
        if let Some(Err(error)) = &piece
            && error.kind() != io::ErrorKind::ConnectionAborted
        {
            tracing::warn!("an answer broke off while it was sent: {error}");
        }
        Poll::Ready(piece.map(|piece| piece.map(frame_of)))
    }

    fn size_hint(&self) -> SizeHint {
        self.0
            .length()
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
