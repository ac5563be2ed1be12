//! The settings of wasmtime's engine, the pool of instances, and the thread that interrupts guests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use wasmtime::{CacheStore, Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

/// Time that a guest runs before it yields to other tasks and its processor time is read.
///
/// With n looping guests on k workers, a ready task waits for about n/k ticks.
pub(super) const TICK: Duration = Duration::from_millis(1);

// Bounds of one component, which the pool requires. Their proportions are those of Spin.

/// Largest number of linear memories in one component.
pub(super) const MAX_MEMORIES: usize = 32;
/// Largest number of tables in one component.
pub(super) const MAX_TABLES: usize = 64;
/// Largest number of linear memories in one core module.
pub(super) const MAX_MODULE_MEMORIES: usize = 2;
/// Largest number of tables in one core module.
pub(super) const MAX_MODULE_TABLES: usize = 8;
/// Largest number of core instances in one component.
pub(super) const MAX_CORE_INSTANCES: usize = 200;
/// Largest number of elements in one table.
pub(super) const MAX_TABLE_ELEMENTS: usize = 100_000;

/// Bytes of each memory that are cleared in place instead of being given back to the system. Scripts begin with
/// memories of
/// 1 to 1.5 MiB: if a part of them were given back, each call would pay for its page faults, which cost three times
/// what clearing costs. No more than the size of a memory is cleared, so handlers that begin with up to 512 KiB, as the
/// SDK makes them, cost what they would with 512 KiB here.
pub(super) const KEEP_RESIDENT: usize = 2 << 20;

/// The size of the pool.
#[derive(Clone, Copy, Debug)]
pub(super) struct PoolSize {
    /// Calls that may run at the same time.
    pub(super) calls: usize,
    /// Instances that are kept between calls.
    pub(super) kept: usize,
    /// Largest size of one linear memory in bytes.
    pub(super) memory: usize,
}

/// Makes an engine that takes instances from a pool. If the address space is too small for the pool, the engine has
/// fewer places for instances that are kept, and if it is too small for those of calls, it allocates on demand. Returns
/// true with it if it has a pool.
pub(super) fn pooled(size: PoolSize) -> wasmtime::Result<(Engine, bool)> {
    let mut kept = size.kept;
    loop {
        let error = match Engine::new(&config(Some(PoolSize { kept, ..size }))) {
            Ok(engine) => {
                if kept < size.kept {
                    tracing::warn!(
                        "the address space is too small for {} instances between calls (limits.kept-instances): {kept} are kept, and \
                         when more are needed, those used least recently end. Raise the limit on address space (ulimit -v) or lower \
                         limits.kept-instances",
                        size.kept
                    );
                }
                return Ok((engine, true));
            }
            Err(error) => error,
        };
        if kept == 0 {
            tracing::warn!(
                "no pool for {} calls of {} MiB: {error:#}; instances are allocated on demand, which is slower. \
                 Raise the limit on address space (ulimit -v) or lower limits.concurrency",
                size.calls,
                size.memory >> 20
            );
            return Ok((Engine::new(&config(None))?, false));
        }
        kept /= 4;
    }
}

/// Makes an engine that only compiles.
pub(super) fn compiling() -> wasmtime::Result<Engine> {
    Engine::new(&config(None))
}

/// Makes an engine that only compiles, and finds functions that have not changed among those of an earlier compilation.
pub(super) fn compiling_with(functions: Arc<dyn CacheStore>) -> wasmtime::Result<Engine> {
    let mut config = config(None);
    config.enable_incremental_compilation(functions)?;
    Engine::new(&config)
}

/// Returns the settings of an engine. Apart from the pool, engines that compile code and engines that run it need equal
/// settings.
fn config(pool: Option<PoolSize>) -> Config {
    let mut config = Config::new();
    config.epoch_interruption(true);
    // Support for component-model async costs each call about 10 µs, and the contract does not use it.
    config.concurrency_support(false);
    // JavaScript needs about three bytes of native stack for each byte of its stack in memory, which its engine limits
    // to
    // 256 KiB. The limit costs nothing by itself: the stacks have the same size, and only pages that were used are
    // cleared.
    config.max_wasm_stack(1 << 20);
    config.async_stack_size(2 << 20);
    if let Some(size) = pool {
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pooling(size)));
    }
    config
}

fn pooling(size: PoolSize) -> PoolingAllocationConfig {
    // A nested dispatch needs an instance while its caller keeps its own, so the pool has two for each call. A
    // component has several core instances, memories and tables; for one that is kept, one memory is the rule, and
    // where that is too little, others that are kept give up their places.
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let (calls, kept) = (number(size.calls.saturating_mul(2)), number(size.kept));
    let places = |of_call: u32, of_kept: u32| {
        let kept = kept.saturating_mul(of_kept);
        calls.saturating_mul(of_call).saturating_add(kept)
    };
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(places(1, 1))
        .total_stacks(places(1, 1))
        .total_memories(places(2, 1))
        .total_tables(places(4, 2))
        .total_core_instances(places(8, 4))
        .max_memories_per_component(MAX_MEMORIES as u32)
        .max_tables_per_component(MAX_TABLES as u32)
        .max_core_instances_per_component(MAX_CORE_INSTANCES as u32)
        .max_memories_per_module(MAX_MODULE_MEMORIES as u32)
        .max_tables_per_module(MAX_MODULE_TABLES as u32)
        .table_elements(MAX_TABLE_ELEMENTS)
        .max_memory_size(size.memory)
        .max_core_instance_size(4 << 20)
        .max_component_instance_size(4 << 20)
        // wasmtime clears resident pages itself instead of by a system call, which is faster for small memories.
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .table_keep_resident(64 << 10)
        .async_stack_keep_resident(64 << 10);
    pool
}

/// The thread that advances the engine's epoch while calls run. The thread is parked while no call runs.
pub(super) struct Ticker {
    state: Arc<TickerState>,
    thread: Thread,
    handle: Option<JoinHandle<()>>,
}

/// State that calls and the thread share.
///
/// All accesses are sequentially consistent, because [`park`] and [`Ticker::run`] each write one field and then read
/// the other's: with weaker orderings both could read the old value, and the thread would stay parked during a call.
#[derive(Default)]
struct TickerState {
    /// The number of calls that run now.
    running: AtomicUsize,
    /// True while the thread is parked, or about to be.
    parked: AtomicBool,
    /// True once the ticker is dropped.
    stopped: AtomicBool,
}

impl Ticker {
    /// Starts the thread for an engine.
    pub(super) fn start(engine: Engine) -> std::io::Result<Self> {
        let state = Arc::new(TickerState::default());
        let state_of_thread = Arc::clone(&state);
        let handle = thread::Builder::new()
            .name("epoch".to_owned())
            .spawn(move || tick(&state_of_thread, &engine))?;
        let thread = handle.thread().clone();
        Ok(Self {
            state,
            thread,
            handle: Some(handle),
        })
    }

    /// Makes the epoch advance until the guard is dropped.
    pub(super) fn run(&self) -> TickGuard<'_> {
        // The call is counted before `parked` is read. See `park` for the other side.
        self.state.running.fetch_add(1, Ordering::SeqCst);
        if self.state.parked.load(Ordering::SeqCst) {
            self.thread.unpark();
        }
        TickGuard { state: &self.state }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.state.stopped.store(true, Ordering::SeqCst);
        self.thread.unpark();
        if let Some(handle) = self.handle.take() {
            // The thread does not panic, so there is no error to report.
            let _ = handle.join();
        }
    }
}

/// Counts a running call until it is dropped.
pub(super) struct TickGuard<'a> {
    state: &'a TickerState,
}

impl Drop for TickGuard<'_> {
    fn drop(&mut self) {
        self.state.running.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Ticks after the last call before the thread is parked, so that short pauses between calls do not park it.
const IDLE_TICKS: u32 = 100;

/// Advances the epoch once a tick until the ticker is dropped.
fn tick(state: &TickerState, engine: &Engine) {
    let mut idle = 0;
    while !state.stopped.load(Ordering::SeqCst) {
        thread::sleep(TICK);
        engine.increment_epoch();
        idle = if state.running.load(Ordering::SeqCst) == 0 {
            idle + 1
        } else {
            0
        };
        if idle >= IDLE_TICKS {
            park(state);
            idle = 0;
        }
    }
}

/// Parks this thread until a call runs or the ticker is dropped.
fn park(state: &TickerState) {
    // A call counts itself and then reads `parked`; this thread sets `parked` and then reads the count. In any order of
    // these four steps, at least one side sees the other: either the loop does not park, or the call unparks it. An
    // unpark that comes before `thread::park` makes that park return at once.
    state.parked.store(true, Ordering::SeqCst);
    // `thread::park` may also return without a reason, so the conditions are tested again.
    while state.running.load(Ordering::SeqCst) == 0 && !state.stopped.load(Ordering::SeqCst) {
        thread::park();
    }
    state.parked.store(false, Ordering::SeqCst);
}
