//! The services that all calls share: the way back into the pipeline, the clock, the memory of all guests, and the
//! backends of capabilities.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::Extensions;

use super::engine::Ticker;
use super::instance::limits::MemoryBudget;
use crate::message::{Request, Response};

/// Runs a request through the pipeline on behalf of a guest. This is the one place where a call goes to a higher folder.
pub trait Dispatcher: Send + Sync {
    /// Answers `request`, which is `depth` dispatches deep and has `remaining` time.
    fn dispatch(
        &self,
        request: Request,
        depth: u32,
        remaining: Duration,
    ) -> BoxFuture<'_, Response<Bytes>>;
}

/// The largest messages that go through the server, in bytes. Both are settings of the whole server.
#[derive(Clone, Copy, Debug)]
pub struct MessageSizes {
    /// The payload of one emit (`server.body-limit`).
    pub payload: usize,
    /// The body of a response, or an ack (`server.answer-limit`).
    pub answer: usize,
}

/// The services that all calls share.
pub(super) struct Services {
    pub(super) sizes: MessageSizes,
    pub(super) budget: Arc<MemoryBudget>,
    pub(super) ticker: Ticker,
    /// Set once, when dispatch exists.
    pub(super) dispatcher: OnceLock<Arc<dyn Dispatcher>>,
    /// The backends of single capabilities, by type.
    pub(super) backends: Extensions,
}
