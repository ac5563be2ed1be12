//! The runtime: loads handlers and calls them. The only room that knows wasmtime.

mod bindings;
mod call;
mod compile;
mod convert;
mod declarations;
mod engine;
mod error;
mod exports;
mod handler;
mod imports;
mod limits;
mod offer;
mod output;
mod pattern;
mod services;
mod settings;
mod shown;
mod state;
mod wasm_info;

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::Semaphore;
use wasmtime::Engine;
use wasmtime::component::{HasSelf, Linker};

pub use self::call::{CallContext, Outcome};
pub use self::compile::{
    COMMAND as COMPILE_COMMAND, Compiler, ContentHash, MAX_FILE, compile_in_child, this_program,
};
pub use self::declarations::{Declarations, Listener, Policy, Route, Stage};
pub use self::error::{CallError, LoadError};
pub use self::handler::Handler;
pub use self::limits::MemoryBudget;
pub use self::offer::Offer;
pub use self::services::{Dispatcher, MessageSizes};
pub use self::settings::HandlerSettings;
pub use self::shown::{
    DeclarationsShown, ListenerShown, Of, PolicyShown, RouteShown, each, routes_of,
};
pub use self::wasm_info::{Kind, Memory, WasmInfo};

use self::compile::Compilation;
use self::engine::{PoolSize, Ticker};
use self::handler::{Code, Shared};
use self::services::Services;
use self::state::State;
use crate::emitter::Emitter;
use crate::metrics::Calls;

/// Bytes of one linear memory of 32 bits. The pool only reserves addresses; what a call may use is its limit.
const MAX_MEMORY: usize = 4 << 30;

/// What a runtime is built from.
#[derive(Debug)]
pub struct RuntimeSettings {
    /// Calls at the same time.
    pub calls: usize,
    /// Bytes of memory that all calls together may use.
    pub memory_budget: usize,
    /// The largest messages of guests that are passed on.
    pub sizes: MessageSizes,
    /// Where components are compiled.
    pub compiler: Compiler,
}

/// One engine, one linker, one clock: everything that handlers share.
pub struct Runtime {
    engine: Engine,
    linker: Linker<State>,
    compilation: Compilation,
    shared: Arc<Shared>,
}

/// A file that is to become a handler.
pub struct Candidate {
    /// Its path below the folder.
    pub name: Arc<str>,
    /// Its content.
    pub wasm: Bytes,
    /// The hash of the content.
    pub hash: ContentHash,
    /// Which version of the file this is.
    pub generation: u64,
    /// The handler's settings.
    pub settings: HandlerSettings,
    /// Permits for calls of this file.
    pub permits: Arc<Semaphore>,
    /// What calls of this file came to.
    pub calls: Arc<Calls>,
}

impl Runtime {
    /// Builds a runtime whose guests emit through `emitter`. Must be called within a tokio runtime.
    pub fn new(settings: RuntimeSettings, emitter: Emitter) -> wasmtime::Result<Self> {
        let engine = engine::pooled(PoolSize {
            calls: settings.calls,
            memory: MAX_MEMORY,
        })?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        bindings::Handler::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state)?;
        let budget = MemoryBudget::new(settings.memory_budget);
        let services = Arc::new(Services {
            sizes: settings.sizes,
            emitter,
            budget,
            dispatcher: OnceLock::new(),
        });
        let ticker = Ticker::start(engine.clone())?;
        let compilation = Compilation::new(settings.compiler);
        Ok(Self {
            engine,
            linker,
            compilation,
            shared: Arc::new(Shared { services, ticker }),
        })
    }

    /// Gives guests their way back into the pipeline. The first call counts.
    pub fn set_dispatcher(&self, dispatcher: Arc<dyn Dispatcher>) {
        let _ = self.shared.services.dispatcher.set(dispatcher);
    }

    /// Loads a file: recognises, compiles and links it, and asks it to describe itself.
    ///
    /// With the code of an earlier handler of the same content (`known`) nothing is compiled.
    pub async fn load(
        &self,
        mut candidate: Candidate,
        known: Option<&Handler>,
    ) -> Result<Handler, LoadError> {
        let wasm = std::mem::take(&mut candidate.wasm);
        let code = match known.filter(|known| known.hash() == candidate.hash) {
            Some(known) => known.code().clone(),
            None => self.compile(wasm, candidate.hash).await?,
        };
        Handler::load(candidate, code, Arc::clone(&self.shared)).await
    }

    async fn compile(&self, wasm: Bytes, hash: ContentHash) -> Result<Code, LoadError> {
        wasm_info::recognise(&wasm)?;
        let (began, size) = (Instant::now(), wasm.len());
        let component = self.compilation.compile(&self.engine, wasm).await?;
        let compile_time = began.elapsed();
        let unknown = compile::unknown_imports(&self.engine, &component, |name| {
            Offer::of(name) != Offer::Unknown
        });
        if !unknown.is_empty() {
            return Err(LoadError::UnknownImports(unknown.join(", ")));
        }
        let pre = self.linker.instantiate_pre(&component);
        let pre = pre.map_err(|error| {
            LoadError::UnknownImports(format!(
                "something differently than this server provides it ({error:#})"
            ))
        })?;
        Ok(Code {
            hash,
            component,
            pre,
            size,
            compile_time,
        })
    }
}
