//! The counters of what the server holds for one client.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::memory::OutboundMemory;

/// Bytes that the server holds for one client, counted in the memory of all clients too. The counters publish no other
/// memory, so they use `Relaxed`.
#[derive(Debug)]
pub(super) struct HeldBytes {
    memory: Arc<OutboundMemory>,
    /// True for a TCP connection. The answers to polls count for the connections that carry them.
    is_connection: bool,
    /// Bytes of answers that are being made, or that wait for capacity.
    reserved: AtomicU64,
    /// Bytes of responses that are being written to TCP connections.
    sending: AtomicU64,
}

impl HeldBytes {
    /// Makes the counters of a TCP connection.
    pub(super) fn of_connection(memory: &Arc<OutboundMemory>) -> Self {
        Self::new(memory, true)
    }

    /// Makes the counters of a session, which polls or has polled.
    pub(super) fn of_polls(memory: &Arc<OutboundMemory>) -> Self {
        Self::new(memory, false)
    }

    fn new(memory: &Arc<OutboundMemory>, is_connection: bool) -> Self {
        Self {
            memory: Arc::clone(memory),
            is_connection,
            reserved: AtomicU64::new(0),
            sending: AtomicU64::new(0),
        }
    }

    /// Counts bytes that an answer is expected to have. They take the place of the client, and no memory yet.
    pub(super) fn expect(&self, bytes: u64) {
        self.reserved.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Undoes [`HeldBytes::expect`].
    pub(super) fn forget(&self, bytes: u64) {
        self.reserved.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Counts bytes of answers that are being made, or that wait for capacity.
    pub(super) fn reserve(&self, bytes: u64) {
        self.reserved.fetch_add(bytes, Ordering::Relaxed);
        self.memory.hold(bytes);
    }

    /// Undoes [`HeldBytes::reserve`].
    pub(super) fn release(&self, bytes: u64) {
        self.reserved.fetch_sub(bytes, Ordering::Relaxed);
        self.memory.release(bytes);
    }

    /// Counts bytes that are being written to a TCP connection.
    pub(super) fn begin_sending(&self, bytes: u64) {
        self.sending.fetch_add(bytes, Ordering::Relaxed);
        if self.is_connection {
            self.memory.hold(bytes);
        }
    }

    /// Undoes [`HeldBytes::begin_sending`].
    pub(super) fn end_sending(&self, bytes: u64) {
        self.sending.fetch_sub(bytes, Ordering::Relaxed);
        if self.is_connection {
            self.memory.release(bytes);
        }
    }

    /// Returns the bytes of answers that are being made, or that wait for capacity.
    pub(super) fn reserved(&self) -> u64 {
        self.reserved.load(Ordering::Relaxed)
    }

    /// Returns the bytes of responses that are being written to TCP connections.
    pub(super) fn sending(&self) -> u64 {
        self.sending.load(Ordering::Relaxed)
    }
}
