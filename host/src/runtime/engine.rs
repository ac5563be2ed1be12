//! wasmtime's settings, the pool of instances, and the clock that interrupts guests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

/// The time that a guest runs before others get their turn, and the grain of limits on processor time. With n looping
/// guests on k workers a ready task waits for about n/k ticks.
pub(super) const TICK: Duration = Duration::from_millis(1);

/// Bounds of one component, as the pool has to know them (Spin's proportions).
pub(super) const MAX_MEMORIES: usize = 32;
pub(super) const MAX_TABLES: usize = 64;
pub(super) const MAX_CORE_INSTANCES: usize = 200;
pub(super) const MAX_TABLE_ELEMENTS: usize = 100_000;

/// The size of the pool.
#[derive(Clone, Copy, Debug)]
pub(super) struct PoolSize {
    /// Calls that run at the same time.
    pub(super) calls: usize,
    /// The largest linear memory, in bytes.
    pub(super) memory: usize,
}

/// Makes an engine that allocates from a pool or, where there is no address space for one, on demand.
pub(super) fn pooled(size: PoolSize) -> wasmtime::Result<Engine> {
    match Engine::new(&config(Some(size))) {
        Ok(engine) => Ok(engine),
        Err(error) => {
            tracing::warn!(
                "no pool for {} calls of {} MiB: {error:#}; instances are allocated on demand, which is slower. \
                 Raise the limit on address space (ulimit -v) or lower limits.concurrency",
                size.calls,
                size.memory >> 20
            );
            Engine::new(&config(None))
        }
    }
}

/// Makes an engine that only compiles.
pub(super) fn compiling() -> wasmtime::Result<Engine> {
    Engine::new(&config(None))
}

fn config(pool: Option<PoolSize>) -> Config {
    let mut config = Config::new();
    config.epoch_interruption(true);
    // Component-model async costs every call about 10 µs.
    config.concurrency_support(false);
    config.max_wasm_stack(512 << 10);
    config.async_stack_size(2 << 20);
    if let Some(size) = pool {
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pooling(size)));
    }
    config
}

fn pooling(size: PoolSize) -> PoolingAllocationConfig {
    // A nested dispatch holds its caller's instance too, and a component has several core instances and tables.
    let calls = u32::try_from(size.calls.saturating_mul(2)).unwrap_or(u32::MAX);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(calls)
        .total_stacks(calls)
        .total_memories(calls.saturating_mul(2))
        .total_tables(calls.saturating_mul(4))
        .total_core_instances(calls.saturating_mul(8))
        .max_memories_per_component(MAX_MEMORIES as u32)
        .max_tables_per_component(MAX_TABLES as u32)
        .max_core_instances_per_component(MAX_CORE_INSTANCES as u32)
        .max_memories_per_module(2)
        .max_tables_per_module(8)
        .table_elements(MAX_TABLE_ELEMENTS)
        .max_memory_size(size.memory)
        .max_core_instance_size(4 << 20)
        .max_component_instance_size(4 << 20)
        // What stays resident is cleared by hand instead of by a system call: the small guest memory fits.
        .linear_memory_keep_resident(512 << 10)
        .table_keep_resident(64 << 10)
        .async_stack_keep_resident(64 << 10);
    pool
}

/// The thread that advances the engine's epoch while calls run, and rests while none does.
pub(super) struct Ticker {
    shared: Arc<Shared>,
    thread: Thread,
    handle: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    running: AtomicUsize,
    resting: AtomicBool,
    stopped: AtomicBool,
}

impl Ticker {
    /// Starts the clock of an engine.
    pub(super) fn start(engine: Engine) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let handle = thread::Builder::new()
            .name("epoch".to_owned())
            .spawn(move || tick(&theirs, &engine))?;
        let thread = handle.thread().clone();
        Ok(Self {
            shared,
            thread,
            handle: Some(handle),
        })
    }

    /// Keeps the clock running until the guard is dropped.
    pub(super) fn run(&self) -> Running<'_> {
        self.shared.running.fetch_add(1, Ordering::SeqCst);
        if self.shared.resting.load(Ordering::SeqCst) {
            self.thread.unpark();
        }
        Running {
            shared: &self.shared,
        }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        self.thread.unpark();
        if let Some(handle) = self.handle.take() {
            // The loop cannot panic.
            let _ = handle.join();
        }
    }
}

/// Keeps the clock running until it is dropped.
pub(super) struct Running<'a> {
    shared: &'a Shared,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.shared.running.fetch_sub(1, Ordering::SeqCst);
    }
}

fn tick(shared: &Shared, engine: &Engine) {
    const IDLE_TICKS: u32 = 100;
    let mut idle = 0;
    while !shared.stopped.load(Ordering::SeqCst) {
        thread::sleep(TICK);
        engine.increment_epoch();
        idle = if shared.running.load(Ordering::SeqCst) == 0 {
            idle + 1
        } else {
            0
        };
        if idle >= IDLE_TICKS {
            rest(shared);
            idle = 0;
        }
    }
}

/// Parks until a call runs or the runtime ends.
///
/// Whoever starts a call counts itself and then reads `resting`; this function sets `resting` and then reads the count.
/// All of it is sequentially consistent, so at least one of them sees the other.
fn rest(shared: &Shared) {
    shared.resting.store(true, Ordering::SeqCst);
    while shared.running.load(Ordering::SeqCst) == 0 && !shared.stopped.load(Ordering::SeqCst) {
        thread::park();
    }
    shared.resting.store(false, Ordering::SeqCst);
}
