//! The probe of a polling client that moves its session to a websocket.

use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::Notify;

/// The state of a session's move from polling to a websocket.
#[derive(Debug, Default)]
pub struct Probe {
    state: AtomicU8,
    answered: Notify,
}

/// No websocket probes.
const NONE: u8 = 0;
/// A websocket is connected and has not been answered.
const CONNECTED: u8 = 1;
/// The probe of a websocket has been answered: the client ends its polling.
const ANSWERED: u8 = 2;

impl Probe {
    /// Begins a probe. Returns false while another websocket of the session probes.
    pub fn begin(&self) -> bool {
        let begun =
            self.state
                .compare_exchange(NONE, CONNECTED, Ordering::AcqRel, Ordering::Acquire);
        begun.is_ok()
    }

    /// Notes that the probe was answered. Polls have to end from now on, because the client waits for its last poll
    /// before it ends the upgrade.
    pub fn answer(&self) {
        self.state.store(ANSWERED, Ordering::Release);
        self.answered.notify_waiters();
    }

    /// Ends a probe, whether the session has moved or goes on polling.
    pub fn end(&self) {
        self.state.store(NONE, Ordering::Release);
    }

    /// Waits until a probe has been answered.
    pub async fn answered(&self) {
        loop {
            // `notified` sees every call of `notify_waiters` from here on, so that none is missed.
            let notified = self.answered.notified();
            if self.state.load(Ordering::Acquire) == ANSWERED {
                return;
            }
            notified.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_websocket_probes_at_a_time_and_polls_end_once_it_is_answered() {
        let probe = Probe::default();
        assert!(probe.begin() && !probe.begin());
        tokio::join!(probe.answered(), async { probe.answer() });
        probe.end();
        assert!(probe.begin());
    }
}
