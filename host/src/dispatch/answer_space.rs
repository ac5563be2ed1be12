//! The place of an answer among what waits to be sent to its client.
//!
//! A client may ask faster than it reads. Its requests therefore wait for place before they are answered, so that the
//! memory of their answers does not grow with their number.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::outbound::Held;
use crate::payload::Failure;
use crate::registry::Served;
use crate::sockets::Connection;

/// Bytes that an answer has at least, with all that belongs to a call.
const MIN_ANSWER: u64 = 16 << 10;
/// Largest share of the bound of a client that an answer of unknown size takes.
const UNKNOWN_SHARE: u64 = 8;
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

    /// Waits until the client has place for an answer of a route, before the route is called. Fails if the client goes.
    ///
    /// How large the answer will be is not known. It counts as the largest answer of its route so far.
    pub(super) async fn expect_answer(
        &mut self,
        handler: &Served,
        route: u32,
        limit: usize,
    ) -> Result<(), ClientGone> {
        let limit = limit as u64;
        let known = || {
            handler
                .largest_answer(route)
                .map(|bytes| bytes.max(MIN_ANSWER))
        };
        if let Some(bytes) = known() {
            return self.wait_for(bytes).await;
        }
        let share = self.connection.session.most_bytes() / UNKNOWN_SHARE;
        let guess = self.wait_for(limit.min(share).max(MIN_ANSWER));
        // A slow route must not run a few calls at a time only because it has not answered yet.
        if let Ok(made) = timeout(UNKNOWN_WAIT, guess).await {
            return made;
        }
        let session = &self.connection.session;
        match known() {
            Some(bytes) => self.wait_for(bytes).await,
            None if session.is_heavy() => self.wait_for(MIN_ANSWER).await,
            None => {
                self.hold(MIN_ANSWER);
                Ok(())
            }
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

    /// Counts an answer of `bytes` bytes that is in memory already.
    pub(super) fn hold(&mut self, bytes: u64) {
        match &mut self.held {
            Some(held) => held.resize(bytes),
            None => self.held = Some(self.connection.session.hold(bytes)),
        }
    }
}
