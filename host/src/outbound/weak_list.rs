//! A list of values that others own.

use std::sync::{Arc, Mutex, Weak};

use crate::lock::lock;

/// Smallest number of entries at which those of dropped values are removed.
const MIN_CAPACITY: usize = 64;

/// A list of values that others own. Entries of dropped values are removed from time to time.
#[derive(Debug)]
pub struct WeakList<T> {
    entries: Mutex<Entries<T>>,
}

#[derive(Debug)]
struct Entries<T> {
    list: Vec<Weak<T>>,
    /// Number of entries at which those of dropped values are removed.
    full: usize,
}

impl<T> Default for WeakList<T> {
    fn default() -> Self {
        let entries = Entries {
            list: Vec::new(),
            full: MIN_CAPACITY,
        };
        Self {
            entries: Mutex::new(entries),
        }
    }
}

impl<T> WeakList<T> {
    /// Adds a value.
    pub fn add(&self, value: &Arc<T>) {
        let mut entries = lock(&self.entries);
        if entries.list.len() >= entries.full {
            entries.list.retain(|entry| entry.strong_count() > 0);
            // Twice what is left, so that the work for each added entry stays small.
            entries.full = (entries.list.len() * 2).max(MIN_CAPACITY);
        }
        entries.list.push(Arc::downgrade(value));
    }

    /// Returns the values that still exist.
    pub fn values(&self) -> Vec<Arc<T>> {
        let entries = lock(&self.entries);
        entries.list.iter().filter_map(Weak::upgrade).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_values_are_forgotten() {
        let list = WeakList::default();
        let kept = Arc::new(0);
        list.add(&kept);
        for value in 1..10_000 {
            list.add(&Arc::new(value));
        }
        assert_eq!(list.values(), [kept]);
        assert!(lock(&list.entries).list.len() <= MIN_CAPACITY);
    }
}
