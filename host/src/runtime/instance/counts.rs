//! The numbers of instances that are kept between calls, for each handler: how many live, and why others ended.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::lock::lock;
use crate::metrics::Count;

/// The reason why an instance ended that was kept between calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstanceEnd {
    /// The connection ended for which it lived, or was refused.
    Disconnect,
    /// No call came for a time (`idle`).
    Idle,
    /// Its memory was needed (`limits.memory-budget`).
    Memory,
    /// Its place was needed (`limits.kept-instances`).
    Places,
    /// It had as many calls as it may have (`max-calls`).
    MaxCalls,
    /// The guest kept a resource of `wasi:http` of its last call, or too many handles of earlier calls.
    Handles,
    /// A call of it trapped, exceeded a limit, or was dropped.
    Fault,
    /// Its handler was replaced or removed.
    Reload,
    /// Its memory has grown, so that it cannot be made what it was before the call.
    Grown,
}

impl InstanceEnd {
    /// All of them, in the order of the enum.
    pub const ALL: [Self; 9] = [
        Self::Disconnect,
        Self::Idle,
        Self::Memory,
        Self::Places,
        Self::MaxCalls,
        Self::Handles,
        Self::Fault,
        Self::Reload,
        Self::Grown,
    ];

    /// Returns its name in metrics and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Disconnect => "disconnect",
            Self::Idle => "idle",
            Self::Memory => "memory",
            Self::Places => "places",
            Self::MaxCalls => "max_calls",
            Self::Handles => "handles",
            Self::Fault => "fault",
            Self::Reload => "reload",
            Self::Grown => "grown",
        }
    }
}

/// The numbers of one handler, whatever its generation.
#[derive(Debug, Default)]
pub(in crate::runtime) struct InstanceCounts {
    living: AtomicUsize,
    /// Bytes of linear memory of those that live, as of the end of their last calls.
    memory: AtomicUsize,
    /// Calls that those that live have had.
    calls: AtomicU64,
    ended: [Count; InstanceEnd::ALL.len()],
    /// When those that live were made, each with a number of its own.
    births: Mutex<BTreeSet<(Instant, u64)>>,
    made: AtomicU64,
}

/// Instances of one handler that are kept between calls, as they are now.
#[derive(Clone, Copy, Debug)]
pub struct KeptInstances {
    /// The number of them, those in a call included.
    pub living: usize,
    /// Bytes of their linear memories.
    pub memory: usize,
    /// Calls that they have had, all together.
    pub calls: u64,
    /// The age of the oldest of them.
    pub oldest: Option<Duration>,
    /// The number of those that ended, in the order of [`InstanceEnd::ALL`].
    pub ended: [u64; InstanceEnd::ALL.len()],
}

impl InstanceCounts {
    /// Returns the numbers as they are now.
    pub(super) fn now(&self) -> KeptInstances {
        let first = lock(&self.births).first().map(|(born, _)| *born);
        // Relaxed is enough: the numbers guard no other data, and need not fit each other exactly.
        KeptInstances {
            living: self.living.load(Ordering::Relaxed),
            memory: self.memory.load(Ordering::Relaxed),
            calls: self.calls.load(Ordering::Relaxed),
            oldest: first.map(|born| born.elapsed()),
            ended: self.ended.each_ref().map(Count::total),
        }
    }

    /// Counts an instance that begins, until the result is dropped.
    pub(super) fn enroll(self: &Arc<Self>) -> Counted {
        let birth = (Instant::now(), self.made.fetch_add(1, Ordering::Relaxed));
        self.living.fetch_add(1, Ordering::Relaxed);
        lock(&self.births).insert(birth);
        Counted {
            counts: Arc::clone(self),
            birth,
            memory: 0,
            calls: 0,
            end: InstanceEnd::Fault,
        }
    }
}

/// An instance that is counted.
pub(in crate::runtime) struct Counted {
    counts: Arc<InstanceCounts>,
    birth: (Instant, u64),
    memory: usize,
    calls: u32,
    /// The reason that counts when it is dropped.
    end: InstanceEnd,
}

impl Counted {
    /// Notes a call that ended, after which the instance has `memory` bytes.
    pub(super) fn note_call(&mut self, memory: usize) {
        self.calls = self.calls.saturating_add(1);
        self.counts.calls.fetch_add(1, Ordering::Relaxed);
        if memory != self.memory {
            // Memory only grows, but the sum wraps around in any case.
            let more = memory.wrapping_sub(self.memory);
            self.counts.memory.fetch_add(more, Ordering::Relaxed);
            self.memory = memory;
        }
    }

    /// Returns the bytes of the instance as of its last call.
    pub(super) fn memory(&self) -> usize {
        self.memory
    }

    /// Returns the number of its calls.
    pub(super) fn calls(&self) -> u32 {
        self.calls
    }

    /// Returns a number that no other instance of the handler has.
    pub(super) fn number(&self) -> u64 {
        self.birth.1
    }

    /// Sets the reason for which it ends.
    pub(super) fn ends_for(&mut self, end: InstanceEnd) {
        self.end = end;
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let counts = &self.counts;
        counts.living.fetch_sub(1, Ordering::Relaxed);
        counts.memory.fetch_sub(self.memory, Ordering::Relaxed);
        counts.calls.fetch_sub(self.calls.into(), Ordering::Relaxed);
        counts.ended[self.end as usize].one();
        lock(&counts.births).remove(&self.birth);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i13_3_living_instances_are_counted_until_they_end() {
        let counts = Arc::<InstanceCounts>::default();
        let (mut one, mut two) = (counts.enroll(), counts.enroll());
        one.note_call(100);
        one.note_call(300);
        two.note_call(10);
        let now = counts.now();
        assert_eq!((now.living, now.memory, now.calls), (2, 310, 3));
        assert!(now.oldest.is_some());
        one.ends_for(InstanceEnd::Idle);
        drop(one);
        drop(two);
        let now = counts.now();
        assert_eq!((now.living, now.memory, now.calls), (0, 0, 0));
        assert_eq!(now.ended[InstanceEnd::Idle as usize], 1);
        assert_eq!(now.ended[InstanceEnd::Fault as usize], 1);
        assert_eq!(now.oldest, None);
    }

    #[test]
    fn each_end_has_its_own_place() {
        for (place, end) in InstanceEnd::ALL.into_iter().enumerate() {
            assert_eq!(end as usize, place, "{end:?}");
        }
    }
}
