//! One call of a handler: a fresh instance in a store of its own, one deadline, one result.
//!
//! Nothing that a call leaves behind can be seen by another, and a store that saw a trap, a timeout or a dropped call is gone with it.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use wasmtime::component::{Instance, ResourceTable};
use wasmtime::{Store, UpdateDeadline};

use super::engine::TICK;
use super::error::CallError;
use super::handler::Handler;
use super::imports::registration::Description;
use super::limits::MemoryLimiter;
use super::output::Output;
use super::settings::HandlerSettings;
use super::state::{Call, Phase, State};
use crate::message::CallId;
use crate::payload::Failure;

/// Bytes that the host takes from a guest in one call across the boundary, beside the largest thing that may cross it: enough to
/// say that it was too large.
const HOSTCALL_SLACK: usize = 4 << 20;
/// Resources and handles that a call may hold.
const MAX_HANDLES: usize = 2000;

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
    pub(super) async fn serve<T>(
        &self,
        context: CallContext,
        body: impl AsyncFnOnce(&mut Store<State>, &Instance) -> wasmtime::Result<T>,
    ) -> Result<T, CallError> {
        self.run(
            self.call(context, Phase::Serving, Arc::clone(&self.settings)),
            body,
        )
        .await
    }

    pub(super) fn call(
        &self,
        context: CallContext,
        phase: Phase,
        settings: Arc<HandlerSettings>,
    ) -> Call {
        let own = Instant::now() + settings.deadline;
        let until = context.until.map_or(own, |until| until.min(own));
        Call {
            id: context.id,
            phase,
            until,
            depth: context.depth,
            remote: context.remote,
            settings,
        }
    }

    /// One call: one store, one deadline, one result. A panic of ours is the call's failure, not the server's.
    pub(super) async fn run<T>(
        &self,
        call: Call,
        body: impl AsyncFnOnce(&mut Store<State>, &Instance) -> wasmtime::Result<T>,
    ) -> Result<T, CallError> {
        let _running = self.shared.ticker.run();
        let (until, deadline) = (call.until, call.settings.deadline);
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
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_HANDLES);
        let services = Arc::clone(&self.shared.services);
        let sizes = services.sizes;
        let fuel = sizes
            .answer
            .max(sizes.payload)
            .saturating_add(HOSTCALL_SLACK);
        let memory = MemoryLimiter::new(call.settings.memory, Arc::clone(&services.budget));
        let state = State {
            call,
            services,
            memory,
            table,
            wasi: None,
            output,
            description: Description::default(),
            cpu: Duration::ZERO,
            emits: 0,
            emit_bytes: 0,
            dispatches: 0,
        };
        let mut store = Store::new(self.code.pre.engine(), state);
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(fuel);
        store.set_max_component_handles(MAX_HANDLES);
        // The next tick may come at once: a call has run for one when it sees its second.
        store.set_epoch_deadline(2);
        store.epoch_deadline_callback(|mut store| Ok(after_tick(store.data_mut())));
        store
    }
}

/// The guest has run for a tick: lets others run, or ends it.
fn after_tick(state: &mut State) -> UpdateDeadline {
    state.cpu += TICK;
    if state.cpu >= state.call.settings.cpu {
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
