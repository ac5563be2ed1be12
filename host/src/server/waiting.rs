//! What one connection has sent and nobody has answered yet: counted and weighed, so that no client can make the server keep more
//! than it should.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The load of one connection.
#[derive(Debug)]
pub(super) struct Load {
    count: AtomicUsize,
    bytes: AtomicUsize,
    most: usize,
    most_bytes: usize,
}

impl Load {
    /// At most so many at a time, of so many bytes together. One is taken whatever its size.
    pub(super) fn new(most: usize, most_bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            count: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            most,
            most_bytes,
        })
    }

    /// Takes one more of `bytes` bytes, if there is room.
    pub(super) fn take(self: &Arc<Self>, bytes: usize) -> Option<Waiting> {
        let count = self.count.fetch_add(1, Ordering::AcqRel);
        let before = self.bytes.fetch_add(bytes, Ordering::AcqRel);
        // Gives both back when there is none.
        let waiting = Waiting {
            load: Arc::clone(self),
            bytes,
        };
        let fits = count < self.most && (count == 0 || before + bytes <= self.most_bytes);
        fits.then_some(waiting)
    }
}

/// One that waits or runs: part of the load until it is dropped.
#[derive(Debug)]
pub(super) struct Waiting {
    load: Arc<Load>,
    bytes: usize,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.load.count.fetch_sub(1, Ordering::AcqRel);
        self.load.bytes.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s06_a_connection_is_bounded_in_number_and_bytes() {
        let load = Load::new(2, 10);
        let first = load.take(20).expect("one is taken whatever its size");
        assert!(load.take(1).is_none(), "too many bytes");
        drop(first);
        let _two = (load.take(5).unwrap(), load.take(5).unwrap());
        assert!(load.take(0).is_none(), "too many");
    }
}
