//! The runtime: loads handlers and calls them.
//!
//! Only this folder uses wasmtime. [`Runtime::load`] turns a file into a [`Handler`], whose methods (`on_request`,
//! `on_event`, …) are the calls.

mod adapt;
mod artifact;
mod bindings;
mod bundler;
mod call;
mod capabilities;
mod cgi;
mod code;
mod compile;
mod content_hash;
pub mod contract;
mod convert;
mod engine;
mod error;
mod exports;
mod footprint;
mod guest;
mod handler;
mod incoming_http;
mod instance;
pub mod kinds;
mod last_error;
mod module_error;
mod pattern;
mod remedies;
mod script;
mod script_error;
mod secrets;
mod services;
mod settings;
mod source_map;
mod types_of_contract;
mod wasm_info;
pub mod wit;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Extensions;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};
use wasmtime::Engine;
use wasmtime::component::{Component, InstancePre, Linker};

use crate::names;

pub use self::artifact::{CacheCounts, CacheSettings};
pub use self::bundler::{BundleError, BundleSource, Bundled, Bundler, BundlerBackend};
pub use self::call::{CallContext, Outcome};
pub use self::capabilities::{
    AllowedNetworks, ImportSupport, OutboundEntry, OutgoingHttp, OutgoingSettings,
};
pub use self::code::CodeOrigin;
pub use self::compile::{
    COMMAND as COMPILE_COMMAND, CompileError, Compiler, MAX_FILE, compile_in_child, this_program,
};
pub use self::content_hash::ContentHash;
pub use self::error::{CallError, LoadError};
pub use self::guest::Guest;
pub use self::handler::Handler;
pub use self::incoming_http::{Head, Incoming};
pub use self::instance::counts::{InstanceEnd, KeptInstances};
pub use self::last_error::LastError;
pub use self::module_error::ModuleError;
pub use self::script::{
    ImportedFile, MAX_SCRIPT, Modules, bundle_path, instead_of, is_bundle, packages, write_bundle,
};
pub use self::script_error::{ImportError, ScriptError, TextError};
pub use self::secrets::{Secret, Secrets};
pub use self::services::{Dispatcher, MessageSizes};
pub use self::settings::{BucketAccess, HandlerSettings, Life, ScheduleSetting, Serve};
pub use self::source_map::SourceMap;
pub use self::wasm_info::{Memory, WasmInfo, WasmKind};

use self::adapt::Adapter;
use self::code::Code;
use self::compile::Compilation;
use self::engine::{PoolSize, Ticker};
use self::footprint::Footprint;
use self::instance::keeper::Keeper;
use self::instance::limits::MemoryBudget;
use self::instance::state::State;
use self::script::{Scripts, Shared, Source};
use self::services::Services;

/// Bytes of one linear memory with 32-bit addresses.
///
/// The pool only reserves address space for it. The limits of a call bound the memory that it may use.
const MAX_MEMORY: usize = 4 << 30;

/// The settings and parts from which a runtime is built.
#[derive(Debug)]
pub struct RuntimeSettings {
    /// Calls of all handlers that may run at the same time.
    pub calls: usize,
    /// Memory that all calls together may use, in bytes.
    pub memory_budget: usize,
    /// Instances that are kept between calls at most, of all handlers.
    pub kept_instances: usize,
    /// The largest messages of guests that the server passes on.
    pub sizes: MessageSizes,
    /// The place in which components are compiled.
    pub compiler: Compiler,
    /// Memory that all processes which compile may use together, in bytes. A file that needs more is compiled alone.
    pub compile_memory: u64,
    /// The folder in which compiled code is kept.
    pub cache: CacheSettings,
    /// The backends of capabilities, by type: `sockets` needs an [`Emitter`](crate::emitter::Emitter),
    /// `outgoing_http` an [`OutgoingHttp`]. With a [`BundlerBackend`], scripts that import packages are bundled.
    pub backends: Extensions,
}

/// Loads handlers, and owns all that they share: the engine, the linker, the ticker and the budget of memory.
pub struct Runtime {
    engine: Engine,
    linker: Linker<State>,
    compilation: Arc<Compilation>,
    scripts: Scripts,
    services: Arc<Services>,
    /// The task that ends instances which are kept for too long.
    sweeper: JoinHandle<()>,
    /// Closed when the sweeper has ended.
    swept: watch::Receiver<()>,
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.sweeper.abort();
    }
}

/// A file that may become a handler.
pub struct Candidate {
    /// The path of the file below the folder of handlers.
    pub name: Arc<str>,
    /// The content of the file.
    pub wasm: Bytes,
    /// The hash of the content.
    pub hash: ContentHash,
    /// The settings that the handler will have.
    pub settings: HandlerSettings,
    /// The files that it may import, if it is a script.
    pub modules: Modules,
}

impl Runtime {
    /// Builds a runtime. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// wasmtime refuses the settings, or the ticker's thread cannot be started.
    pub fn new(settings: RuntimeSettings) -> wasmtime::Result<Self> {
        let (engine, is_pooled) = engine::pooled(PoolSize {
            calls: settings.calls,
            kept: settings.kept_instances,
            memory: MAX_MEMORY,
        })?;
        let mut linker = Linker::new(&engine);
        capabilities::link(&mut linker)?;
        // Without a pool of places, idle instances take the address space that calls need. With one, places stay
        // resident that were used once, so no more are used for spare instances than for calls.
        let spare_limit = if is_pooled { settings.calls } else { 0 };
        let keeper = Keeper::new(settings.kept_instances, spare_limit);
        let (sweeping, swept) = watch::channel(());
        let sweep = Arc::clone(&keeper).sweep();
        let sweeper = tokio::spawn(async move {
            // Dropped with the task, whatever ends it.
            let _sweeping = sweeping;
            sweep.await;
        });
        let budget = MemoryBudget::new(settings.memory_budget, keeper);
        let services = Arc::new(Services {
            sizes: settings.sizes,
            budget,
            ticker: Ticker::start(engine.clone())?,
            describing: tokio::sync::Semaphore::new(1),
            dispatcher: OnceLock::new(),
            backends: settings.backends,
        });
        let compilation = Arc::new(Compilation::new(
            engine.clone(),
            settings.compiler,
            settings.compile_memory,
            settings.cache,
        ));
        let scripts = Scripts::new(Shared {
            engine: engine.clone(),
            linker: linker.clone(),
            compilation: Arc::clone(&compilation),
            services: Arc::clone(&services),
        });
        Ok(Self {
            engine,
            linker,
            compilation,
            scripts,
            services,
            sweeper,
            swept,
        })
    }

    /// Sets the dispatcher that answers the requests of guests. Only the first call has an effect.
    pub fn set_dispatcher(&self, dispatcher: Arc<dyn Dispatcher>) {
        let _ = self.services.dispatcher.set(dispatcher);
    }

    /// Returns the number of core instances that exist now. `None` if instances do not come from a pool.
    pub fn core_instances(&self) -> Option<u64> {
        let metrics = self.engine.pooling_allocator_metrics()?;
        Some(metrics.core_instances())
    }

    /// Returns the handle of the task that ends instances which are kept for too long. Only a bug ends the task.
    pub fn sweeper(&self) -> AbortHandle {
        self.sweeper.abort_handle()
    }

    /// Returns when that task has ended.
    pub async fn failed(&self) {
        let mut swept = self.swept.clone();
        // Nothing is ever sent, so only the end of the sender ends the wait.
        while swept.changed().await.is_ok() {}
    }

    /// Checks the folder of the cache, and removes what killed processes have left there.
    pub async fn prepare_cache(&self) {
        self.compilation.prepare_cache().await;
    }

    /// Returns the sentence that says why compiled code is not kept, if that was so the last time. The log has it too.
    pub fn cache_trouble(&self) -> Option<String> {
        self.compilation.cache_trouble()
    }

    /// Returns what has become of entries of the cache of compiled code.
    pub fn cache_counts(&self) -> &CacheCounts {
        self.compilation.cache_counts()
    }

    /// Waits until what was compiled is written to the cache, for a limited time. A command calls this at its end.
    pub async fn finish_storing(&self) {
        self.compilation.finish_storing().await;
    }

    /// Returns the number of files that were compiled or adapted, and the time that these took together, without
    /// waiting.
    pub fn compiled(&self) -> (u64, Duration) {
        self.compilation.compiled()
    }

    /// Returns the number of files that are compiled now.
    pub fn compiling(&self) -> usize {
        self.compilation.running()
    }

    /// Begins to prepare the code that all scripts share, in the background, unless it is there or being prepared.
    pub fn prepare_scripts(&self) {
        self.scripts.prepare();
    }

    /// Returns true if the code that all scripts share is there.
    pub fn is_ready_for_scripts(&self) -> bool {
        self.scripts.is_ready()
    }

    /// Waits until the preparation that [`Runtime::prepare_scripts`] has begun is over, whatever came of it.
    pub async fn scripts_prepared(&self) {
        self.scripts.prepared().await;
    }

    /// Ends the compilations that run, and lets no other begin: a [`Runtime::load`] that has to compile never ends any
    /// more. Returns when the child processes that compiled have ended.
    pub async fn stop_compiling(&self) {
        self.compilation.stop().await;
    }

    /// Loads a file: recognises, compiles and links it, calls `describe` and checks the declarations.
    ///
    /// If `known`, an earlier handler, has the same content, its code is used and nothing is compiled.
    pub async fn load(
        &self,
        candidate: Candidate,
        known: Option<&Handler>,
    ) -> Result<Handler, LoadError> {
        let Candidate {
            name,
            wasm,
            hash,
            settings,
            modules,
        } = candidate;
        let is_script = names::is_script(&name);
        if is_script {
            return self.load_script(name, wasm, hash, settings, modules).await;
        }
        let is_same =
            |known: &&Handler| known.hash() == hash && known.settings.serve == settings.serve;
        let code = match known.filter(is_same) {
            Some(known) => {
                known
                    .code
                    .footprint
                    .check(&settings, &self.services.budget)?;
                known.code.clone()
            }
            None => self.compile(&name, wasm, hash, &settings).await?,
        };
        Handler::load(name, settings, code, Arc::clone(&self.services)).await
    }

    /// Loads a script. It is evaluated each time, because what it imports may have changed.
    async fn load_script(
        &self,
        name: Arc<str>,
        content: Bytes,
        hash: ContentHash,
        settings: HandlerSettings,
        modules: Modules,
    ) -> Result<Handler, LoadError> {
        let source = Source {
            name: &name,
            content,
            modules,
            hash,
            settings: &settings,
        };
        let code = self.scripts.load(source).await?;
        let handler = Handler::load(name, settings, code, Arc::clone(&self.services)).await?;
        if handler.declarations.is_empty() {
            return Err(ScriptError::DeclaresNothing.into());
        }
        Ok(handler)
    }

    /// Returns the component that `adapter` makes of a core module, with its structure. `kept` is that component, if it
    /// was made before.
    async fn adapt(
        &self,
        module: Bytes,
        info: WasmInfo,
        adapter: Adapter,
        kept: Option<Bytes>,
    ) -> Result<(Bytes, WasmInfo), LoadError> {
        let component = match kept {
            Some(component) => component,
            None => self.compilation.adapt(module, adapter).await?,
        };
        let adapted = info.adapted_to(WasmInfo::of(&component)?);
        Ok((component, adapted))
    }

    /// Recognises, compiles and links a file that can begin within `settings`.
    async fn compile(
        &self,
        name: &str,
        file: Bytes,
        hash: ContentHash,
        settings: &HandlerSettings,
    ) -> Result<Code, LoadError> {
        let (began, size) = (Instant::now(), file.len());
        let info = WasmInfo::of(&file)?;
        let adapter = adapt::adapter_if_module(&info, settings.serve)?;
        let key = self.compilation.key(hash, settings.serve, adapter);
        let kept = self.compilation.kept(&key).await;
        let (wasm, info) = match adapter {
            None => (file, info),
            Some(adapter) => {
                let kept = kept.as_ref().and_then(|kept| kept.adapted.clone());
                self.adapt(file, info, adapter, kept).await?
            }
        };
        wasm_info::recognise(&info, settings.serve)?;
        let footprint =
            Footprint::of(&wasm).map_err(|error| LoadError::Invalid(error.to_string()))?;
        footprint.check(settings, &self.services.budget)?;
        let (component, origin) = match kept {
            Some(kept) => (kept.code, CodeOrigin::Cached),
            None => {
                let is_adapted = adapter.is_some();
                let compiled = self.compilation.compile(Some(name), key, wasm, is_adapted);
                (compiled.await?, CodeOrigin::Compiled)
            }
        };
        let compile_time = began.elapsed();
        let pre = self.link(&component, &info)?;
        Ok(Code {
            hash,
            component,
            pre,
            footprint,
            size,
            origin,
            compile_time,
            can_rewind: false,
            source_map: None,
            adapted: (info.kind == WasmKind::AdaptedModule).then(|| info.into()),
        })
    }

    /// Links the imports of a component.
    fn link(
        &self,
        component: &Component,
        info: &WasmInfo,
    ) -> Result<InstancePre<State>, LoadError> {
        let unknown = compile::unknown_imports(&self.engine, component, |name| {
            ImportSupport::of(name) != ImportSupport::Unknown
        });
        if !unknown.is_empty() {
            return Err(LoadError::unknown_imports(&unknown, &info.languages));
        }
        let linked = self.linker.instantiate_pre(component);
        linked.map_err(|error| LoadError::UnknownImports {
            imports: format!("something differently than this server provides it ({error:#})"),
            remedy: remedies::OTHERWISE,
        })
    }
}
