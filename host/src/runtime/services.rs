//! What guests reach beyond their own call: the way out, and back into the pipeline.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::limits::MemoryBudget;
use crate::emitter::Emitter;
use crate::message::{Request, Response};

/// Runs a request through the pipeline on behalf of a guest. The one place where a call climbs.
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

/// Shared by all calls.
pub(super) struct Services {
    pub(super) sizes: MessageSizes,
    pub(super) emitter: Emitter,
    pub(super) budget: Arc<MemoryBudget>,
    /// Given once, when the floors above exist.
    pub(super) dispatcher: OnceLock<Arc<dyn Dispatcher>>,
}
