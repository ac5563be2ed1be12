//! Door: HTTP in, HTTP out.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response as AxumResponse;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout, timeout_at};

use super::peer::identify;
use crate::config::{Config, Server};
use crate::dispatch::{Accepted, Dispatch, error_response};
use crate::message::{Door, Request, Response, is_hop_by_hop};
use crate::path::Target;
use crate::payload::Failure;
use crate::sockets::Context;

/// How long a refused client may go on sending.
const LINGER: Duration = Duration::from_secs(2);

/// The door.
pub(super) struct HttpDoor {
    dispatch: Arc<Dispatch>,
    server: Server,
}

impl HttpDoor {
    pub(super) fn new(dispatch: Arc<Dispatch>, config: &Config) -> Self {
        Self {
            dispatch,
            server: config.server.clone(),
        }
    }

    /// Answers a request that is not the socket.io library's.
    pub(super) async fn answer(&self, parts: Parts, mut body: Body) -> AxumResponse {
        let (target, whole, accepted) = match self.take(&parts, &mut body).await {
            Ok(taken) => taken,
            Err(failure) => return self.refuse(&parts.headers, body, &failure).await,
        };
        let (remote, headers) = identify(&self.server, parts.extensions.get(), parts.headers);
        let request = Request {
            id: self.dispatch.next_id(),
            door: Door::Http,
            method: parts.method,
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
    pub(super) async fn refuse(
        &self,
        headers: &HeaderMap,
        body: Body,
        failure: &Failure,
    ) -> AxumResponse {
        self.discard(body, headers).await;
        closing(to_axum(error_response(&self.dispatch.next_id(), failure)))
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
        let body = self.read(body, &parts.headers).await?;
        Ok((target, body, accepted))
    }

    /// The whole body, within its limits of size and time.
    async fn read(&self, body: &mut Body, headers: &HeaderMap) -> Result<Bytes, Failure> {
        if body.is_end_stream() {
            return Ok(Bytes::new());
        }
        let limit = self.server.body_limit;
        let too_large = || Failure::new(413, format!("the body is larger than {limit} bytes"));
        let length = headers
            .get(header::CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok());
        let length = length.and_then(|length| length.parse::<u64>().ok());
        if length.is_some_and(|length| length > limit as u64) {
            return Err(too_large());
        }
        let until = Instant::now() + self.server.body_timeout;
        let Some(first) = self.frame(body, until).await? else {
            return Ok(Bytes::new());
        };
        let mut whole = BytesMut::new();
        let mut next = Some(first);
        while let Some(data) = next {
            if whole.len() + data.len() > limit {
                return Err(too_large());
            }
            let complete = length == Some(data.len() as u64);
            if complete && whole.is_empty() {
                return Ok(data);
            }
            whole.extend_from_slice(&data);
            next = self.frame(body, until).await?;
        }
        Ok(whole.freeze())
    }

    /// Reads what a refused client goes on sending, within bounds: many look for the answer only when they have sent everything,
    /// and would see a broken connection instead. One that waits to be told (`expect`) sends nothing.
    async fn discard(&self, mut body: Body, headers: &HeaderMap) {
        if headers.contains_key(header::EXPECT) {
            return;
        }
        let mut left = self.server.body_limit.saturating_mul(4);
        let until = Instant::now() + LINGER;
        while let Ok(Some(data)) = self.frame(&mut body, until).await {
            if data.len() >= left {
                return;
            }
            left -= data.len();
        }
    }

    /// The next piece of a body. Trailers are passed over.
    async fn frame(&self, body: &mut Body, until: Instant) -> Result<Option<Bytes>, Failure> {
        let late = |idle: Duration| {
            Failure::new(
                408,
                format!("the body did not come in time (nothing for {idle:?}, or too slowly)"),
            )
        };
        let idle = self.server.body_idle;
        loop {
            let frame = timeout_at(until, timeout(idle, body.frame())).await;
            let frame = frame.map_err(|_| late(idle))?.map_err(|_| late(idle))?;
            match frame {
                None => return Ok(None),
                Some(Err(error)) => {
                    return Err(Failure::new(
                        400,
                        format!("the body could not be read: {error}"),
                    ));
                }
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }
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

/// A response as hyper sends it. It sets the length by itself.
fn to_axum(response: Response) -> AxumResponse {
    let mut answer = AxumResponse::new(Body::from(response.body));
    *answer.status_mut() = response.status;
    *answer.headers_mut() = response.headers;
    answer
}

fn closing(mut response: AxumResponse) -> AxumResponse {
    response
        .headers_mut()
        .insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
