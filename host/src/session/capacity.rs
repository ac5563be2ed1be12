//! How much may wait for a client: the checks before something is sent to it, and the waits for capacity.

use std::time::Duration;

use tokio::sync::MutexGuard;

use super::Session;
use crate::ending::Ending;
use crate::outbound::Held;

/// The time that broadcasts wait for one client that takes something, but not enough, before it is disconnected.
const MAX_BROADCAST_DELAY: Duration = Duration::from_secs(1);

impl Session {
    /// Counts a packet with `bytes` of payload that is handed over for sending.
    pub fn add_queued(&self, bytes: usize) {
        self.outbound().add_queued(bytes);
    }

    /// Undoes [`Session::add_queued`] for a packet that could not be handed over.
    pub fn remove_queued(&self, bytes: usize) {
        self.outbound().remove_queued(bytes);
    }

    /// Returns true if so much waits that the library's send buffer may be full.
    pub fn may_be_full(&self) -> bool {
        self.outbound().may_have(self.sessions.bounds.packets / 2)
    }

    /// Returns true if so many bytes wait that packets for this client alone have to wait.
    pub fn is_heavy(&self) -> bool {
        self.outbound().waiting() > self.sessions.bounds.bytes
    }

    /// Returns the most bytes that may wait for the client.
    pub fn most_bytes(&self) -> u64 {
        self.sessions.bounds.bytes
    }

    /// Counts an answer of `bytes` bytes that is in memory, and is not handed over yet.
    pub fn hold(&self, bytes: u64) -> Held {
        Held::reserved(&self.polls, bytes)
    }

    /// Waits until an answer of `bytes` bytes has place among what waits for the client, and counts it from then on as
    /// one that is expected. Answers get place one after the other. Returns none if the session was ended, or once
    /// `has_gone` returns true.
    pub async fn reserve(&self, bytes: u64, has_gone: impl Fn() -> bool) -> Option<Held> {
        let _reserving = self.reserving.lock().await;
        while !self.has_place(bytes) {
            if self.ending().is_some() || has_gone() {
                return None;
            }
            self.progress().await;
        }
        Some(Held::expected(&self.polls, bytes))
    }

    /// Returns true if an answer of `bytes` bytes has place. An answer that is larger than the bound has place alone.
    fn has_place(&self, bytes: u64) -> bool {
        let (reserved, most) = (self.polls.reserved(), self.sessions.bounds.bytes);
        let waiting = self.outbound().waiting();
        let fits = reserved.saturating_add(waiting).saturating_add(bytes) <= most;
        fits || (reserved == 0 && waiting <= most)
    }

    /// Returns the bytes of answers that are being made, or that wait for capacity.
    pub fn reserved(&self) -> u64 {
        self.polls.reserved()
    }

    /// Returns the bytes that the library has queued, estimated. While the client takes everything, nothing waits for
    /// longer than a moment, and the estimate would be worse than zero.
    pub fn queued(&self) -> u64 {
        let outbound = self.outbound();
        if outbound.stopped_for().is_zero() {
            return 0;
        }
        outbound.backlog()
    }

    /// Returns true if the client takes what it is sent, or did a moment ago.
    pub fn is_taking(&self) -> bool {
        self.outbound().is_taking()
    }

    /// Returns true if so many bytes wait that broadcasts have to wait. While the client takes what it is sent, twice
    /// the bound may wait, so that what the client itself asked for does not hold up broadcasts.
    pub fn is_heavy_for_others(&self) -> bool {
        let outbound = self.outbound();
        let most = self.sessions.bounds.bytes;
        let backlog = outbound.waiting();
        backlog > most && (backlog > most.saturating_mul(2) || !outbound.is_taking())
    }

    /// Waits until no other sender is blocked on this client. Senders that found no capacity proceed one after the
    /// other.
    pub async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Waits a moment for something to leave. Ends the session if the client has taken nothing for too long.
    pub async fn progress(&self) {
        let outbound = self.outbound();
        outbound.progress().await;
        if outbound.stopped_for() > self.sessions.bounds.stall {
            self.end_slow_reader(Ending::WriteStall);
        }
    }

    /// Waits a moment on behalf of a broadcast. Ends the session if the client takes nothing, or if broadcasts have
    /// waited for it for a second in total.
    pub async fn progress_or_end(&self) {
        let outbound = self.outbound();
        if !outbound.is_taking() || outbound.delay().await > MAX_BROADCAST_DELAY {
            self.end_slow_reader(Ending::SendBuffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::FutureExt;

    use super::*;
    use crate::session::tests::sessions;

    fn session() -> Arc<Session> {
        let (sessions, _closed) = sessions(1);
        let session = sessions.open([127, 0, 0, 1].into(), None);
        session.expect("it is the only one")
    }

    #[tokio::test]
    async fn i11_25_answers_get_place_within_the_bound_and_a_larger_one_alone() {
        let session = session();
        // The client polls, so that it is not ended.
        session.polls().resume();
        let first = session.reserve(60, || false).await.expect("there is place");
        assert!(session.reserve(60, || false).now_or_never().is_none());
        let second = session.reserve(40, || false).await.expect("it fits");
        assert!(session.reserve(500, || false).now_or_never().is_none());
        drop((first, second));
        let large = session.reserve(500, || false).await.expect("it is alone");
        assert!(session.reserve(1, || false).now_or_never().is_none());
        drop(large);
        assert_eq!(session.reserved(), 0);
    }

    #[tokio::test]
    async fn i11_25_who_waits_for_place_learns_that_the_client_has_gone() {
        let session = session();
        session.polls().resume();
        let _first = session
            .reserve(100, || false)
            .await
            .expect("there is place");
        assert!(session.reserve(60, || true).await.is_none());
        session.end(Ending::Flood);
        assert!(session.reserve(60, || false).await.is_none());
    }
}
