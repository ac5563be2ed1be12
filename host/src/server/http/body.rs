//! Reads the bodies of requests within limits of size and time.
//!
//! A body above a limit becomes a failure with status 400, 408 or 413. The rest of a refused body is read and dropped.
//! Most bodies are read before their request is answered, and some are read by their handler while they arrive.

use std::io;
use std::mem;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout, timeout_at};

use super::headers::{content_length, without_hop_by_hop};
use crate::config::Server;
use crate::lock::lock;
use crate::message::{Piece, Pieces, Upload};
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
        loop {
            match self.piece(body, deadline).await? {
                None => return Ok(None),
                Some(Piece::Data(data)) => return Ok(Some(data)),
                Some(Piece::Trailers(_)) => {}
            }
        }
    }

    /// Reads the next piece of a body; none at its end.
    async fn piece(&self, body: &mut Body, deadline: Instant) -> Result<Option<Piece>, Failure> {
        let late = |idle: Duration| {
            Failure::new(
                408,
                format!("the body did not come in time (nothing for {idle:?}, or too slowly)"),
            )
        };
        let idle = self.idle;
        let frame = timeout_at(deadline, timeout(idle, body.frame())).await;
        let frame = match frame.map_err(|_| late(idle))?.map_err(|_| late(idle))? {
            None => return Ok(None),
            Some(frame) => frame,
        };
        let frame = frame
            .map_err(|error| Failure::new(400, format!("the body could not be read: {error}")))?;
        Ok(match frame.into_data() {
            Ok(data) => Some(Piece::Data(data)),
            // HTTP/1.1 has no other frames than data and trailers.
            Err(frame) => frame.into_trailers().ok().map(Piece::Trailers),
        })
    }

    /// Returns a body for a handler that reads it while it arrives, within the limits, and the place of the rest that
    /// the handler does not read. The failure is a 413 if the body is announced as too large.
    pub(in crate::server) fn arriving(
        &self,
        body: &mut Body,
        headers: &HeaderMap,
    ) -> Result<(Upload, Unread), Failure> {
        let length = content_length(headers);
        if length.is_some_and(|length| length > self.limit as u64) {
            return Err(self.too_large());
        }
        let (failure, unread) = (Arc::default(), Unread::default());
        let arriving = Arriving {
            reader: self.clone(),
            body: Some(mem::take(body)),
            deadline: Instant::now() + self.timeout,
            received: 0,
            failure: Arc::clone(&failure),
            unread: unread.clone(),
        };
        let pieces = stream::try_unfold(arriving, |mut arriving| async move {
            let piece = arriving.next().await?;
            Ok(piece.map(|piece| (piece, arriving)))
        });
        let pieces = Pieces::with_trailers(length, pieces);
        Ok((Upload { pieces, failure }, unread))
    }
}

/// The rest of a body that its handler has not read, once the handler has let go of it.
#[derive(Clone, Default)]
pub(in crate::server) struct Unread(Arc<Mutex<Option<Body>>>);

impl Unread {
    /// Takes the rest; none if there is none, or if the handler may still read it.
    pub(in crate::server) fn take(&self) -> Option<Body> {
        lock(&self.0).take()
    }
}

/// A body that a handler reads while it arrives.
struct Arriving {
    reader: BodyReader,
    /// `None` once the end was read.
    body: Option<Body>,
    deadline: Instant,
    /// Bytes that were received.
    received: usize,
    failure: Arc<OnceLock<Failure>>,
    unread: Unread,
}

impl Arriving {
    /// Reads the next piece; none at the end. A failure is noted, because the error that the handler gets has only its
    /// kind.
    async fn next(&mut self) -> io::Result<Option<Piece>> {
        let Some(body) = &mut self.body else {
            return Ok(None);
        };
        let piece = self.reader.piece(body, self.deadline).await;
        let limit = self.reader.limit;
        let checked = match piece {
            Ok(Some(Piece::Data(data))) if self.received + data.len() > limit => {
                Err(self.reader.too_large())
            }
            Ok(Some(Piece::Data(data))) => {
                self.received += data.len();
                Ok(Some(Piece::Data(data)))
            }
            Ok(Some(Piece::Trailers(trailers))) => {
                Ok(Some(Piece::Trailers(without_hop_by_hop(trailers))))
            }
            Ok(None) => {
                self.body = None;
                Ok(None)
            }
            Err(failure) => Err(failure),
        };
        checked.map_err(|failure| {
            let kind = error_kind(&failure);
            // The first failure is the cause of all others.
            let _ = self.failure.set(failure);
            kind.into()
        })
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        *lock(&self.unread.0) = self.body.take();
    }
}

/// Returns the kind of error that a handler gets in place of the rest of its request's body.
fn error_kind(failure: &Failure) -> io::ErrorKind {
    match failure.code {
        413 => io::ErrorKind::FileTooLarge,
        408 => io::ErrorKind::TimedOut,
        _ => io::ErrorKind::ConnectionAborted,
    }
}
