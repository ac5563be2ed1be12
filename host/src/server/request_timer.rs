//! The time that a client may let pass before it has sent the head of a request.
//!
//! hyper (1.x) has a single limit, which runs from the end of the exchange before. Proxies keep idle connections for a
//! minute and more, but a head that has begun should be complete within seconds. There are two limits here, therefore.

use std::pin::Pin;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::counted_body::CountedBody;
use crate::ending::Ending;
use crate::outbound::Outbound;

/// The part of an exchange that a connection is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Progress {
    /// The head of a request has begun, or the connection is new.
    Head,
    /// A request is being answered.
    Exchange,
    /// The last response is complete, and no byte of another request has come.
    Idle,
    /// The connection is no longer one of HTTP.
    Upgraded,
}

/// The phase of a connection, which its stream and the responses on it share.
///
/// All uses are on the connection's task or follow from what that task spawned, and no other memory is published with
/// the values. `Relaxed` is enough.
#[derive(Debug)]
pub(super) struct ConnectionPhase {
    phase: AtomicU8,
    /// The zero of `idle_since`.
    start: Instant,
    /// Milliseconds after the start at which the connection last became idle.
    idle_since: AtomicU64,
    /// The reason for which the server closes the connection after a response.
    announced: OnceLock<Ending>,
}

impl ConnectionPhase {
    /// Makes the phase of a new connection, whose client has to send a head.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            phase: AtomicU8::new(Progress::Head as u8),
            start: Instant::now(),
            idle_since: AtomicU64::new(0),
            announced: OnceLock::new(),
        })
    }

    /// Notes that a head is complete.
    pub(super) fn begin(&self) {
        self.phase
            .store(Progress::Exchange as u8, Ordering::Relaxed);
    }

    /// Notes that a response is complete, or never will be. An upgraded connection stays upgraded.
    fn end(&self) {
        let idle_since = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.idle_since.store(idle_since, Ordering::Relaxed);
        self.change(Progress::Exchange, Progress::Idle);
    }

    /// Returns true while a request is answered, which includes the time in which its response is sent.
    pub(super) fn is_answering(&self) -> bool {
        self.phase() == Progress::Exchange
    }

    /// Notes the reason for which the server closes the connection after the response.
    pub(super) fn announce(&self, ending: Ending) {
        // Only the first one counts, after which the connection is closed.
        let _ = self.announced.set(ending);
    }

    /// Returns the reason for which the server closes the connection after a response, if it does.
    pub(super) fn announced(&self) -> Option<Ending> {
        self.announced.get().copied()
    }

    /// Notes that the connection leaves HTTP. It stays so.
    pub(super) fn upgrade(&self) {
        self.phase
            .store(Progress::Upgraded as u8, Ordering::Relaxed);
    }

    fn phase(&self) -> Progress {
        [
            Progress::Head,
            Progress::Exchange,
            Progress::Idle,
            Progress::Upgraded,
        ][usize::from(self.phase.load(Ordering::Relaxed))]
    }

    fn idle_since(&self) -> Instant {
        self.start + Duration::from_millis(self.idle_since.load(Ordering::Relaxed))
    }

    /// Replaces a phase by another if it is the current one, and returns true if it was.
    fn change(&self, from: Progress, to: Progress) -> bool {
        let (from, to) = (from as u8, to as u8);
        self.phase
            .compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }
}

/// The limits on how long a client sends no request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Longest time for a head to arrive, from its first byte, or from the start of a new connection.
    pub(super) head: Duration,
    /// Longest time between a response and the first byte of the next request.
    pub(super) idle: Duration,
}

/// Measures how long a connection has waited for a request of its client.
pub(super) struct RequestTimer {
    connection: Arc<ConnectionPhase>,
    limits: Limits,
    /// True once the client has sent anything.
    has_begun: bool,
    /// The time at which the head began that is on its way.
    head_since: Option<Instant>,
    /// May fire before a limit is reached, and is set anew then. hyper does not read again when an exchange ends, so
    /// the timer also runs while a request is answered.
    timer: Option<Pin<Box<Sleep>>>,
}

impl RequestTimer {
    pub(super) fn new(connection: Arc<ConnectionPhase>, limits: Limits) -> Self {
        Self {
            connection,
            limits,
            has_begun: false,
            head_since: None,
            timer: None,
        }
    }

    /// Notes that bytes were received.
    pub(super) fn received(&mut self) {
        self.has_begun = true;
        if self.connection.change(Progress::Idle, Progress::Head) {
            self.head_since = None;
        }
    }

    /// Is ready, with the reason, once the client has sent no request for longer than its limit. It is called when
    /// there is nothing to read.
    pub(super) fn poll_expired(&mut self, context: &mut Context<'_>) -> Poll<Ending> {
        loop {
            let now = Instant::now();
            let phase = self.connection.phase();
            let deadline = match phase {
                Progress::Head => *self.head_since.get_or_insert(now) + self.limits.head,
                Progress::Idle => self.connection.idle_since() + self.limits.idle,
                Progress::Exchange => now + self.limits.idle,
                Progress::Upgraded => {
                    self.timer = None;
                    return Poll::Pending;
                }
            };
            if now >= deadline {
                return Poll::Ready(match phase {
                    // Browsers open connections that they may never use.
                    Progress::Head if self.has_begun => Ending::HeadTimeout,
                    _ => Ending::IdleTimeout,
                });
            }
            let timer = self
                .timer
                .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
            if timer.deadline() > deadline || timer.is_elapsed() {
                timer.as_mut().reset(deadline);
            }
            ready!(timer.as_mut().poll(context));
        }
    }
}

/// The body of a response, which ends its exchange when it is dropped: it has been sent, or it never will be.
pub(super) struct ResponseBody {
    body: CountedBody,
    connection: Arc<ConnectionPhase>,
}

impl ResponseBody {
    /// Wraps the body of a response. Its pieces are counted in `outbound` until they are written.
    pub(super) fn new(
        body: Body,
        connection: Arc<ConnectionPhase>,
        outbound: Arc<Outbound>,
    ) -> Self {
        Self {
            body: CountedBody::new(body, outbound),
            connection,
        }
    }
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        self.connection.end();
    }
}
