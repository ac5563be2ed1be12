//! Waiting for a fact under a deadline. Nothing here waits for time to pass.

use std::time::{Duration, Instant};

/// Long enough for anything that should happen at once, on a busy machine.
pub const SOON: Duration = Duration::from_secs(10);

/// The time between two looks at a fact.
const INTERVAL: Duration = Duration::from_millis(5);

/// Waits until `look` sees something, and gives it back.
///
/// # Panics
/// With `what` when nothing was seen by the deadline.
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

/// Waits until `fact` holds.
///
/// # Panics
/// With `what` when it did not by the deadline.
pub async fn until(what: &str, deadline: Duration, mut fact: impl AsyncFnMut() -> bool) {
    eventually(what, deadline, async || fact().await.then_some(())).await;
}

/// Waits for `work` to end.
///
/// # Panics
/// With `what` when it did not by the deadline.
pub async fn within<T>(what: &str, deadline: Duration, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(deadline, work).await {
        Ok(done) => done,
        Err(_) => panic!("not within {deadline:?}: {what}"),
    }
}
