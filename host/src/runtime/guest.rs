//! A guest that can be called: its code, its settings and its exports.
//!
//! The calls themselves are in `kinds`, with one file for each kind of declaration.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::SemaphorePermit;
use wasmtime::Store;

use super::bindings::hitchy::platform::types;
use super::call::{CallContext, Outcome};
use super::code::{Code, CodeOrigin};
use super::content_hash::ContentHash;
use super::convert;
use super::error::CallError;
use super::exports::Exports;
use super::instance::Strategy;
use super::instance::counts::KeptInstances;
use super::instance::lease::Owner;
use super::instance::state::{Call, Phase, State};
use super::instance::store::{Linked, Template};
use super::kinds::kind::Kind;
use super::services::{MessageSizes, Services};
use super::settings::HandlerSettings;
use super::wasm_info::WasmInfo;

/// The guest of one handler.
pub struct Guest {
    /// The path of its file below the folder of handlers.
    pub name: Arc<str>,
    /// The settings that the operator made for the handler.
    pub settings: Arc<HandlerSettings>,
    pub(super) code: Code,
    pub(super) exports: Exports,
    services: Arc<Services>,
    strategy: Strategy,
}

impl Guest {
    pub(super) fn new(
        name: Arc<str>,
        settings: HandlerSettings,
        code: Code,
        exports: Exports,
        services: Arc<Services>,
    ) -> Self {
        let keeper = services.budget.keeper();
        let strategy = Strategy::of(&name, &settings, keeper, code.can_rewind);
        Self {
            name,
            settings: Arc::new(settings),
            code,
            exports,
            services,
            strategy,
        }
    }

    /// Returns the hash of its file's content.
    pub fn hash(&self) -> ContentHash {
        self.code.hash
    }

    /// Returns the size of its file in bytes.
    pub fn size(&self) -> usize {
        self.code.size
    }

    /// Returns the structure of its file, if that is a core module that was made a component.
    pub fn adapted(&self) -> Option<&WasmInfo> {
        self.code.adapted.as_deref()
    }

    /// Returns how its code was got.
    pub fn code_origin(&self) -> CodeOrigin {
        self.code.origin
    }

    /// Returns how long it took to get its code: to compile the file, or to load its code from the cache.
    pub fn compile_time(&self) -> Duration {
        self.code.compile_time
    }

    /// Returns the numbers of its instances, if they live longer than a call, or those of an earlier generation did.
    pub fn kept_instances(&self) -> Option<KeptInstances> {
        self.strategy.now()
    }

    /// Ends the instances that were kept for later calls, because the handler is not served any more. Calls that run go
    /// on, and their instances end with them.
    pub fn retire(&self) {
        self.strategy.close();
    }

    /// Returns the sizes of the largest messages that are passed on.
    pub(super) fn sizes(&self) -> MessageSizes {
        self.services.sizes
    }

    /// Waits until no other guest is in `describe`, and keeps others out until the permit is dropped.
    pub(super) async fn turn_to_describe(&self) -> Option<SemaphorePermit<'_>> {
        // The semaphore is never closed.
        self.services.describing.acquire().await.ok()
    }

    /// Makes the call's data, whose end is the earlier of the caller's deadline and that of `settings`.
    ///
    /// `settings` are the guest's own, except in `describe`.
    pub(super) fn call(
        &self,
        context: CallContext,
        phase: Phase,
        settings: Arc<HandlerSettings>,
    ) -> Call {
        new_call(context, phase, settings)
    }

    /// Runs one call of phase [`Phase::Serving`] with the guest's own settings, in an instance for `owner`.
    pub(super) async fn serve<T>(
        &self,
        context: CallContext,
        owner: Owner<'_>,
        body: impl AsyncFnOnce(&mut Store<State>, &mut Linked) -> wasmtime::Result<T>,
    ) -> Result<T, CallError> {
        let call = self.call(context, Phase::Serving, Arc::clone(&self.settings));
        self.run(call, owner, body).await
    }

    /// Runs one call in an instance for `owner`.
    pub(super) async fn run<T>(
        &self,
        mut call: Call,
        owner: Owner<'_>,
        body: impl AsyncFnOnce(&mut Store<State>, &mut Linked) -> wasmtime::Result<T>,
    ) -> Result<T, CallError> {
        let template = Template {
            name: &self.name,
            pre: &self.code.pre,
            services: &self.services,
            source_map: self.code.source_map.as_ref(),
        };
        let mut lease = self.strategy.check_out(owner, &mut call).await?;
        lease.call(template, call, body).await
    }

    /// Returns the functions that the guest exports for declarations of a kind.
    pub(super) fn load<K: Kind>(
        &self,
        store: &mut Store<State>,
        linked: &mut Linked,
    ) -> wasmtime::Result<K::Loaded> {
        linked.export(store, |store, instance| {
            K::load(self.exports.get::<K::Export>()?, store, instance)
        })
    }

    /// Checks and converts the result that the guest returned.
    pub(super) fn outcome<G, T>(
        &self,
        answer: Result<G, types::Failure>,
        check: impl FnOnce(G, MessageSizes) -> Result<T, CallError>,
    ) -> Outcome<T> {
        match answer {
            Ok(value) => check(value, self.services.sizes).map(Ok),
            Err(failure) => convert::failure(failure).map(Err),
        }
    }
}

/// Makes the data of a call that begins now. It ends at the earlier of the caller's deadline and that of `settings`.
pub(super) fn new_call(context: CallContext, phase: Phase, settings: Arc<HandlerSettings>) -> Call {
    let began = Instant::now();
    let own_end = began + settings.deadline;
    Call {
        id: context.id,
        phase,
        began,
        entered: began,
        until: context.until.map_or(own_end, |until| until.min(own_end)),
        depth: context.depth,
        remote: context.remote,
        settings,
        stream: None,
        last_error: context.last_error,
    }
}
