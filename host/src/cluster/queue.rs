//! A queue of bounded length and size. What is added to a full queue drives out the oldest.

use std::collections::VecDeque;
use std::sync::Mutex;

use tokio::sync::Notify;

use crate::lock::lock;

/// A queue that is filled from anywhere and emptied by one task.
pub(super) struct Queue<T> {
    /// The largest number of things.
    max_length: usize,
    /// The largest size of all things together, in bytes. One that is larger than that waits alone.
    max_bytes: usize,
    inner: Mutex<Inner<T>>,
    filled: Notify,
    has_place: Notify,
}

struct Inner<T> {
    items: VecDeque<(usize, T)>,
    bytes: usize,
}

impl<T> Queue<T> {
    /// Makes an empty queue of at most `max_length` things, which have at most `max_bytes` bytes together.
    pub(super) fn new(max_length: usize, max_bytes: usize) -> Self {
        Self {
            max_length,
            max_bytes,
            inner: Mutex::new(Inner {
                items: VecDeque::new(),
                bytes: 0,
            }),
            filled: Notify::new(),
            has_place: Notify::new(),
        }
    }

    /// Adds what `make` returns, which has `size` bytes, and returns how many older ones it drove out. Calls of `make`
    /// come in the order of the queue.
    pub(super) fn push(&self, size: usize, make: impl FnOnce() -> T) -> u64 {
        let mut inner = lock(&self.inner);
        let item = make();
        inner.items.push_back((size, item));
        inner.bytes += size;
        let mut driven_out = 0;
        while inner.items.len() > 1
            && (inner.items.len() > self.max_length || inner.bytes > self.max_bytes)
        {
            let oldest = inner.items.pop_front();
            inner.bytes -= oldest.map_or(0, |(size, _)| size);
            driven_out += 1;
        }
        drop(inner);
        self.filled.notify_one();
        driven_out
    }

    /// Returns when there is something. Only one task may wait.
    pub(super) async fn filled(&self) {
        while lock(&self.inner).items.is_empty() {
            self.filled.notified().await;
        }
    }

    /// Takes the oldest: at most `length`, and no more than `bytes` together unless the first alone is larger.
    pub(super) fn take(&self, length: usize, bytes: usize) -> Vec<T> {
        let mut inner = lock(&self.inner);
        let (mut taken, mut sum) = (Vec::new(), 0);
        while taken.len() < length
            && let Some((size, item)) = inner.items.pop_front()
        {
            if !taken.is_empty() && sum + size > bytes {
                inner.items.push_front((size, item));
                break;
            }
            sum += size;
            taken.push(item);
        }
        inner.bytes -= sum;
        drop(inner);
        self.has_place.notify_waiters();
        taken
    }

    /// Returns true if more than half of the queue is in use.
    pub(super) fn is_over_half(&self) -> bool {
        let inner = lock(&self.inner);
        inner.items.len() > self.max_length / 2 || inner.bytes > self.max_bytes / 2
    }

    /// Returns when no more than half of the queue is in use.
    pub(super) async fn half_empty(&self) {
        loop {
            // Begun before the look, so that no taking in between is missed.
            let has_place = self.has_place.notified();
            if !self.is_over_half() {
                return;
            }
            has_place.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const MAX_LENGTH: usize = 1024;
    const MAX_BYTES: usize = 64 << 20;

    fn filled(sizes: &[usize]) -> (Queue<usize>, u64) {
        let queue = Queue::new(MAX_LENGTH, MAX_BYTES);
        let driven_out = sizes
            .iter()
            .enumerate()
            .map(|(number, size)| queue.push(*size, || number));
        let sum = driven_out.sum();
        (queue, sum)
    }

    #[test]
    fn r12_a_full_queue_loses_the_oldest_and_counts_them() {
        let (queue, driven_out) = filled(&[1; MAX_LENGTH + 7]);
        assert_eq!(driven_out, 7);
        let rest = queue.take(usize::MAX, usize::MAX);
        assert_eq!(rest, (7..MAX_LENGTH + 7).collect::<Vec<_>>());
        assert!(queue.take(1, 1).is_empty());
    }

    #[test]
    fn r12_a_queue_is_bounded_by_bytes_and_keeps_the_newest() {
        let (queue, driven_out) = filled(&[MAX_BYTES / 2, MAX_BYTES / 2, 1]);
        assert_eq!(driven_out, 1);
        assert_eq!(queue.take(9, usize::MAX), [1, 2]);
        let (queue, driven_out) = filled(&[1, MAX_BYTES * 2]);
        assert_eq!((queue.take(9, 1), driven_out), (vec![1], 1));
    }

    #[test]
    fn what_is_taken_at_once_is_bounded() {
        let (queue, _) = filled(&[10, 10, 10, 50, 10]);
        assert_eq!(queue.take(2, 100), [0, 1]);
        assert_eq!(queue.take(9, 15), [2]);
        assert_eq!(queue.take(9, 15), [3], "alone, because it is larger");
        assert_eq!(queue.take(9, 15), [4]);
    }

    #[test]
    fn waiting_ends_when_there_is_place() {
        let (queue, _) = filled(&[1; MAX_LENGTH / 2 + 1]);
        assert!(queue.is_over_half() && queue.half_empty().now_or_never().is_none());
        let mut waiting = Box::pin(queue.half_empty());
        assert!((&mut waiting).now_or_never().is_none());
        queue.take(1, 1);
        assert!(waiting.now_or_never().is_some());
        assert!(queue.filled().now_or_never().is_some());
        queue.take(usize::MAX, usize::MAX);
        // A notice of the pushes may be left; there is nothing all the same.
        assert!(queue.filled().now_or_never().is_none());
    }
}
