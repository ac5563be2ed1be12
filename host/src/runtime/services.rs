//! Services that all calls of all handlers share: the backends of capabilities, the dispatcher of requests, the ticker
//! and the budget of memory.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::Extensions;
use tokio::sync::Semaphore;

use super::engine::Ticker;
use super::instance::limits::MemoryBudget;
use crate::message::{Request, Response};

/// Answers requests of guests with the routes of this server.
///
/// `dispatch` implements this trait. It is the only way in which the runtime calls the modules above it.
pub trait Dispatcher: Send + Sync {
    /// Answers `request` within `remaining`. `depth` counts the nested dispatches, this one included; a request of a
    /// client has depth 0.
    fn dispatch(
        &self,
        request: Request,
        depth: u32,
        remaining: Duration,
    ) -> BoxFuture<'_, Response<Bytes>>;
}

/// The largest messages that the server passes on, in bytes. Both are settings of the server, not of a handler.
#[derive(Clone, Copy, Debug)]
pub struct MessageSizes {
    /// The payload of one emit (`server.body-limit`).
    pub payload: usize,
    /// The body of a response, or an ack (`server.answer-limit`).
    pub answer: usize,
}

impl MessageSizes {
    /// Returns the size of the largest message that is passed on.
    pub(super) fn largest(self) -> usize {
        self.answer.max(self.payload)
    }
}

/// The services that all calls share.
pub(super) struct Services {
    pub(super) sizes: MessageSizes,
    pub(super) budget: Arc<MemoryBudget>,
    pub(super) ticker: Ticker,
    /// The permit for a call of `describe`. Files are checked side by side in one task, and the calls would take the
    /// time of each other's limits.
    pub(super) describing: Semaphore,
    /// Empty until the server has started.
    pub(super) dispatcher: OnceLock<Arc<dyn Dispatcher>>,
    /// The backends of capabilities, by type.
    pub(super) backends: Extensions,
}
