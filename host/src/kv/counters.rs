//! Counters of a store.

use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers of what a store has done since the start. They are relaxed atomics, because no reader of a number expects
/// anything about other memory.
#[derive(Debug, Default)]
pub struct Counters {
    reads: AtomicU64,
    writes: AtomicU64,
    failures: AtomicU64,
    commits: AtomicU64,
    buckets: AtomicU64,
}

impl Counters {
    /// Counts an operation that reads.
    pub(super) fn read(&self) {
        self.reads.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a commit of `writes` operations.
    pub(super) fn commit(&self, writes: usize) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.writes.fetch_add(writes as u64, Ordering::Relaxed);
    }

    /// Counts operations that failed because of the storage, not because of their arguments.
    pub(super) fn failed(&self, operations: usize) {
        self.failures
            .fetch_add(operations as u64, Ordering::Relaxed);
    }

    /// Notes how many buckets there are now.
    pub(super) fn set_buckets(&self, buckets: u64) {
        self.buckets.store(buckets, Ordering::Relaxed);
    }

    /// Returns the number of buckets that have a key.
    pub fn buckets(&self) -> u64 {
        self.buckets.load(Ordering::Relaxed)
    }

    /// Returns the number of operations that read.
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    /// Returns the number of operations that were committed.
    pub fn writes(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
    }

    /// Returns the number of operations that failed because of the storage.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Returns the number of commits. Divided by it, the number of writes is the mean size of a group.
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }
}
