//! The data of a store: a part that lives as long as the instance, and a part for the call that runs in it.

use std::any::{Any, TypeId};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::cli::StdoutStream;
use wasmtime_wasi::p2::pipe::MemoryInputPipe;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::WasiHttpCtx;

use super::bodies;
use super::handles::{Handles, MAX_HANDLES, bounded_table};
use super::limits::MemoryLimiter;
use super::output::Output;
use crate::message::CallId;
use crate::payload::Failure;
use crate::runtime::last_error::LastError;
use crate::runtime::services::Services;
use crate::runtime::settings::{HandlerSettings, Life};

/// Bytes of random numbers that a guest gets from one call of WASI.
const MAX_RANDOM: u64 = 64 << 10;
/// Handles and resources of earlier calls with which an instance is kept. More leave too little for later calls.
const MAX_LEFT: usize = MAX_HANDLES / 2;
/// The purpose of a call, which decides what the guest may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// A call of `describe`, in which only the registrar may be used.
    Describe,
    /// A call of `on-connect`, in which the client cannot be reached yet.
    Connecting,
    /// Every other call, without such restrictions.
    Serving,
}

/// One call of a handler.
#[derive(Clone)]
pub(crate) struct Call {
    pub(in crate::runtime) id: CallId,
    pub(in crate::runtime) phase: Phase,
    pub(in crate::runtime) began: Instant,
    /// The time at which the call got its instance.
    pub(in crate::runtime) entered: Instant,
    /// The time at which the call ends at the latest.
    pub(in crate::runtime) until: Instant,
    /// The number of nested dispatches above the call.
    pub(in crate::runtime) depth: u32,
    /// The address of the client that caused the call.
    pub(in crate::runtime) remote: SocketAddr,
    /// The settings that hold for this call.
    pub(in crate::runtime) settings: Arc<HandlerSettings>,
    /// The answer, if it may go on after `until` because it streams.
    pub(in crate::runtime) stream: Option<Arc<StreamEnd>>,
    /// Where the last error is kept that the guest logs, if somebody wants to know it.
    pub(in crate::runtime) last_error: Option<LastError>,
}

impl Call {
    /// Returns the time until the call's end.
    pub(in crate::runtime) fn remaining(&self) -> Duration {
        self.end().saturating_duration_since(Instant::now())
    }

    /// Returns the time at which the call ends at the latest, as things are now.
    pub(in crate::runtime) fn end(&self) -> Instant {
        let later = self.stream.as_deref().and_then(StreamEnd::begun);
        later.map_or(self.until, |later| later.max(self.until))
    }
}

/// The end of an answer that streams, which holds once its head is there.
#[derive(Debug)]
pub(crate) struct StreamEnd {
    until: Instant,
    begun: AtomicBool,
}

impl StreamEnd {
    /// Makes the end of an answer whose head is not there yet.
    pub(in crate::runtime) fn new(until: Instant) -> Arc<Self> {
        Arc::new(Self {
            until,
            begun: AtomicBool::new(false),
        })
    }

    /// Notes that the head of the answer is there.
    pub(in crate::runtime) fn begin(&self) {
        // Relaxed is enough: the flag guards no other data.
        self.begun.store(true, Ordering::Relaxed);
    }

    /// Returns the end if the head of the answer is there.
    pub(super) fn begun(&self) -> Option<Instant> {
        self.begun.load(Ordering::Relaxed).then_some(self.until)
    }
}

/// The data of a store.
pub(crate) struct State {
    pub(in crate::runtime) instance: InstanceState,
    /// Empty between two calls.
    handles: Handles,
    /// `None` between two calls of an instance that is kept.
    call: Option<CallState>,
}

/// State that lives as long as the instance.
pub(in crate::runtime) struct InstanceState {
    pub(in crate::runtime) services: Arc<Services>,
    pub(in crate::runtime) memory: MemoryLimiter,
    pub(in crate::runtime) output: Output,
    /// The resources that WASI hands out.
    pub(in crate::runtime) table: ResourceTable,
    /// The bounds of wasi:http, which cost nothing to make.
    pub(in crate::runtime) http: WasiHttpCtx,
    /// `None` until the guest first calls WASI. Most calls never do, and the sources of random numbers are expensive to
    /// make.
    wasi: Option<WasiCtx>,
    /// How long the instance lives.
    pub(in crate::runtime) life: Life,
    /// The number of calls that the instance had before the one that runs.
    pub(in crate::runtime) calls: u32,
    /// True once the last call came to a good end.
    has_succeeded: bool,
}

impl Drop for InstanceState {
    /// Breaks the bodies that the guest has not finished, unless its last call came to a good end.
    fn drop(&mut self) {
        if !self.has_succeeded {
            bodies::abort_unfinished(&mut self.table);
        }
    }
}

/// State that is new for every call.
pub(in crate::runtime) struct CallState {
    pub(in crate::runtime) call: Call,
    /// Notes of capabilities about the call, by type. Few calls have more than one note, so a list is fast enough.
    notes: Vec<(TypeId, Box<dyn Any + Send>)>,
}

/// The error of a guest that uses the host while no call runs in its instance.
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
        life: Life,
        call: Call,
    ) -> Self {
        Self {
            instance: InstanceState {
                services,
                memory,
                output,
                table: bounded_table(),
                http: WasiHttpCtx::new(),
                wasi: None,
                life,
                calls: 0,
                has_succeeded: false,
            },
            handles: Handles::new(),
            call: Some(CallState::new(call)),
        }
    }

    /// Begins another call in the same instance.
    pub(super) fn begin(&mut self, call: Call) {
        self.instance.has_succeeded = false;
        // An instance that serves as a new one has had no calls, and has drawn no numbers.
        match self.instance.life {
            Life::Call => self.instance.wasi = None,
            Life::Socket | Life::Shared => {
                self.instance.calls = self.instance.calls.saturating_add(1);
            }
        }
        let last_error = call.last_error.clone();
        self.instance.output.begin(Arc::clone(&call.id), last_error);
        self.instance.memory.refused = None;
        self.call = Some(CallState::new(call));
    }

    /// Ends the call: drops its handles and notes, and logs its unfinished output.
    pub(super) fn end(&mut self, has_succeeded: bool) {
        self.instance.has_succeeded = has_succeeded;
        self.instance.output.finish();
        self.handles.end_call();
        self.call = None;
    }

    /// Returns true if the guest holds nothing any more.
    pub(super) fn is_empty(&self) -> bool {
        self.handles.left() == 0 && self.instance.table.is_empty()
    }

    /// Returns true if the guest has left something in its instance that the end of the call should have ended, or so
    /// much that later calls could fail for it.
    pub(super) fn is_worn(&mut self) -> bool {
        let (left, resources) = (self.handles.left(), &mut self.instance.table);
        if left > MAX_LEFT || !self.handles.suffice() {
            return true;
        }
        // Most guests hold nothing of WASI. What others may keep is for the instance, as their standard output. The
        // resources of wasi:http belong to the call, and its tables cannot tell those of earlier calls.
        !resources.is_empty()
            && (left + resources.iter_mut().count() > MAX_LEFT || bodies::are_left(resources))
    }

    /// Returns the things that the guest holds in the call that runs.
    pub(in crate::runtime) fn handles(&self) -> Result<&Handles, NoCall> {
        self.call()?;
        Ok(&self.handles)
    }

    /// Returns the same, to change them.
    pub(in crate::runtime) fn handles_mut(&mut self) -> Result<&mut Handles, NoCall> {
        self.call()?;
        Ok(&mut self.handles)
    }

    /// Gives the guest the standard input, the standard output and the variables of a command. Standard error goes to
    /// the log, as that of every guest.
    pub(in crate::runtime) fn run_as_command(
        &mut self,
        name: &str,
        input: Bytes,
        output: impl StdoutStream + 'static,
        variables: &[(String, String)],
    ) {
        let mut wasi = wasi_builder(&self.instance.output);
        wasi.arg(name)
            .envs(variables)
            .stdin(MemoryInputPipe::new(input))
            .stdout(output);
        self.instance.wasi = Some(wasi.build());
    }

    /// Returns the state of the call that runs.
    pub(in crate::runtime) fn call(&self) -> Result<&CallState, NoCall> {
        self.call.as_ref().ok_or(NoCall)
    }

    /// Returns the state of the call that runs, to change it.
    pub(in crate::runtime) fn call_mut(&mut self) -> Result<&mut CallState, NoCall> {
        self.call.as_mut().ok_or(NoCall)
    }

    /// Returns the state of the instance and that of the call that runs, if one does, to change both.
    pub(in crate::runtime) fn parts_mut(&mut self) -> (&mut InstanceState, Option<&mut CallState>) {
        (&mut self.instance, self.call.as_mut())
    }

    /// Fails in `describe`. Imports that may not be used there call this first.
    pub(in crate::runtime) fn serving(&self) -> Result<(), Failure> {
        if self.call()?.call.phase == Phase::Describe {
            return Err(Failure::new(
                403,
                "this can be used while a call runs, and not while the handler is loaded; use it inside of a function",
            ));
        }
        Ok(())
    }
}

impl CallState {
    fn new(call: Call) -> Self {
        Self {
            call,
            notes: Vec::new(),
        }
    }

    /// Returns the note of type `T` about this call. The first access makes it with its default value.
    pub(in crate::runtime) fn notes<T: Any + Default + Send>(&mut self) -> &mut T {
        let id = TypeId::of::<T>();
        let known = self.notes.iter().position(|(known, _)| *known == id);
        let index = known.unwrap_or_else(|| {
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
            ctx: wasi.get_or_insert_with(|| wasi_context(output)),
            table,
        }
    }
}

/// Makes the WASI context of a guest: clocks, random numbers and its output, but no files, network, environment
/// variables or arguments.
fn wasi_context(output: &Output) -> WasiCtx {
    wasi_builder(output).build()
}

fn wasi_builder(output: &Output) -> WasiCtxBuilder {
    let mut builder = WasiCtx::builder();
    builder
        .stdout(output.stream(false))
        .stderr(output.stream(true))
        .max_random_size(MAX_RANDOM);
    builder
}
