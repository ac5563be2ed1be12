//! The memory of what waits to be sent, of all clients together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// Counts what waits to be sent to all clients, and wakes the task that ends clients when it is too much.
///
/// Bytes that the server holds itself are counted exactly, as they come and go. Bytes that the socket.io library has
/// queued are estimated for each client, and their sum is taken from time to time. The counters publish no other
/// memory, so they use `Relaxed`.
#[derive(Debug)]
pub struct OutboundMemory {
    /// Bytes that may wait.
    total: u64,
    /// Bytes that the server holds.
    held: AtomicU64,
    /// Bytes that the library had queued when they were last summed up.
    queued: AtomicU64,
    exceeded: Notify,
}

impl OutboundMemory {
    /// Makes a budget of `total` bytes.
    pub fn new(total: u64) -> Arc<Self> {
        Arc::new(Self {
            total,
            held: AtomicU64::new(0),
            queued: AtomicU64::new(0),
            exceeded: Notify::new(),
        })
    }

    /// Returns the bytes that may wait.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Returns the bytes that wait.
    pub fn used(&self) -> u64 {
        let queued = self.queued.load(Ordering::Relaxed);
        self.held.load(Ordering::Relaxed).saturating_add(queued)
    }

    /// Waits until more bytes wait than may.
    pub async fn exceeded(&self) {
        self.exceeded.notified().await;
    }

    /// Stores the sum of the bytes that the library has queued.
    pub fn set_queued(&self, bytes: u64) {
        self.queued.store(bytes, Ordering::Relaxed);
    }

    /// Counts bytes that the server holds from now on.
    pub(super) fn hold(&self, bytes: u64) {
        self.held.fetch_add(bytes, Ordering::Relaxed);
        if self.used() > self.total {
            self.exceeded.notify_one();
        }
    }

    /// Counts bytes that the server holds no longer.
    pub(super) fn release(&self, bytes: u64) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }
}
