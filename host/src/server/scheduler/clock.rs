//! The clock by which schedules run.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A clock that tells the time of day, and a timer. The clock may go back or jump, as clocks of machines do.
pub(super) trait Clock: Send + Sync + 'static {
    /// Returns the time in milliseconds since the Unix epoch.
    fn now(&self) -> u64;

    /// Returns after a time.
    fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send;
}

/// The clock of the machine.
pub(super) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> u64 {
        // A clock before the epoch is wrong in any case.
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
    }

    fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send {
        tokio::time::sleep(time)
    }
}
