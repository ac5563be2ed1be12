//! What has become of entries, and if the cache works.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::CacheError;
use crate::lock::lock;
use crate::metrics::Count;

/// Counts of the cache of compiled code.
#[derive(Debug, Default)]
pub struct CacheCounts {
    /// Files whose code was there.
    pub hits: Count,
    /// Files whose code was not there.
    pub misses: Count,
    /// Entries that were damaged or foreign and not used.
    pub bad: Count,
    /// Times at which the cache could not be read or written.
    pub failures: Count,
    stored: AtomicU64,
}

impl CacheCounts {
    /// Returns the size of all entries in bytes, as it was found last.
    pub fn stored(&self) -> u64 {
        self.stored.load(Ordering::Relaxed)
    }

    pub(super) fn set_stored(&self, bytes: u64) {
        self.stored.store(bytes, Ordering::Relaxed);
    }
}

/// Counts, and the memory of a failure that was logged.
#[derive(Debug, Default)]
pub(super) struct CacheHealth {
    pub(super) counts: CacheCounts,
    /// The sentence of the first failure, until something is stored again.
    trouble: Mutex<Option<String>>,
}

impl CacheHealth {
    /// Logs a failure, unless the last one was logged and nothing was stored meanwhile.
    pub(super) fn failed(&self, dir: &Path, error: &CacheError) {
        self.counts.failures.one();
        let mut trouble = lock(&self.trouble);
        if trouble.is_none() {
            let sentence = format!(
                "compiled code is not kept in {}: {error}. Handlers are served all the same",
                dir.display()
            );
            tracing::warn!("{sentence}");
            *trouble = Some(sentence);
        }
    }

    /// Returns the sentence of a failure since which nothing was stored.
    pub(super) fn trouble(&self) -> Option<String> {
        lock(&self.trouble).clone()
    }

    /// Notes that an entry was stored. Logs the end of a failure.
    pub(super) fn worked(&self, dir: &Path) {
        if lock(&self.trouble).take().is_some() {
            tracing::info!("compiled code is kept in {} again", dir.display());
        }
    }
}
