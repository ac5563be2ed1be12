//! Bounds the memory of one store and of all stores together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use wasmtime::ResourceLimiter;

use crate::runtime::engine::{MAX_CORE_INSTANCES, MAX_MEMORIES, MAX_TABLE_ELEMENTS, MAX_TABLES};

/// The memory that all calls together may use.
#[derive(Debug)]
pub struct MemoryBudget {
    used: AtomicUsize,
    total: usize,
}

impl MemoryBudget {
    /// Makes a budget of `total` bytes.
    pub fn new(total: usize) -> Arc<Self> {
        Arc::new(Self {
            used: AtomicUsize::new(0),
            total,
        })
    }

    fn take(&self, bytes: usize) -> bool {
        let taken = self
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|sum| *sum <= self.total)
            });
        taken.is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The bound that stopped a memory from growing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::runtime) enum Refused {
    /// The bound of the call.
    Call,
    /// The bound of all calls together.
    Budget,
}

/// Counts the memory of one store, all its linear memories together.
pub(in crate::runtime) struct MemoryLimiter {
    used: usize,
    limit: usize,
    budget: Arc<MemoryBudget>,
    /// The bound that refused last, to tell a guest that ran out of memory from one that trapped.
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

    fn refuse(&mut self, by: Refused) -> wasmtime::Result<bool> {
        self.refused = Some(by);
        Ok(false)
    }
}

impl Drop for MemoryLimiter {
    fn drop(&mut self) {
        self.budget.give_back(self.used);
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
        if !self.budget.take(more) {
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
        let budget = MemoryBudget::new(1000);
        let mut limiter = limiter(100, &budget);
        assert!(limiter.memory_growing(0, 60, None).unwrap());
        assert!(!limiter.memory_growing(0, 60, None).unwrap());
        assert_eq!(limiter.refused, Some(Refused::Call));
        assert!(limiter.memory_growing(60, 100, None).unwrap());
    }

    #[test]
    fn g07_the_budget_is_shared_and_given_back() {
        let budget = MemoryBudget::new(100);
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
