//! The ids of calls, as they stand in answers, headers and the log.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::message::CallId;

/// Makes ids for calls: unique while the process lives, and unlikely to be those of another process.
pub(super) struct Ids {
    process: u32,
    next: AtomicU64,
}

impl Ids {
    pub(super) fn new() -> Self {
        use std::hash::{BuildHasher, RandomState};
        let random = RandomState::new().hash_one(std::process::id());
        Self {
            process: (random >> 32) as u32,
            next: AtomicU64::new(1),
        }
    }

    pub(super) fn next(&self) -> CallId {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        format!("{:08x}{next:08x}", self.process).into()
    }
}
