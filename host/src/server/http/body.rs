//! Reads bodies of requests within their limits of size and time.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout, timeout_at};

use crate::config::Server;
use crate::payload::Failure;
use crate::session::Sessions;

/// How long a refused client may go on sending.
const LINGER: Duration = Duration::from_secs(2);

/// How bodies are read.
#[derive(Clone)]
pub(in crate::server) struct Bodies {
    limit: usize,
    whole: Duration,
    idle: Duration,
    sessions: Arc<Sessions>,
}

impl Bodies {
    /// Bodies of at most `limit` bytes.
    pub(in crate::server) fn new(limit: usize, server: &Server, sessions: Arc<Sessions>) -> Self {
        Self {
            limit,
            whole: server.body_timeout,
            idle: server.body_idle,
            sessions,
        }
    }

    /// The whole body; 413, 408 or 400 when it is too large, late or broken.
    pub(in crate::server) async fn read(
        &self,
        body: &mut Body,
        headers: &HeaderMap,
    ) -> Result<Bytes, Failure> {
        if body.is_end_stream() {
            return Ok(Bytes::new());
        }
        let length = headers
            .get(header::CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok());
        let length = length.and_then(|length| length.parse::<u64>().ok());
        if length.is_some_and(|length| length > self.limit as u64) {
            return Err(self.too_large());
        }
        let until = Instant::now() + self.whole;
        let Some(first) = self.frame(body, until).await? else {
            return Ok(Bytes::new());
        };
        let mut whole = BytesMut::new();
        let mut next = Some(first);
        while let Some(data) = next {
            if whole.len() + data.len() > self.limit {
                return Err(self.too_large());
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

    fn too_large(&self) -> Failure {
        let limit = self.limit;
        if let Some(total) = self.sessions.metrics().too_large.count() {
            tracing::warn!(
                "a body of more than {limit} bytes was refused (server.body-limit); {total} bodies and packets so far"
            );
        }
        Failure::new(413, format!("the body is larger than {limit} bytes"))
    }

    /// Reads what a refused client goes on sending, within bounds: many look for the answer only when they have sent everything,
    /// and would see a broken connection instead. One that waits to be told (`expect`) sends nothing.
    pub(in crate::server) async fn discard(&self, mut body: Body, headers: &HeaderMap) {
        if headers.contains_key(header::EXPECT) {
            return;
        }
        let mut left = self.limit.saturating_mul(4);
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
        let idle = self.idle;
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
