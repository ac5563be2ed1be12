//! What a store holds: the call, its memory's count, its resources, its (empty) view of the system.
//!
//! The handles are `pub` because the generated bindings name them in public places; the room itself is closed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::imports::registration::Description;
use super::limits::MemoryLimiter;
use super::output::Output;
use super::services::Services;
use super::settings::HandlerSettings;
use crate::message::{CallId, Exchange};
use crate::payload::Failure;
use crate::sockets::Connection;

/// Bytes of random numbers that a guest gets at once.
const MAX_RANDOM: u64 = 64 << 10;

/// A guest's handle to a connection.
#[allow(unreachable_pub)]
pub struct SocketHandle(pub(super) Arc<Connection>);

/// A guest's handle to a request.
#[allow(unreachable_pub)]
pub struct RequestHandle {
    pub(super) exchange: Arc<Exchange>,
    /// Of the route's pattern, decoded.
    pub(super) params: Arc<[(String, String)]>,
}

/// A guest's handle to the registrar. What it declares is kept in the state, since the guest may drop the handle.
#[allow(unreachable_pub)]
pub struct RegistrarHandle;

/// What the guest is being called for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// `describe`: only the registrar may be used.
    Describe,
    /// `on-connect`: the client cannot be reached yet.
    Connecting,
    /// Anything else.
    Serving,
}

/// One call of a handler.
#[derive(Clone)]
pub(crate) struct Call {
    /// Its id.
    pub id: CallId,
    /// What it is for.
    pub phase: Phase,
    /// When it ends at the latest.
    pub until: Instant,
    /// How many dispatches it is deep.
    pub depth: u32,
    /// The client that caused it.
    pub remote: SocketAddr,
    /// The settings of its handler.
    pub settings: Arc<HandlerSettings>,
}

impl Call {
    /// What is left of the deadline.
    pub(super) fn remaining(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}

/// The `T` of `Store<T>`.
pub(crate) struct State {
    pub(super) call: Call,
    pub(super) services: Arc<Services>,
    pub(super) memory: MemoryLimiter,
    pub(super) table: ResourceTable,
    /// Made when the guest first asks for something of the system: most calls never do, and sources of random numbers are dear.
    pub(super) wasi: Option<WasiCtx>,
    pub(super) output: Output,
    pub(super) description: Description,
    pub(super) cpu: Duration,
    pub(super) emits: u32,
    pub(super) emit_bytes: usize,
    pub(super) dispatches: u32,
}

impl State {
    /// Fails for what may not be used while a handler describes itself.
    pub(super) fn serving(&self) -> Result<(), Failure> {
        if self.call.phase == Phase::Describe {
            return Err(Failure::new(
                403,
                "only the registrar can be used in describe",
            ));
        }
        Ok(())
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let output = &self.output;
        WasiCtxView {
            ctx: self.wasi.get_or_insert_with(|| system(output)),
            table: &mut self.table,
        }
    }
}

/// What a guest sees of the system: clocks, random numbers, and its output. No files, no network, no environment.
fn system(output: &Output) -> WasiCtx {
    WasiCtx::builder()
        .stdout(output.stream(false))
        .stderr(output.stream(true))
        .max_random_size(MAX_RANDOM)
        .build()
}
