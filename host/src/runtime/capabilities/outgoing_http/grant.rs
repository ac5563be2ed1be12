//! What a call may use for one of its requests, and the order in which its requests take their places.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, oneshot};
use tokio_util::sync::CancellationToken;
use wasmtime_wasi_http::RequestOptions;

/// What a call may use for one request.
pub(super) struct Grant {
    /// The name of the handler, for the log.
    pub(super) handler: Arc<str>,
    /// The time at which the response must have been received.
    pub(super) end: Instant,
    /// The largest body of the request, and that of the response, in bytes.
    pub(super) bytes: usize,
    /// The turn among the requests of the call. `None` if the order does not matter.
    pub(super) turn: Option<Turn>,
    /// The places of the call's requests.
    pub(super) parallel: Arc<Semaphore>,
    /// Cancelled at the end of the call.
    pub(super) ended: CancellationToken,
    /// The times that the guest set, which can only shorten ours.
    pub(super) options: RequestOptions,
}

impl Grant {
    /// Returns the time at which a step ends that begins now and may take `ours`, or `theirs` if that is shorter.
    pub(super) fn until(&self, ours: Duration, theirs: Option<Duration>) -> Instant {
        let time = theirs.map_or(ours, |theirs| theirs.min(ours));
        let end = Instant::now().checked_add(time).unwrap_or(self.end);
        end.min(self.end)
    }
}

/// The turns of the requests of one call.
///
/// A response keeps its places until the guest has read it, and guests read responses in the order in which they sent
/// the requests. If a later request took the last place, the guest would wait for the earlier one, which would wait for
/// a place, and calls would block each other until their time is over.
#[derive(Default)]
pub(super) struct Turns(Option<oneshot::Receiver<()>>);

/// The turn of a request. It passes to the next request when this value is dropped.
pub(super) struct Turn {
    before: Option<oneshot::Receiver<()>>,
    _after: oneshot::Sender<()>,
}

impl Turns {
    /// Returns the turn of the next request.
    pub(super) fn next(&mut self) -> Turn {
        let (after, next) = oneshot::channel();
        Turn {
            before: self.0.replace(next),
            _after: after,
        }
    }
}

impl Turn {
    /// Waits until the requests before this one have their places or have ended.
    pub(super) async fn come(mut self) -> Self {
        if let Some(before) = self.before.take() {
            // The sender is dropped and never used.
            let _ = before.await;
        }
        self
    }
}
