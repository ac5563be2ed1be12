//! A loaded handler, and the calls of it.
//!
//! Each call gets a fresh instance in a store of its own: nothing that one call leaves behind can be seen by another, and a store
//! that saw a trap, a timeout or a dropped call is never used again.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::sync::Semaphore;
use wasmtime::component::{Component, Instance, InstancePre, ResourceTable};
use wasmtime::{Store, UpdateDeadline};
use wasmtime_wasi::WasiCtx;

use super::bindings::exports::hitchy::platform::{connections, events, http, policies, setup};
use super::compile::ContentHash;
use super::convert;
use super::declarations::Declarations;
use super::engine::{TICK, Ticker};
use super::error::{CallError, LoadError};
use super::imports::registration::Description;
use super::limits::{Limits, MemoryLimiter};
use super::output::Output;
use super::services::Services;
use super::state::{Call, Phase, RegistrarHandle, RequestHandle, SocketHandle, State};
use crate::message::{CallId, Event, Exchange, Response};
use crate::payload::{Failure, Payload};
use crate::sockets::Connection;

/// Bytes that the host takes from a guest in one call across the boundary.
const HOSTCALL_FUEL: usize = 8 << 20;
/// Resources and handles that a call may hold.
const MAX_HANDLES: usize = 2000;
/// How long `describe` may take.
const DESCRIBE: Duration = Duration::from_secs(1);

/// What all handlers of a runtime share.
pub(super) struct Shared {
    pub(super) services: Arc<Services>,
    pub(super) ticker: Ticker,
}

/// Code that can be called: compiled and linked, but not yet a handler of a certain name.
#[derive(Clone)]
pub(super) struct Code {
    pub(super) hash: ContentHash,
    pub(super) component: Component,
    pub(super) pre: InstancePre<State>,
    pub(super) size: usize,
    pub(super) compile_time: Duration,
}

/// A file of the folder, loaded.
pub struct Handler {
    /// Its path below the folder.
    pub name: Arc<str>,
    /// What it declares.
    pub declarations: Declarations,
    /// How many versions of this file have been served, this one included.
    pub generation: u64,
    /// What a call of it may use.
    pub limits: Arc<Limits>,
    /// Permits for calls of it; shared by all its generations.
    pub permits: Arc<Semaphore>,
    code: Code,
    exports: Exports,
    shared: Arc<Shared>,
}

/// The export interfaces, looked up one by one: absent means not offered.
#[derive(Clone)]
struct Exports {
    setup: Arc<setup::GuestIndices>,
    http: Option<Arc<http::GuestIndices>>,
    policies: Option<Arc<policies::GuestIndices>>,
    events: Option<Arc<events::GuestIndices>>,
    connections: Option<Arc<connections::GuestIndices>>,
}

/// What tells one call from another.
#[derive(Clone, Debug)]
pub struct CallContext {
    /// Its id.
    pub id: CallId,
    /// When it must have ended, if whoever calls has a deadline of its own.
    pub until: Option<Instant>,
    /// How many dispatches it is deep.
    pub depth: u32,
    /// The client that caused it.
    pub remote: SocketAddr,
}

impl CallContext {
    /// A call from a door.
    pub fn new(id: CallId, remote: SocketAddr) -> Self {
        Self {
            id,
            until: None,
            depth: 0,
            remote,
        }
    }
}

/// What a guest answered: something usable, or a failure of its own making.
pub type Outcome<T> = Result<Result<T, Failure>, CallError>;

impl Handler {
    /// Makes a handler of code: asks it to describe itself and checks what it says.
    pub(super) async fn load(
        name: Arc<str>,
        code: Code,
        generation: u64,
        limits: Limits,
        permits: Arc<Semaphore>,
        shared: Arc<Shared>,
    ) -> Result<Self, LoadError> {
        let exports = Exports::of(&code)?;
        let limits = Arc::new(limits);
        let mut handler = Self {
            name,
            declarations: Declarations::default(),
            generation,
            limits,
            permits,
            code,
            exports,
            shared,
        };
        let description = handler.describe().await.map_err(LoadError::Describe)?;
        handler.declarations = Declarations::check(description)?;
        handler.exports.check(&handler.declarations)?;
        Ok(handler)
    }

    /// The content of its file.
    pub fn hash(&self) -> ContentHash {
        self.code.hash
    }

    /// Bytes of its file.
    pub fn size(&self) -> usize {
        self.code.size
    }

    /// How long compiling it took.
    pub fn compile_time(&self) -> Duration {
        self.code.compile_time
    }

    pub(super) fn code(&self) -> &Code {
        &self.code
    }

    async fn describe(&self) -> Result<Description, CallError> {
        let nobody = SocketAddr::from(([0, 0, 0, 0], 0));
        let limits = Limits {
            deadline: DESCRIBE,
            cpu: DESCRIBE,
            ..Limits::clone(&self.limits)
        };
        let call = self.call(
            CallContext::new("describe".into(), nobody),
            Phase::Describe,
            Arc::new(limits),
        );
        self.run(call, async |store, instance| {
            let guest = self.exports.setup.load(&mut *store, instance)?;
            let registrar = store.data_mut().table.push(RegistrarHandle)?;
            guest.call_describe(&mut *store, registrar).await?;
            Ok(std::mem::take(&mut store.data_mut().description))
        })
        .await
    }

    /// Answers a request.
    pub async fn on_request(
        &self,
        context: CallContext,
        route: u32,
        exchange: Arc<Exchange>,
        params: Arc<[(String, String)]>,
    ) -> Outcome<Response> {
        let answer = self
            .serve(context, async |store, instance| {
                let guest = offered(&self.exports.http)?.load(&mut *store, instance)?;
                let request = store
                    .data_mut()
                    .table
                    .push(RequestHandle { exchange, params })?;
                guest.call_on_request(&mut *store, route, request).await
            })
            .await?;
        self.outcome(answer, convert::response)
    }

    /// Lets a request pass, answers it, or fails it.
    pub async fn on_before(
        &self,
        context: CallContext,
        policy: u32,
        exchange: Arc<Exchange>,
    ) -> Outcome<Option<Response>> {
        let answer = self
            .serve(context, async |store, instance| {
                let guest = offered(&self.exports.policies)?.load(&mut *store, instance)?;
                let request = store.data_mut().table.push(RequestHandle {
                    exchange,
                    params: Arc::new([]),
                })?;
                guest.call_on_before(&mut *store, policy, request).await
            })
            .await?;
        self.outcome(answer, |response, limits| {
            response
                .map(|response| convert::response(response, limits))
                .transpose()
        })
    }

    /// Is told of an answer.
    pub async fn on_after(
        &self,
        context: CallContext,
        policy: u32,
        exchange: Arc<Exchange>,
        status: u16,
    ) -> Outcome<()> {
        let told = self
            .serve(context, async |store, instance| {
                let guest = offered(&self.exports.policies)?.load(&mut *store, instance)?;
                let request = store.data_mut().table.push(RequestHandle {
                    exchange,
                    params: Arc::new([]),
                })?;
                guest
                    .call_on_after(&mut *store, policy, request, status)
                    .await
            })
            .await?;
        self.outcome(told, |(), _| Ok(()))
    }

    /// Handles an event.
    pub async fn on_event(
        &self,
        context: CallContext,
        listener: u32,
        connection: Arc<Connection>,
        event: &Event,
    ) -> Outcome<Option<Payload>> {
        let args = convert::payload_to_guest(event.payload.clone());
        let answer = self
            .serve(context, async |store, instance| {
                let guest = offered(&self.exports.events)?.load(&mut *store, instance)?;
                let socket = store.data_mut().table.push(SocketHandle(connection))?;
                guest
                    .call_on_event(
                        &mut *store,
                        listener,
                        socket,
                        &event.name,
                        &args,
                        event.ack_wanted,
                    )
                    .await
            })
            .await?;
        self.outcome(answer, |ack, limits| {
            ack.map(|ack| convert::ack(ack, limits)).transpose()
        })
    }

    /// Lets a client connect, or refuses it.
    pub async fn on_connect(
        &self,
        context: CallContext,
        hook: u32,
        connection: Arc<Connection>,
    ) -> Outcome<()> {
        let call = self.call(context, Phase::Connecting, Arc::clone(&self.limits));
        let answer = self
            .run(call, async |store, instance| {
                let guest = offered(&self.exports.connections)?.load(&mut *store, instance)?;
                let socket = store.data_mut().table.push(SocketHandle(connection))?;
                guest.call_on_connect(&mut *store, hook, socket).await
            })
            .await?;
        self.outcome(answer, |(), _| Ok(()))
    }

    /// Is told of a client that has connected.
    pub async fn on_connected(
        &self,
        context: CallContext,
        hook: u32,
        connection: Arc<Connection>,
    ) -> Outcome<()> {
        let told = self
            .serve(context, async |store, instance| {
                let guest = offered(&self.exports.connections)?.load(&mut *store, instance)?;
                let socket = store.data_mut().table.push(SocketHandle(connection))?;
                guest.call_on_connected(&mut *store, hook, socket).await
            })
            .await?;
        self.outcome(told, |(), _| Ok(()))
    }

    /// Is told of a client that has gone.
    pub async fn on_disconnect(
        &self,
        context: CallContext,
        hook: u32,
        connection: Arc<Connection>,
        reason: &'static str,
    ) -> Outcome<()> {
        let told = self
            .serve(context, async |store, instance| {
                let guest = offered(&self.exports.connections)?.load(&mut *store, instance)?;
                let socket = store.data_mut().table.push(SocketHandle(connection))?;
                guest
                    .call_on_disconnect(&mut *store, hook, socket, reason)
                    .await
            })
            .await?;
        self.outcome(told, |(), _| Ok(()))
    }

    /// Passes the guest's answer through customs.
    fn outcome<G, T>(
        &self,
        answer: Result<G, super::bindings::hitchy::platform::types::Failure>,
        check: impl FnOnce(G, &Limits) -> Result<T, CallError>,
    ) -> Outcome<T> {
        match answer {
            Ok(value) => check(value, &self.limits).map(Ok),
            Err(failure) => convert::failure(failure).map(Err),
        }
    }

    async fn serve<T>(
        &self,
        context: CallContext,
        body: impl AsyncFnOnce(&mut Store<State>, &Instance) -> wasmtime::Result<T>,
    ) -> Result<T, CallError> {
        self.run(
            self.call(context, Phase::Serving, Arc::clone(&self.limits)),
            body,
        )
        .await
    }

    fn call(&self, context: CallContext, phase: Phase, limits: Arc<Limits>) -> Call {
        let own = Instant::now() + limits.deadline;
        let until = context.until.map_or(own, |until| until.min(own));
        Call {
            id: context.id,
            phase,
            until,
            depth: context.depth,
            remote: context.remote,
            limits,
        }
    }

    /// One call: one store, one deadline, one result. A panic of ours is the call's failure, not the server's.
    async fn run<T>(
        &self,
        call: Call,
        body: impl AsyncFnOnce(&mut Store<State>, &Instance) -> wasmtime::Result<T>,
    ) -> Result<T, CallError> {
        let _running = self.shared.ticker.run();
        let (until, deadline) = (call.until, call.limits.deadline);
        let mut store = self.store(call);
        let work = async {
            let instance = self.code.pre.instantiate_async(&mut store).await?;
            body(&mut store, &instance).await
        };
        let timed =
            tokio::time::timeout_at(until.into(), AssertUnwindSafe(work).catch_unwind()).await;
        let result = match timed {
            Ok(Ok(Ok(value))) => Ok(value),
            Ok(Ok(Err(error))) => Err(CallError::from_wasmtime(&error, store.data())),
            Ok(Err(panic)) => Err(CallError::Host(panic_text(panic.as_ref()))),
            Err(_) => Err(CallError::Deadline(deadline)),
        };
        store.data().output.finish();
        result
    }

    fn store(&self, call: Call) -> Store<State> {
        let output = Output::new(Arc::clone(&self.name), Arc::clone(&call.id));
        let wasi = WasiCtx::builder()
            .stdout(output.stream(false))
            .stderr(output.stream(true))
            .max_random_size(64 << 10)
            .build();
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_HANDLES);
        let services = Arc::clone(&self.shared.services);
        let memory = MemoryLimiter::new(call.limits.memory, Arc::clone(&services.budget));
        let state = State {
            call,
            services,
            memory,
            table,
            wasi,
            output,
            description: Description::default(),
            cpu: Duration::ZERO,
            emits: 0,
            emit_bytes: 0,
            dispatches: 0,
        };
        let mut store = Store::new(self.code.pre.engine(), state);
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(HOSTCALL_FUEL);
        store.set_max_component_handles(MAX_HANDLES);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|mut store| Ok(after_tick(store.data_mut())));
        store
    }
}

/// The guest has run for a tick: lets others run, or ends it.
fn after_tick(state: &mut State) -> UpdateDeadline {
    state.cpu += TICK;
    if state.cpu >= state.call.limits.cpu {
        return UpdateDeadline::Interrupt;
    }
    // wasmtime's own yield goes back to the front of tokio's queue and starves others (wasmtime #10667).
    UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now()))
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic".to_owned())
}

fn offered<T>(export: &Option<Arc<T>>) -> wasmtime::Result<&T> {
    export.as_deref().ok_or_else(|| {
        wasmtime::Error::msg("the handler does not export the interface of what it declares")
    })
}

impl Exports {
    fn of(code: &Code) -> Result<Self, LoadError> {
        let pre = &code.pre;
        let has = |name: &str| {
            let name = format!("hitchy:platform/{name}@0.1.0");
            code.component.get_export_index(None, &name).is_some()
        };
        let mismatch = |error: wasmtime::Error| {
            LoadError::Invalid(format!(
                "an export differs from the contract 0.1: {error:#}"
            ))
        };
        let setup = setup::GuestIndices::new(pre)
            .map(Arc::new)
            .map_err(mismatch)?;
        let http = has("http")
            .then(|| http::GuestIndices::new(pre).map(Arc::new))
            .transpose()
            .map_err(mismatch)?;
        let policies = has("policies")
            .then(|| policies::GuestIndices::new(pre).map(Arc::new))
            .transpose()
            .map_err(mismatch)?;
        let events = has("events")
            .then(|| events::GuestIndices::new(pre).map(Arc::new))
            .transpose()
            .map_err(mismatch)?;
        let connections = has("connections")
            .then(|| connections::GuestIndices::new(pre).map(Arc::new))
            .transpose();
        Ok(Self {
            setup,
            http,
            policies,
            events,
            connections: connections.map_err(mismatch)?,
        })
    }

    /// What is declared must be exported.
    fn check(&self, declarations: &Declarations) -> Result<(), LoadError> {
        let missing = [
            (
                "a route",
                "http",
                declarations.routes.is_empty() || self.http.is_some(),
            ),
            (
                "a policy",
                "policies",
                declarations.policies.is_empty() || self.policies.is_some(),
            ),
            (
                "a listener",
                "events",
                declarations.listeners.is_empty() || self.events.is_some(),
            ),
            (
                "a connection hook",
                "connections",
                declarations.connections.is_empty() || self.connections.is_some(),
            ),
        ];
        match missing.into_iter().find(|(_, _, fine)| !fine) {
            Some((what, interface, _)) => Err(LoadError::Declaration(format!(
                "it declares {what} but does not export hitchy:platform/{interface}; export it, or remove the declaration"
            ))),
            None => Ok(()),
        }
    }
}
