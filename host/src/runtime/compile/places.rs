//! Places for files that are compiled at the same time: as many as the machine has cores, and as the memory for
//! compiling allows.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Semaphore, SemaphorePermit};

/// Memory of a compiling process before it reads a file, in MiB.
const BASE: u64 = 64;
/// Memory of a compiling process for each byte of its file, in bytes. Measured: 430 to 500 MiB for 12 MiB. The compiled
/// functions of two versions, which are three bytes for each, are in memory here and there.
const PER_BYTE: u64 = 36 + 12;
/// Most files that are compiled at the same time, and most threads that compile one file.
const MAX_CORES: usize = 16;

/// The places, and the memory that is shared by who has one.
pub(super) struct Places {
    cores: Semaphore,
    core_count: u32,
    /// The memory for compiling, in MiB.
    memory: Semaphore,
    memory_size: u32,
    /// Files that are compiled or wait for it.
    wanted: AtomicUsize,
    /// Files that are compiled.
    running: AtomicUsize,
}

/// A place, which is free again when it is dropped.
pub(super) struct Place<'a> {
    _wish: Counted<'a>,
    _running: Counted<'a>,
    _core: SemaphorePermit<'a>,
    _memory: SemaphorePermit<'a>,
    /// The number of threads that may compile the file.
    pub(super) threads: usize,
}

/// Counts a file until it is dropped.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Places {
    /// Makes the places of this machine, with `memory` bytes for all of them together.
    pub(super) fn new(memory: u64) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        Self::of(cores.min(MAX_CORES), memory)
    }

    fn of(cores: usize, memory: u64) -> Self {
        let memory_size = u32::try_from(memory >> 20).unwrap_or(u32::MAX).max(1);
        Self {
            cores: Semaphore::new(cores),
            core_count: u32::try_from(cores).unwrap_or(1),
            memory: Semaphore::new(memory_size as usize),
            memory_size,
            wanted: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
        }
    }

    /// Waits for a place for a file of `size` bytes. A file that needs more memory than there is gets all of it.
    pub(super) async fn take(&self, size: usize) -> Place<'_> {
        let wish = Counted::new(&self.wanted);
        let needed = BASE + ((size as u64 * PER_BYTE) >> 20);
        let needed = u32::try_from(needed).unwrap_or(u32::MAX);
        let core = self.cores.acquire().await;
        let memory = self.memory.acquire_many(needed.min(self.memory_size)).await;
        Place {
            threads: self.threads(),
            _wish: wish,
            _running: Counted::new(&self.running),
            _core: core.expect("the semaphore is never closed"),
            _memory: memory.expect("the semaphore is never closed"),
        }
    }

    /// Returns the threads of one file, so that all that want to be compiled share the cores: one large file gets all
    /// of them.
    fn threads(&self) -> usize {
        let cores = self.core_count as usize;
        let wanted = self.wanted.load(Ordering::Relaxed).clamp(1, cores);
        cores / wanted
    }

    /// Returns the number of files that are compiled now, without those that wait.
    pub(super) fn taken(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }

    /// Waits until nobody has a place.
    pub(super) async fn all_free(&self) {
        let all = self.cores.acquire_many(self.core_count).await;
        drop(all);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const MIB: usize = 1 << 20;

    #[tokio::test]
    async fn i13_2_one_file_gets_all_cores_and_many_share_them() {
        let places = Places::of(4, 1 << 40);
        let first = places.take(0).await;
        let second = places.take(0).await;
        let third = places.take(0).await;
        let threads = [&first, &second, &third].map(|place| place.threads);
        assert_eq!(threads, [4, 2, 1]);
        let _fourth = places.take(0).await;
        assert!(places.take(0).now_or_never().is_none());
        drop(first);
        assert!(places.take(0).now_or_never().is_some());
    }

    #[tokio::test]
    async fn i13_2_memory_bounds_how_many_are_compiled_and_a_large_file_waits_for_all_of_it() {
        let places = Places::of(8, 256 << 20);
        let small = [places.take(0).await, places.take(0).await];
        assert!(places.take(100 * MIB).now_or_never().is_none());
        drop(small);
        let large = places.take(100 * MIB).await;
        let mut waiting = Box::pin(places.take(0));
        assert!((&mut waiting).now_or_never().is_none());
        assert_eq!(places.taken(), 1, "who waits is not compiled");
        drop(waiting);
        assert!(places.all_free().now_or_never().is_none());
        drop(large);
        assert!(places.all_free().now_or_never().is_some());
        assert_eq!(places.taken(), 0);
    }
}
