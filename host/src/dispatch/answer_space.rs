//! The place of an answer among what waits to be sent to its client.
//!
//! A client may ask faster than it reads. Its requests therefore wait for place before they are answered, so that the
//! memory of their answers does not grow with their number.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::outbound::Held;
use crate::payload::Failure;
use crate::registry::AnswerSizes;
use crate::sockets::Connection;

/// Bytes that an answer has at least, with all that belongs to a call.
const MIN_ANSWER: u64 = 16 << 10;
/// Largest share of the bound of a client that an answer of unknown size takes.
const UNKNOWN_SHARE: u64 = 8;
/// Share of the bound of a client that a small answer takes at most.
const MIN_SHARE: u64 = 64;
/// The longest wait for the place of an answer of unknown size. It is above the time of most calls, so that the size is
/// known as a rule once it is over.
const UNKNOWN_WAIT: Duration = Duration::from_millis(50);

/// The client has gone while its request waited, so that nobody gets the answer.
#[derive(Debug)]
pub(super) struct ClientGone;

impl ClientGone {
    /// Returns the failure that is counted in place of the answer.
    pub(super) fn failure(&self) -> Failure {
        Failure::new(503, "the client has gone")
    }
}

/// The place of one answer.
pub struct AnswerSpace {
    connection: Arc<Connection>,
    held: Option<Held>,
}

impl AnswerSpace {
    /// Makes the place of an answer to a request of `connection`. It has no bytes yet.
    pub fn new(connection: &Arc<Connection>) -> Self {
        Self {
            connection: Arc::clone(connection),
            held: None,
        }
    }

    /// Waits until the client has place for the answer of a route or a policy before it is called. A request whose
    /// client goes meanwhile is run nevertheless, because it may change something.
    ///
    /// How large the answer will be is not known. It counts as the largest one so far of that route or policy.
    pub(super) async fn expect_answer(&mut self, sizes: &AnswerSizes, index: u32, limit: usize) {
        let most = self.connection.session.most_bytes();
        // All requests that run at the same time have place for small answers, however small the bound is.
        let least = MIN_ANSWER.min(most / MIN_SHARE);
        let known = || sizes.largest(index).map(|bytes| bytes.max(least));
        if let Some(bytes) = known() {
            let _ = self.wait_for(bytes).await;
            return;
        }
        let guess = self.wait_for((limit as u64).min(most / UNKNOWN_SHARE).max(least));
        // A slow route must not run a few calls at a time only because it has not answered yet.
        if timeout(UNKNOWN_WAIT, guess).await.is_ok() {
            return;
        }
        let bytes = known().unwrap_or(least);
        if bytes > least || self.connection.session.is_heavy() {
            let _ = self.wait_for(bytes).await;
        } else {
            self.hold(least);
        }
    }

    /// Waits until the client has place for `bytes` bytes. Fails if the client goes.
    pub(super) async fn wait_for(&mut self, bytes: u64) -> Result<(), ClientGone> {
        self.held = None;
        let connection = &self.connection;
        let has_gone = || connection.has_ended();
        self.held = connection.session.reserve(bytes, has_gone).await;
        self.held.as_ref().map(|_| ()).ok_or(ClientGone)
    }

    /// Counts an answer of `bytes` bytes that is in memory, or that is collected from now on.
    pub(super) fn hold(&mut self, bytes: u64) {
        match &mut self.held {
            Some(held) => held.become_reserved(bytes),
            None => self.held = Some(self.connection.session.hold(bytes)),
        }
    }
}
