//! The state of a store: a part that lasts as long as the instance, and a part that belongs to the call that runs in
//! it.
//!
//! The handles are `pub` because the generated bindings name them in public places; the module itself is private.

use std::any::{Any, TypeId};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::limits::MemoryLimiter;
use super::output::Output;
use crate::message::{CallId, Exchange};
use crate::payload::Failure;
use crate::runtime::services::Services;
use crate::runtime::settings::HandlerSettings;
use crate::sockets::Connection;

/// Bytes of random numbers that a guest gets at once.
const MAX_RANDOM: u64 = 64 << 10;
/// Resources and handles that a call may hold.
pub(in crate::runtime) const MAX_HANDLES: usize = 2000;

/// A guest's handle to a connection.
#[allow(unreachable_pub)]
pub struct SocketHandle(pub(in crate::runtime) Arc<Connection>);

/// A guest's handle to a request.
#[allow(unreachable_pub)]
pub struct RequestHandle {
    pub(in crate::runtime) exchange: Arc<Exchange>,
    /// The parameters of the route's pattern, decoded.
    pub(in crate::runtime) params: Arc<[(String, String)]>,
}

/// A guest's handle to the registrar. What is declared is kept in the call's state, because the guest may drop the
/// handle.
#[allow(unreachable_pub)]
pub struct RegistrarHandle;

/// The stage in which a guest is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// `describe`: only the registrar may be used.
    Describe,
    /// `on-connect`: the client cannot be reached yet.
    Connecting,
    /// Every other call.
    Serving,
}

/// One call of a handler.
#[derive(Clone)]
pub(crate) struct Call {
    pub(in crate::runtime) id: CallId,
    pub(in crate::runtime) phase: Phase,
    /// The time at which the call ends at the latest.
    pub(in crate::runtime) until: Instant,
    /// The number of dispatches that the call is deep.
    pub(in crate::runtime) depth: u32,
    /// The address of the client that caused the call.
    pub(in crate::runtime) remote: SocketAddr,
    /// The settings that hold for this call.
    pub(in crate::runtime) settings: Arc<HandlerSettings>,
}

impl Call {
    /// Returns what is left of the deadline.
    pub(in crate::runtime) fn remaining(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}

/// The `T` of `Store<T>`.
pub(crate) struct State {
    pub(in crate::runtime) instance: InstanceState,
    /// `None` between two calls of an instance that lives on.
    call: Option<CallState>,
}

/// The part of the state that lasts as long as the instance.
pub(in crate::runtime) struct InstanceState {
    pub(in crate::runtime) services: Arc<Services>,
    pub(in crate::runtime) memory: MemoryLimiter,
    pub(in crate::runtime) output: Output,
    /// The resources of WASI.
    table: ResourceTable,
    /// Made when the guest first asks for something of the system: most calls never do, and sources of random numbers
    /// are expensive.
    wasi: Option<WasiCtx>,
}

/// The part of the state that begins anew with every call.
pub(in crate::runtime) struct CallState {
    pub(in crate::runtime) call: Call,
    /// The sockets, requests and registrars that the guest holds.
    pub(in crate::runtime) handles: ResourceTable,
    /// Processor time used so far.
    pub(in crate::runtime) cpu: Duration,
    /// The notes that single capabilities keep about the call, by type. Few calls use more than one, so a list is
    /// enough.
    notes: Vec<(TypeId, Box<dyn Any + Send>)>,
}

/// A guest used the host while no call runs in its instance.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("no call is running in this instance")]
pub(in crate::runtime) struct NoCall;

impl From<NoCall> for Failure {
    fn from(error: NoCall) -> Self {
        Self::new(500, error.to_string())
    }
}

impl State {
    /// Makes the state of a new instance with its first call.
    pub(super) fn new(
        services: Arc<Services>,
        memory: MemoryLimiter,
        output: Output,
        call: Call,
    ) -> Self {
        Self {
            instance: InstanceState {
                services,
                memory,
                output,
                table: bounded_table(),
                wasi: None,
            },
            call: Some(CallState::new(call)),
        }
    }

    /// Begins another call in the same instance.
    pub(super) fn begin(&mut self, call: Call) {
        self.instance.output.begin(call.id.clone());
        self.instance.memory.refused = None;
        self.call = Some(CallState::new(call));
    }

    /// Ends the call: what it held and noted is dropped, and what it printed is logged.
    pub(super) fn end(&mut self) {
        self.instance.output.finish();
        self.call = None;
    }

    /// Returns the call that runs.
    pub(in crate::runtime) fn call(&self) -> Result<&CallState, NoCall> {
        self.call.as_ref().ok_or(NoCall)
    }

    /// Returns the call that runs.
    pub(in crate::runtime) fn call_mut(&mut self) -> Result<&mut CallState, NoCall> {
        self.call.as_mut().ok_or(NoCall)
    }

    /// Fails while a handler describes itself, for imports that may not be used then.
    pub(in crate::runtime) fn serving(&self) -> Result<(), Failure> {
        if self.call()?.call.phase == Phase::Describe {
            return Err(Failure::new(
                403,
                "only the registrar can be used in describe",
            ));
        }
        Ok(())
    }
}

impl CallState {
    fn new(call: Call) -> Self {
        Self {
            call,
            handles: bounded_table(),
            cpu: Duration::ZERO,
            notes: Vec::new(),
        }
    }

    /// Returns the notes of one capability about this call, which begin with their default.
    pub(in crate::runtime) fn notes<T: Any + Default + Send>(&mut self) -> &mut T {
        let id = TypeId::of::<T>();
        let index = self.notes.iter().position(|(known, _)| *known == id);
        let index = index.unwrap_or_else(|| {
            self.notes.push((id, Box::<T>::default()));
            self.notes.len() - 1
        });
        self.notes[index]
            .1
            .downcast_mut()
            .expect("the type is that of the key")
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let InstanceState {
            output,
            table,
            wasi,
            ..
        } = &mut self.instance;
        WasiCtxView {
            ctx: wasi.get_or_insert_with(|| system(output)),
            table,
        }
    }
}

fn bounded_table() -> ResourceTable {
    let mut table = ResourceTable::new();
    table.set_max_capacity(MAX_HANDLES);
    table
}

/// Makes what a guest sees of the system: clocks, random numbers, and its output. It has no files, no network, no
/// environment.
fn system(output: &Output) -> WasiCtx {
    WasiCtx::builder()
        .stdout(output.stream(false))
        .stderr(output.stream(true))
        .max_random_size(MAX_RANDOM)
        .build()
}
