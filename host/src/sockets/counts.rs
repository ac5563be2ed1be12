//! Counts the sockets of each namespace where they connect and disconnect, so that nobody has to ask the library.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::lock::lock;

/// The namespaces that were opened, each with its sockets. The lock is held for a look at the list, never during a
/// call.
#[derive(Debug, Default)]
pub struct SocketCounts {
    namespaces: Mutex<BTreeMap<String, Arc<SocketCount>>>,
}

/// The number of sockets that are connected to one namespace.
#[derive(Debug, Default)]
pub struct SocketCount(AtomicU64);

/// A connected socket: counted until it leaves, or is dropped.
#[derive(Debug)]
pub struct CountGuard {
    count: Arc<SocketCount>,
    taken: AtomicBool,
}

impl SocketCounts {
    /// The count of a namespace that has not been opened before; none for one that has.
    pub fn open(&self, namespace: &str) -> Option<Arc<SocketCount>> {
        let mut namespaces = lock(&self.namespaces);
        if namespaces.contains_key(namespace) {
            return None;
        }
        let count = Arc::<SocketCount>::default();
        namespaces.insert(namespace.to_owned(), Arc::clone(&count));
        Some(count)
    }

    /// Every namespace that was opened, and how many sockets are connected to it.
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
            taken: AtomicBool::new(true),
        }
    }
}

impl CountGuard {
    /// The socket has gone. A second time it does nothing.
    pub fn leave(&self) {
        if self.taken.swap(false, Ordering::Relaxed) {
            self.count.0.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for CountGuard {
    fn drop(&mut self) {
        self.leave();
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
        first.leave();
        drop(first);
        assert_eq!(counts.counts(), [("/lobby".to_owned(), 1)]);
        drop(second);
        assert_eq!(counts.counts(), [("/lobby".to_owned(), 0)]);
    }
}
