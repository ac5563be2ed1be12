//! A handler with what its file keeps from one generation to the next.

use std::ops::Deref;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::answer_sizes::AnswerSizes;
use super::calls::Calls;
use crate::runtime::Handler;

/// A handler that is served, or waits to be.
pub struct Served {
    handler: Handler,
    /// The number of versions of the file that have been served, this one included.
    pub generation: u64,
    /// Permits for its calls; all generations of the file share them.
    pub permits: Arc<Semaphore>,
    /// The counts of its calls; all generations of the file share them.
    pub calls: Arc<Calls>,
    /// The sizes of the answers of its routes.
    pub route_answers: AnswerSizes,
    /// The sizes of the answers of its policies.
    pub policy_answers: AnswerSizes,
    /// Cancelled once the handler is not served any more.
    retired: CancellationToken,
}

impl Deref for Served {
    type Target = Handler;

    fn deref(&self) -> &Handler {
        &self.handler
    }
}

impl AsRef<Served> for Served {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl Served {
    pub(super) fn new(
        handler: Handler,
        generation: u64,
        permits: Arc<Semaphore>,
        calls: Arc<Calls>,
    ) -> Self {
        let declarations = &handler.declarations;
        Self {
            route_answers: AnswerSizes::of(declarations.routes.len()),
            policy_answers: AnswerSizes::of(declarations.policies.len()),
            handler,
            generation,
            permits,
            calls,
            retired: CancellationToken::new(),
        }
    }

    /// Notes that the handler is not served any more.
    pub(super) fn retire(&self) {
        self.retired.cancel();
        self.handler.retire();
    }

    /// Returns when the handler is not served any more.
    pub async fn retired(&self) {
        self.retired.cancelled().await;
    }

    /// Returns how many of its calls that came from a door run now.
    pub fn running(&self) -> usize {
        let free = self.permits.available_permits();
        self.settings.parallel_calls().saturating_sub(free)
    }
}
