//! The sizes of what the routes or the policies of a handler have answered.

use std::sync::atomic::{AtomicU64, Ordering};

/// The bytes of the largest answer of each route, or of each policy, so far.
///
/// They tell how much memory the next answer may need. They guard no other memory, so that `Relaxed` is enough.
#[derive(Debug)]
pub struct AnswerSizes(Box<[AtomicU64]>);

/// The size of a declaration that was not called yet.
const UNKNOWN: u64 = u64::MAX;

impl AnswerSizes {
    /// Makes the sizes of `count` declarations that were not called yet.
    pub(super) fn of(count: usize) -> Self {
        Self((0..count).map(|_| AtomicU64::new(UNKNOWN)).collect())
    }

    /// Returns the bytes of the largest answer of a declaration so far; none if it was not called yet.
    pub fn largest(&self, index: u32) -> Option<u64> {
        let largest = self.0.get(index as usize)?.load(Ordering::Relaxed);
        (largest != UNKNOWN).then_some(largest)
    }

    /// Notes the bytes of an answer of a declaration.
    pub fn note(&self, index: u32, bytes: u64) {
        let Some(largest) = self.0.get(index as usize) else {
            return;
        };
        let larger = |largest| (largest == UNKNOWN || bytes > largest).then_some(bytes);
        // An error means that a larger answer is known.
        let _ = largest.fetch_update(Ordering::Relaxed, Ordering::Relaxed, larger);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i11_25_the_largest_answer_is_remembered() {
        let sizes = AnswerSizes::of(1);
        assert_eq!(sizes.largest(0), None);
        for (bytes, largest) in [(0, 0), (7, 7), (3, 7), (9, 9)] {
            sizes.note(0, bytes);
            assert_eq!(sizes.largest(0), Some(largest));
        }
        sizes.note(1, 5);
        assert_eq!(sizes.largest(1), None, "there is no such declaration");
    }
}
