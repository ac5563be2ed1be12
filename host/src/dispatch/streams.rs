//! The answers that are streamed by their handlers: how many there are, and what ends them besides their clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::registry::Served;

/// The answers that are streamed, and what ends them.
pub(super) struct Streams {
    running: Arc<AtomicUsize>,
    /// Cancelled when the server has waited long enough for them.
    ended: CancellationToken,
    /// How long an answer may go on once its handler was replaced or removed.
    grace: Duration,
}

impl Streams {
    pub(super) fn new(grace: Duration) -> Self {
        Self {
            running: Arc::default(),
            ended: CancellationToken::new(),
            grace,
        }
    }

    /// Returns how many answers are streamed now.
    pub(super) fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }

    /// Ends all of them.
    pub(super) fn end(&self) {
        self.ended.cancel();
    }

    /// Counts an answer that is streamed until the result is dropped.
    pub(super) fn count(&self) -> StreamGuard {
        self.running.fetch_add(1, Ordering::Relaxed);
        StreamGuard(Arc::clone(&self.running))
    }

    /// Returns a future that ends when an answer of `handler` has to end, with the reason.
    pub(super) fn end_of(
        &self,
        handler: Arc<Served>,
    ) -> impl Future<Output = &'static str> + Send + use<> {
        let (ended, grace) = (self.ended.clone(), self.grace);
        async move {
            let replaced = async {
                handler.retired().await;
                tokio::time::sleep(grace).await;
            };
            tokio::select! {
                () = ended.cancelled() => "the server shuts down",
                () = replaced => "its handler was replaced or removed",
            }
        }
    }
}

/// Counts an answer among those that are streamed until it is dropped.
pub(super) struct StreamGuard(Arc<AtomicUsize>);

impl Drop for StreamGuard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
