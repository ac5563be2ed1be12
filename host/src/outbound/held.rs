//! Bytes that the server holds for one client.

use std::sync::Arc;

use bytes::Bytes;

use super::traffic::Outbound;

/// Bytes that the server holds for one client, counted until this is dropped.
#[derive(Debug)]
pub struct Held {
    outbound: Arc<Outbound>,
    stage: Stage,
    bytes: u64,
}

/// What is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// An answer that is not made yet: an estimate of its size.
    Expected,
    /// An answer that is being made, or that waits for capacity.
    Reserved,
    /// A piece of a response that is being written to a TCP connection.
    Sending,
}

impl Held {
    /// Counts an answer of about `bytes` bytes, for which no memory is used yet.
    pub fn expected(outbound: &Arc<Outbound>, bytes: u64) -> Self {
        Self::new(outbound, Stage::Expected, bytes)
    }

    /// Counts an answer of `bytes` bytes that is being made, or that waits for capacity.
    pub fn reserved(outbound: &Arc<Outbound>, bytes: u64) -> Self {
        Self::new(outbound, Stage::Reserved, bytes)
    }

    fn new(outbound: &Arc<Outbound>, stage: Stage, bytes: u64) -> Self {
        let held = Self {
            outbound: Arc::clone(outbound),
            stage,
            bytes,
        };
        held.add(bytes);
        held
    }

    /// Counts `bytes` bytes from now on, which are in memory or will be at once.
    pub fn become_reserved(&mut self, bytes: u64) {
        // Added first, so that the place is not given to another answer in between.
        let before = (self.stage, self.bytes);
        (self.stage, self.bytes) = (Stage::Reserved, bytes);
        self.add(bytes);
        self.subtract(before.0, before.1);
    }

    fn add(&self, bytes: u64) {
        match self.stage {
            Stage::Expected => self.outbound.change_held(|held| held.expect(bytes)),
            Stage::Reserved => self.outbound.change_held(|held| held.reserve(bytes)),
            Stage::Sending => self.outbound.change_held(|held| held.begin_sending(bytes)),
        }
    }

    fn subtract(&self, stage: Stage, bytes: u64) {
        match stage {
            Stage::Expected => self.outbound.change_held(|held| held.forget(bytes)),
            Stage::Reserved => self.outbound.change_held(|held| held.release(bytes)),
            Stage::Sending => self.outbound.change_held(|held| held.end_sending(bytes)),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.subtract(self.stage, self.bytes);
    }
}

/// A piece of a response, counted until the last reference to its bytes is dropped.
struct Sending {
    bytes: Bytes,
    _held: Held,
}

impl AsRef<[u8]> for Sending {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Counts a piece of a response to `outbound` until hyper has written it, or has given it up.
pub fn sending(outbound: &Arc<Outbound>, bytes: Bytes) -> Bytes {
    let held = Held::new(outbound, Stage::Sending, bytes.len() as u64);
    Bytes::from_owner(Sending { bytes, _held: held })
}
