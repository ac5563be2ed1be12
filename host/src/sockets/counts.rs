//! Counts the sockets of each namespace where they connect and disconnect, so that nobody has to ask the library.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::lock::lock;

/// The namespaces that were opened, each with its count. The lock is held while the list is read or changed, never
/// during a call.
#[derive(Debug, Default)]
pub struct SocketCounts {
    namespaces: Mutex<BTreeMap<String, Arc<SocketCount>>>,
}

/// The number of sockets that are connected to one namespace.
///
/// The number is a statistic that publishes no other memory, so `Relaxed` is enough.
#[derive(Debug, Default)]
pub struct SocketCount(AtomicU64);

/// One connected socket, counted until [`CountGuard::release`] is called or the guard is dropped.
#[derive(Debug)]
pub struct CountGuard {
    count: Arc<SocketCount>,
    /// True until the socket has been subtracted.
    is_counted: AtomicBool,
}

impl SocketCounts {
    /// Opens a namespace and returns its count, or none if the namespace was opened before.
    pub fn open(&self, namespace: &str) -> Option<Arc<SocketCount>> {
        let mut namespaces = lock(&self.namespaces);
        if namespaces.contains_key(namespace) {
            return None;
        }
        let count = Arc::<SocketCount>::default();
        namespaces.insert(namespace.to_owned(), Arc::clone(&count));
        Some(count)
    }

    /// Returns every namespace that was opened, with the number of sockets that are connected to it.
    pub fn counts(&self) -> Vec<(String, u64)> {
        let namespaces = lock(&self.namespaces);
        let count = |(name, count): (&String, &Arc<SocketCount>)| {
            (name.clone(), count.0.load(Ordering::Relaxed))
        };
        namespaces.iter().map(count).collect()
    }
}

impl SocketCount {
    /// Counts a socket until the guard is dropped.
    pub fn guard(self: &Arc<Self>) -> CountGuard {
        self.0.fetch_add(1, Ordering::Relaxed);
        CountGuard {
            count: Arc::clone(self),
            is_counted: AtomicBool::new(true),
        }
    }
}

impl CountGuard {
    /// Subtracts the socket. A second call does nothing.
    pub fn release(&self) {
        // The swap lets one caller subtract, even if two run at the same time.
        if self.is_counted.swap(false, Ordering::Relaxed) {
            self.count.0.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for CountGuard {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_counted_once_however_it_goes() {
        let counts = SocketCounts::default();
        let lobby = counts.open("/lobby").expect("it is new");
        assert!(counts.open("/lobby").is_none(), "it is known");
        let (first, second) = (lobby.guard(), lobby.guard());
        assert_eq!(counts.counts(), [("/lobby".to_owned(), 2)]);
        first.release();
        drop(first);
        assert_eq!(counts.counts(), [("/lobby".to_owned(), 1)]);
        drop(second);
        assert_eq!(counts.counts(), [("/lobby".to_owned(), 0)]);
    }
}
