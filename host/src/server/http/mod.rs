//! Door: HTTP in, HTTP out.

pub(in crate::server) mod body;
pub(in crate::server) mod peer;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, ready};

use axum::body::{Body, HttpBody};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::response::Response as AxumResponse;
use bytes::Bytes;
use futures_util::StreamExt;
use hyper::body::{Frame, SizeHint};

use crate::config::{Config, Server};
use crate::dispatch::{Accepted, Dispatch, error_response};
use crate::message::{self, Door, Pieces, Request, Response, is_hop_by_hop};
use crate::path::Target;
use crate::payload::Failure;
use crate::server::http::body::Bodies;
use crate::server::http::peer::identify;
use crate::sockets::Context;

/// The door.
pub(in crate::server) struct HttpDoor {
    dispatch: Arc<Dispatch>,
    server: Server,
    bodies: Bodies,
}

impl HttpDoor {
    pub(in crate::server) fn new(dispatch: Arc<Dispatch>, bodies: Bodies, config: &Config) -> Self {
        Self {
            dispatch,
            server: config.server.clone(),
            bodies,
        }
    }

    /// Where requests go from here.
    pub(in crate::server) fn dispatch(&self) -> &Arc<Dispatch> {
        &self.dispatch
    }

    /// Answers a request that is not the socket.io library's.
    pub(in crate::server) async fn answer(&self, parts: Parts, mut body: Body) -> AxumResponse {
        let (target, whole, accepted) = match self.take(&parts, &mut body).await {
            Ok(taken) => taken,
            Err(failure) => return self.refuse(&parts.headers, body, &failure).await,
        };
        let (remote, headers) = identify(&self.server, parts.extensions.get(), parts.headers);
        let request = Request {
            id: self.dispatch.next_id(),
            door: Door::Http,
            method: upper_case(parts.method),
            target,
            headers: without_hop_by_hop(headers),
            body: whole,
            remote,
            socket: None,
            context: Context::default(),
        };
        let response = to_axum(self.dispatch.request(request, accepted).await);
        if self.dispatch.is_draining() {
            closing(response)
        } else {
            response
        }
    }

    /// Answers a request whose body may not have been read: the connection cannot be used for another.
    pub(in crate::server) async fn refuse(
        &self,
        headers: &HeaderMap,
        body: Body,
        failure: &Failure,
    ) -> AxumResponse {
        self.dispatch.answered(Door::Http, failure.code);
        self.bodies.discard(body, headers).await;
        closing(to_axum(
            error_response(&self.dispatch.next_id(), failure).into(),
        ))
    }

    /// Where a request goes, its body, and that it was accepted.
    async fn take(
        &self,
        parts: &Parts,
        body: &mut Body,
    ) -> Result<(Target, Bytes, Accepted), Failure> {
        let target = parts
            .uri
            .path_and_query()
            .map_or("", |target| target.as_str());
        let target = Target::parse(target).map_err(|error| Failure::new(400, error.to_string()))?;
        let accepted = self
            .dispatch
            .accept()
            .map_err(|refusal| refusal.failure())?;
        let body = self.bodies.read(body, &parts.headers).await?;
        Ok((target, body, accepted))
    }
}

/// Handlers see methods in upper case, through whichever door. The standard ones are so already.
fn upper_case(method: Method) -> Method {
    if !method
        .as_str()
        .bytes()
        .any(|byte| byte.is_ascii_lowercase())
    {
        return method;
    }
    let upper = method.as_str().to_ascii_uppercase();
    Method::from_bytes(upper.as_bytes()).unwrap_or(method)
}

/// Without what concerns one hop, headers named by `connection` among it (RFC 9110, 7.6.1), and without `proxy`, which would
/// become a variable's name in CGI-like guests.
fn without_hop_by_hop(mut headers: HeaderMap) -> HeaderMap {
    let named = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let named: Vec<HeaderName> = named
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    let known: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_hop_by_hop(name) || name.as_str() == "proxy")
        .cloned()
        .collect();
    for name in known.into_iter().chain(named) {
        headers.remove(name);
    }
    headers
}

/// A response as hyper sends it. It sets the length by itself, from what it is told of the body.
pub(in crate::server) fn to_axum(response: Response) -> AxumResponse {
    let body = match response.body {
        message::Body::Whole(bytes) => Body::from(bytes),
        message::Body::Stream(pieces) => Body::new(Sent(pieces)),
    };
    let mut answer = AxumResponse::new(body);
    *answer.status_mut() = response.status;
    *answer.headers_mut() = response.headers;
    answer
}

/// A stream on its way out.
struct Sent(Pieces);

impl HttpBody for Sent {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut TaskContext<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let piece = ready!(self.0.poll_next_unpin(context));
        // The client sees less than it was promised: its connection is closed.
        if let Some(Err(error)) = &piece {
            tracing::warn!("an answer broke off while it was sent: {error}");
        }
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        self.0
            .length()
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

fn closing(mut response: AxumResponse) -> AxumResponse {
    response
        .headers_mut()
        .insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
