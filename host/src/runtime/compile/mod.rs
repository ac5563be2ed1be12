//! Compiles components to native code and loads the code into this process.
//!
//! wasmtime does not promise that compiling is safe: a crafted file may make the compiler loop or use much memory. A
//! component is therefore compiled in a child process that runs this same program at low priority and under limits, as
//! many at a time as the machine has room for (`places`).
//!
//! The child gets the file and the functions of its version before on its standard input, after the job and their
//! lengths, and the input stays open until the child has ended. The end of the input means that the parent has ended,
//! however that happened, and ends the child.

mod child;
mod command;
mod compiler;
mod functions;
mod job;
mod native;
mod places;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wasmtime::Engine;
use wasmtime::component::Component;

pub use self::command::{COMMAND, CompileError, compile_in_child};
pub use self::compiler::{Compiler, this_program};

use self::child::in_child;
use self::job::{Input, Job, Output};
use self::places::Places;
use super::adapt::Adapter;
use super::artifact::{CacheCounts, CacheSettings, CachedCode, CodeCache, EngineId, EntryKey};
use super::content_hash::ContentHash;
use super::error::LoadError;
use super::settings::Serve;

/// Largest size of a handler's file in bytes.
pub const MAX_FILE: u64 = 64 << 20;

/// Entries that are written to the disk at the same time.
const STORES: usize = 4;
/// Entries that are read from the disk at the same time: more than files are loaded and compiled at once.
const READS: usize = 64;
/// Longest time that a file waits for the cache. It is compiled then, as if the cache did not have it.
const CACHE_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest time that the end of a command waits until its entries are written.
const STORE_TIMEOUT: Duration = Duration::from_secs(5);

/// Gets code for files: from the cache, or by compiling them.
pub(super) struct Compilation {
    engine: Engine,
    engine_id: EngineId,
    compiler: Compiler,
    cache: Arc<CodeCache>,
    /// Entries that are being written to the cache, so that nobody waits for the disk.
    storing: TaskTracker,
    stores: Arc<Semaphore>,
    reads: Arc<Semaphore>,
    places: Places,
    compiled: Compiled,
    stopping: CancellationToken,
}

/// The files that were compiled, adapted ones twice.
#[derive(Debug, Default)]
pub(super) struct Compiled {
    count: AtomicU64,
    /// Time that they took, in microseconds.
    micros: AtomicU64,
}

impl Compiled {
    fn add(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.count.fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// Returns the number of jobs that processes have done, and the time that these took together.
    pub(super) fn totals(&self) -> (u64, Duration) {
        let micros = self.micros.load(Ordering::Relaxed);
        (
            self.count.load(Ordering::Relaxed),
            Duration::from_micros(micros),
        )
    }
}

/// Code that was in the cache.
pub(super) struct Kept {
    /// The component that was made of the file, if that is a core module.
    pub(super) adapted: Option<Bytes>,
    /// Its code.
    pub(super) code: Component,
}

impl Compilation {
    /// Makes a compilation whose processes use about `memory` bytes together.
    pub(super) fn new(
        engine: Engine,
        compiler: Compiler,
        memory: u64,
        cache: CacheSettings,
    ) -> Self {
        Self {
            engine_id: EngineId::of(&engine),
            engine,
            compiler,
            cache: Arc::new(CodeCache::new(cache)),
            storing: TaskTracker::new(),
            stores: Arc::new(Semaphore::new(STORES)),
            reads: Arc::new(Semaphore::new(READS)),
            places: Places::new(memory),
            compiled: Compiled::default(),
            stopping: CancellationToken::new(),
        }
    }

    /// Returns the number of files that were compiled or adapted, and the time that these took together.
    pub(super) fn compiled(&self) -> (u64, Duration) {
        self.compiled.totals()
    }

    /// Returns the number of files that are compiled now.
    pub(super) fn running(&self) -> usize {
        self.places.taken()
    }

    /// Returns what has become of entries of the cache.
    pub(super) fn cache_counts(&self) -> &CacheCounts {
        self.cache.counts()
    }

    /// Returns the sentence that says why the cache cannot be used, if that was so the last time.
    pub(super) fn cache_trouble(&self) -> Option<String> {
        self.cache.trouble()
    }

    /// Checks the folder of the cache.
    pub(super) async fn prepare_cache(&self) {
        let cache = Arc::clone(&self.cache);
        // A panic there costs the cache, and is in the log. A disk that hangs must not hold the start.
        let prepared = tokio::task::spawn_blocking(move || cache.prepare());
        let _ = tokio::time::timeout(CACHE_TIMEOUT, prepared).await;
    }

    /// Returns the key under which the code of a file is kept.
    pub(super) fn key(
        &self,
        content: ContentHash,
        serve: Serve,
        adapter: Option<Adapter>,
    ) -> EntryKey {
        EntryKey::new(self.engine_id, content, serve, adapter)
    }

    /// Returns the key under which the code of a part of the server itself is kept.
    pub(super) fn key_of_part(&self, content: ContentHash) -> EntryKey {
        EntryKey::of_part(self.engine_id, content)
    }

    /// Returns the code of a file, if it is in the cache.
    pub(super) async fn kept(&self, key: &EntryKey) -> Option<Kept> {
        let (engine, key) = (self.engine.clone(), key.clone());
        let load = move |cache: &CodeCache| {
            let CachedCode { adapted, code } = cache.load(&key)?;
            let loaded = native::load(&engine, &code);
            let code = loaded.inspect_err(|_| cache.reject(&key)).ok()?;
            Some(Kept { adapted, code })
        };
        self.ask_cache(load).await
    }

    /// Asks the cache, for a limited time.
    async fn ask_cache<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&CodeCache) -> Option<T> + Send + 'static,
    ) -> Option<T> {
        if !self.cache.is_on() {
            return None;
        }
        // A disk that hangs holds so many threads and no more, and then nobody waits for it.
        let turn = Arc::clone(&self.reads).try_acquire_owned().ok()?;
        let cache = Arc::clone(&self.cache);
        let asked = tokio::task::spawn_blocking(move || {
            let found = ask(&cache);
            drop(turn);
            found
        });
        let found = tokio::time::timeout(CACHE_TIMEOUT, asked).await.ok()?;
        found.ok().flatten()
    }

    /// Compiles a component to native code and keeps it under `key`, together with the component itself if it was made
    /// of a core module. The functions of the component of a handler are kept for its next version; `handler` is `None`
    /// for parts of the server. After [`Compilation::stop`] this future never ends, because the file is not at fault
    /// and nobody needs it any more.
    pub(super) async fn compile(
        &self,
        handler: Option<&str>,
        key: EntryKey,
        wasm: Bytes,
        is_adapted: bool,
    ) -> Result<Component, LoadError> {
        let adapted = is_adapted.then(|| wasm.clone());
        let functions_key =
            handler.and_then(|name| self.cache.key_of_functions(self.engine_id, name));
        let job = match functions_key {
            Some(_) => Job::CompileAgain,
            None => Job::Compile,
        };
        let output = self.run(job, wasm, functions_key.as_ref()).await?;
        let (engine, code) = (self.engine.clone(), output.made.clone());
        let native = blocking(move || native::load(&engine, &code)).await?;
        let functions = functions_key.filter(|_| !output.functions.is_empty());
        let functions = functions.map(|key| (key, CachedCode::of(output.functions)));
        let code = CachedCode {
            adapted,
            code: output.made,
        };
        self.store((key, code), functions).await;
        Ok(native)
    }

    /// Begins to write code to the cache, and then functions, and returns before they are written.
    async fn store(
        &self,
        (key, code): (EntryKey, CachedCode),
        functions: Option<(EntryKey, CachedCode)>,
    ) {
        if !self.cache.is_on() {
            return;
        }
        // Slow disks hold compiling up, so that what waits to be written does not fill the memory.
        let turn = Arc::clone(&self.stores).acquire_owned();
        let Ok(Ok(turn)) = tokio::time::timeout(CACHE_TIMEOUT, turn).await else {
            return;
        };
        let cache = Arc::clone(&self.cache);
        self.storing.spawn_blocking(move || {
            let is_kept = cache.store(&key, &code);
            if let Some((key, functions)) = functions.filter(|_| is_kept) {
                cache.store_functions(&key, &functions);
            }
            drop(turn);
        });
    }

    /// Waits until the entries that are being written are there, for a limited time.
    pub(super) async fn finish_storing(&self) {
        self.storing.close();
        // What is not written now is compiled again at the next start.
        let _ = tokio::time::timeout(STORE_TIMEOUT, self.storing.wait()).await;
    }

    /// Makes a core module a component. After [`Compilation::stop`] this future never ends.
    pub(super) async fn adapt(&self, module: Bytes, adapter: Adapter) -> Result<Bytes, LoadError> {
        Ok(self.run(Job::Adapt(adapter), module, None).await?.made)
    }

    /// Does a job, with the functions of the version before if they are kept under `functions`.
    async fn run(
        &self,
        job: Job,
        wasm: Bytes,
        functions: Option<&EntryKey>,
    ) -> Result<Output, LoadError> {
        let place = self.places.take(wasm.len()).await;
        let began = Instant::now();
        let functions = match functions.cloned() {
            Some(key) => self.ask_cache(move |cache| cache.find(&key)).await,
            None => None,
        };
        let functions = functions.map(|kept| kept.code).unwrap_or_default();
        let input = Input { wasm, functions };
        let result = match &self.compiler {
            Compiler::Child(program) => {
                let threads = place.threads;
                in_child(program, job, input, threads, &self.stopping).await?
            }
            Compiler::Here => Some(blocking(move || job.run(&input)).await?),
        };
        drop(place);
        let Some(result) = result else {
            return std::future::pending().await;
        };
        self.compiled.add(began.elapsed());
        Ok(result)
    }

    /// Ends the child processes that compile, and lets no other begin. Returns when they have ended and what was
    /// compiled is written to the cache.
    pub(super) async fn stop(&self) {
        self.stopping.cancel();
        self.places.all_free().await;
        self.finish_storing().await;
    }
}

/// Runs work that takes long on a thread of its own, so that no async worker is blocked.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LoadError> + Send + 'static,
) -> Result<T, LoadError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| LoadError::Compile(error.to_string()))?
}

/// Returns the names of the interfaces that a component imports and `known` does not accept.
pub(super) fn unknown_imports(
    engine: &Engine,
    component: &Component,
    known: impl Fn(&str) -> bool,
) -> Vec<String> {
    let ty = component.component_type();
    ty.imports(engine)
        .map(|(name, _)| name.to_owned())
        .filter(|name| !known(name))
        .collect()
}
