//! Reads the bodies of requests within limits of size and time.
//!
//! A body above a limit becomes a failure with status 400, 408 or 413. The rest of a refused body is read and dropped.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout, timeout_at};

use super::headers::content_length;
use crate::config::Server;
use crate::payload::Failure;
use crate::session::Sessions;

/// Longest time that the body of a refused request is read and dropped.
const LINGER: Duration = Duration::from_secs(2);

/// Reads bodies of requests into memory, within its limits.
#[derive(Clone)]
pub(in crate::server) struct BodyReader {
    /// Largest body, in bytes.
    limit: usize,
    /// Longest time from the first byte to the last.
    timeout: Duration,
    /// Longest time between two pieces.
    idle: Duration,
    sessions: Arc<Sessions>,
}

impl BodyReader {
    /// Creates a reader of bodies of at most `limit` bytes, with the timeouts of the section `[server]`.
    pub(in crate::server) fn new(limit: usize, server: &Server, sessions: Arc<Sessions>) -> Self {
        Self {
            limit,
            timeout: server.body_timeout,
            idle: server.body_idle,
            sessions,
        }
    }

    /// Reads a body to its end. The failure is a 413 if the body is too large, a 408 if it is late, a 400 if it
    /// is broken.
    pub(in crate::server) async fn read(
        &self,
        body: &mut Body,
        headers: &HeaderMap,
    ) -> Result<Bytes, Failure> {
        if body.is_end_stream() {
            return Ok(Bytes::new());
        }
        let length = content_length(headers);
        if length.is_some_and(|length| length > self.limit as u64) {
            return Err(self.too_large());
        }
        let deadline = Instant::now() + self.timeout;
        let Some(first) = self.frame(body, deadline).await? else {
            return Ok(Bytes::new());
        };
        let mut received = BytesMut::new();
        let mut next = Some(first);
        while let Some(data) = next {
            if received.len() + data.len() > self.limit {
                return Err(self.too_large());
            }
            // A body that arrives in one piece is not copied.
            let is_complete = length == Some(data.len() as u64);
            if is_complete && received.is_empty() {
                return Ok(data);
            }
            received.extend_from_slice(&data);
            next = self.frame(body, deadline).await?;
        }
        Ok(received.freeze())
    }

    /// Counts and logs a body above the limit, and returns the failure.
    fn too_large(&self) -> Failure {
        let limit = self.limit;
        if let Some(total) = self.sessions.metrics().too_large.count() {
            tracing::warn!(
                "a body of more than {limit} bytes was refused (server.body-limit); {total} bodies and packets so far"
            );
        }
        Failure::new(413, format!("the body is larger than {limit} bytes"))
    }

    /// Reads and drops the body of a refused request: at most four times the limit, for at most two seconds.
    ///
    /// Many clients read the response only after they have sent the body, and would see a broken connection instead.
    /// A client that sent `expect` waits for the response and sends no body.
    pub(in crate::server) async fn discard(&self, mut body: Body, headers: &HeaderMap) {
        if headers.contains_key(header::EXPECT) {
            return;
        }
        let mut left = self.limit.saturating_mul(4);
        let deadline = Instant::now() + LINGER;
        while let Ok(Some(data)) = self.frame(&mut body, deadline).await {
            if data.len() >= left {
                return;
            }
            left -= data.len();
        }
    }

    /// Reads the next piece of a body; none at its end. Trailers are skipped.
    async fn frame(&self, body: &mut Body, deadline: Instant) -> Result<Option<Bytes>, Failure> {
        let late = |idle: Duration| {
            Failure::new(
                408,
                format!("the body did not come in time (nothing for {idle:?}, or too slowly)"),
            )
        };
        let idle = self.idle;
        loop {
            let frame = timeout_at(deadline, timeout(idle, body.frame())).await;
            match frame.map_err(|_| late(idle))?.map_err(|_| late(idle))? {
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
