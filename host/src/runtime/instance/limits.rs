//! Limits the memory of one store and of all stores together.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use wasmtime::ResourceLimiter;

use super::counts::InstanceEnd;
use super::keeper::Keeper;
use crate::lock::lock;
use crate::runtime::engine::{MAX_CORE_INSTANCES, MAX_MEMORIES, MAX_TABLE_ELEMENTS, MAX_TABLES};

/// The memory that all instances together may use.
pub(in crate::runtime) struct MemoryBudget {
    /// Bytes that are reserved now.
    used: AtomicUsize,
    /// Bytes that may be reserved.
    total: usize,
    /// Keeps instances between calls, and ends them when their memory is needed.
    keeper: Arc<Keeper>,
    /// Held while an instance ends for others, because what it used is free only at the end of its drop: whoever needs
    /// memory or a place meanwhile waits and looks again.
    reclaiming: Mutex<()>,
}

impl MemoryBudget {
    /// Makes a budget of `total` bytes.
    pub(in crate::runtime) fn new(total: usize, keeper: Arc<Keeper>) -> Arc<Self> {
        Arc::new(Self {
            used: AtomicUsize::new(0),
            total,
            keeper,
            reclaiming: Mutex::default(),
        })
    }

    /// Returns the keeper of instances, which take part in the budget.
    pub(in crate::runtime) fn keeper(&self) -> &Arc<Keeper> {
        &self.keeper
    }

    /// Ends an instance that is kept between calls, because its place in the pool is needed. Returns false if there is
    /// none. Places that others were about to set free are free when this returns.
    pub(super) fn reclaim_place(&self) -> bool {
        let _turn = lock(&self.reclaiming);
        self.keeper.end_one(InstanceEnd::Places)
    }

    /// Returns the bytes that may be reserved in all.
    pub(in crate::runtime) fn total(&self) -> usize {
        self.total
    }

    /// Reserves bytes. Returns false if the budget does not have that many left.
    fn reserve(&self, bytes: usize) -> bool {
        // Relaxed is enough: the counter guards no other data, and each update of it is atomic in itself.
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|sum| *sum <= self.total)
            })
            .is_ok()
    }

    /// Reserves bytes, for which instances may end that are kept between calls. None ends if that would not suffice.
    fn reserve_or_reclaim(&self, bytes: usize) -> bool {
        if self.reserve(bytes) {
            return true;
        }
        let _turn = lock(&self.reclaiming);
        while !self.reserve(bytes) {
            let used = self.used.load(Ordering::Relaxed);
            let missing = used.saturating_add(bytes).saturating_sub(self.total);
            if !self.keeper.could_free(missing) || !self.keeper.end_one(InstanceEnd::Memory) {
                return false;
            }
        }
        true
    }

    /// Returns reserved bytes to the budget.
    fn release(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The limit that stopped a memory from growing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::runtime) enum Refused {
    /// The limit of the call (`limits.memory`).
    Call,
    /// The limit of all calls together (`limits.memory-budget`).
    Budget,
}

/// Counts the memory of one store, all its linear memories together.
pub(in crate::runtime) struct MemoryLimiter {
    /// Bytes that the store uses.
    used: usize,
    /// Bytes that the store may use.
    limit: usize,
    budget: Arc<MemoryBudget>,
    /// The reason of the last refusal in this call. A guest that ran out of memory traps afterwards like any other, and
    /// this field distinguishes the two.
    pub(in crate::runtime) refused: Option<Refused>,
}

impl MemoryLimiter {
    pub(super) fn new(limit: usize, budget: Arc<MemoryBudget>) -> Self {
        Self {
            used: 0,
            limit,
            budget,
            refused: None,
        }
    }

    /// Returns the bytes that the store uses.
    pub(super) fn used(&self) -> usize {
        self.used
    }

    /// Refuses a growth. wasmtime reports this to the guest as the failure of `memory.grow`.
    fn refuse(&mut self, by: Refused) -> wasmtime::Result<bool> {
        self.refused = Some(by);
        Ok(false)
    }
}

impl Drop for MemoryLimiter {
    fn drop(&mut self) {
        self.budget.release(self.used);
    }
}

impl ResourceLimiter for MemoryLimiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current);
        if self
            .used
            .checked_add(more)
            .is_none_or(|sum| sum > self.limit)
        {
            return self.refuse(Refused::Call);
        }
        if !self.budget.reserve_or_reclaim(more) {
            return self.refuse(Refused::Budget);
        }
        self.used += more;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= MAX_TABLE_ELEMENTS)
    }

    fn instances(&self) -> usize {
        MAX_CORE_INSTANCES
    }

    fn tables(&self) -> usize {
        MAX_TABLES
    }

    fn memories(&self) -> usize {
        MAX_MEMORIES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(limit: usize, budget: &Arc<MemoryBudget>) -> MemoryLimiter {
        MemoryLimiter::new(limit, Arc::clone(budget))
    }

    #[test]
    fn g07_all_memories_of_a_call_count_together() {
        let budget = MemoryBudget::new(1000, Keeper::new(0, 0));
        let mut limiter = limiter(100, &budget);
        assert!(limiter.memory_growing(0, 60, None).unwrap());
        assert!(!limiter.memory_growing(0, 60, None).unwrap());
        assert_eq!(limiter.refused, Some(Refused::Call));
        assert!(limiter.memory_growing(60, 100, None).unwrap());
    }

    #[test]
    fn g07_the_budget_is_shared_and_given_back() {
        let budget = MemoryBudget::new(100, Keeper::new(0, 0));
        let mut first = limiter(80, &budget);
        let mut second = limiter(80, &budget);
        assert!(first.memory_growing(0, 80, None).unwrap());
        assert!(!second.memory_growing(0, 30, None).unwrap());
        assert_eq!(second.refused, Some(Refused::Budget));
        drop(first);
        assert!(second.memory_growing(0, 80, None).unwrap());
        drop(second);
        assert_eq!(budget.used.load(Ordering::Relaxed), 0);
    }
}
