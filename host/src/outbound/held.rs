//! Bytes that the server holds for one client.

use std::sync::Arc;

use bytes::Bytes;

use super::traffic::Outbound;

/// Bytes that the server holds for one client, counted until this is dropped.
#[derive(Debug)]
pub struct Held {
    outbound: Arc<Outbound>,
    kind: Kind,
    bytes: u64,
}

/// What is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// An answer that is being made, or that waits for capacity.
    Reserved,
    /// A piece of a response that is being written to a TCP connection.
    Sending,
}

impl Held {
    /// Counts an answer of `bytes` bytes that is being made, or that waits for capacity.
    pub fn reserved(outbound: &Arc<Outbound>, bytes: u64) -> Self {
        Self::new(outbound, Kind::Reserved, bytes)
    }

    fn new(outbound: &Arc<Outbound>, kind: Kind, bytes: u64) -> Self {
        let held = Self {
            outbound: Arc::clone(outbound),
            kind,
            bytes,
        };
        held.add(bytes);
        held
    }

    /// Changes the number of bytes.
    pub fn resize(&mut self, bytes: u64) {
        if bytes > self.bytes {
            self.add(bytes - self.bytes);
        } else {
            self.subtract(self.bytes - bytes);
        }
        self.bytes = bytes;
    }

    fn add(&self, bytes: u64) {
        match self.kind {
            Kind::Reserved => self.outbound.change_held(|held| held.reserve(bytes)),
            Kind::Sending => self.outbound.change_held(|held| held.begin_sending(bytes)),
        }
    }

    fn subtract(&self, bytes: u64) {
        match self.kind {
            Kind::Reserved => self.outbound.change_held(|held| held.release(bytes)),
            Kind::Sending => self.outbound.change_held(|held| held.end_sending(bytes)),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.subtract(self.bytes);
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
    let held = Held::new(outbound, Kind::Sending, bytes.len() as u64);
    Bytes::from_owner(Sending { bytes, _held: held })
}
