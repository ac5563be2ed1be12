//! The async runtimes on which commands run.

use std::time::Duration;

use anyhow::Context;
use tokio::runtime::{Builder, Runtime};

/// The threads of an async runtime.
#[derive(Clone, Copy)]
pub(super) enum Threads {
    /// The thread that calls `block_on`, alone.
    Current,
    /// A pool with a thread for each processor.
    Pool,
}

/// Creates an async runtime with timers and sockets.
///
/// # Errors
/// The system refuses a thread or a file descriptor.
pub(super) fn runtime(threads: Threads) -> anyhow::Result<Runtime> {
    let mut builder = match threads {
        Threads::Current => Builder::new_current_thread(),
        Threads::Pool => Builder::new_multi_thread(),
    };
    builder
        .enable_all()
        .build()
        .context("the async runtime cannot be set up")
}

/// Longest time that the end of a command waits for blocking calls that it left behind.
const BLOCKING_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs a future to its end on this thread. Blocking calls that it left behind have a limited time to end.
///
/// # Errors
/// The async runtime cannot be created, or the future fails.
pub(super) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = runtime(Threads::Current)?;
    let result = runtime.block_on(work);
    runtime.shutdown_timeout(BLOCKING_TIMEOUT);
    result
}
