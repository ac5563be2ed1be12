//! Functions that wait for a fact, each with a deadline. Tests call these and never sleep for a fixed time.

use std::time::{Duration, Instant};

/// Deadline for something that should happen at once. It is long enough for a busy machine.
pub const SOON: Duration = Duration::from_secs(10);

/// The pause between two checks of a fact.
const INTERVAL: Duration = Duration::from_millis(5);

/// Calls `look` repeatedly until it returns a value, and returns that value.
///
/// # Panics
/// Panics with `what` if `look` has not returned a value by the deadline.
pub async fn eventually<T>(
    what: &str,
    deadline: Duration,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> T {
    let start = Instant::now();
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(
            start.elapsed() < deadline,
            "not within {deadline:?}: {what}"
        );
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Calls `fact` repeatedly until it returns true.
///
/// # Panics
/// Panics with `what` if `fact` has not returned true by the deadline.
pub async fn until(what: &str, deadline: Duration, mut fact: impl AsyncFnMut() -> bool) {
    eventually(what, deadline, async || fact().await.then_some(())).await;
}

/// Waits for `work` and returns its result.
///
/// # Panics
/// Panics with `what` if `work` has not ended by the deadline.
pub async fn within<T>(what: &str, deadline: Duration, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(deadline, work).await {
        Ok(done) => done,
        Err(_) => panic!("not within {deadline:?}: {what}"),
    }
}
