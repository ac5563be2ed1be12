//! Errors of calls: the reasons why a call gave no usable answer.
//!
//! `CallError::from_wasmtime` is the only place that takes an error of wasmtime apart.

use std::time::Duration;

use wasmtime::Trap;
use wasmtime::component::ResourceTableError;

use super::backtrace::frames;
use crate::runtime::instance::handles::{MAX_HANDLES, StaleHandle};
use crate::runtime::instance::limits::Refused;
use crate::runtime::instance::state::State;

/// Reasons why a call gave no usable answer.
///
/// The sentences are for the log. Clients read the sentences of `dispatch`.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The guest trapped or exited.
    #[error("trap: {cause}{frames}")]
    Trap {
        /// wasmtime's description of the trap, with advice where there is some.
        cause: String,
        /// The guest's stack: `; in a < b`, innermost function first, or empty.
        frames: String,
    },
    /// The guest asked for more memory than it may have.
    #[error("out of memory: the call may use {limit} bytes (limits.memory){frames}")]
    OutOfMemory {
        /// The call's limit in bytes.
        limit: usize,
        /// The guest's stack: `; in a < b`, innermost function first, or empty.
        frames: String,
    },
    /// All guests together asked for more memory than they may have.
    #[error("no memory left: all calls together use what limits.memory-budget allows")]
    NoMemory,
    /// The call did not end within its deadline.
    #[error("no answer within {0:?} (limits.deadline)")]
    Deadline(Duration),
    /// The answer of the call was being sent and did not end in time.
    #[error("its answer did not end within {0:?} (limits.stream-deadline)")]
    StreamDeadline(Duration),
    /// The call used more processor time than it may.
    #[error("stopped after {0:?} on the processor (limits.cpu)")]
    Cpu(Duration),
    /// The guest took more handles than it may hold.
    #[error(
        "too many handles: the guest would hold more than {MAX_HANDLES} handles and resources at once; drop those that are done with, \
         or find fewer sockets{frames}"
    )]
    TooManyHandles {
        /// The guest's stack: `; in a < b`, innermost function first, or empty.
        frames: String,
    },
    /// The guest answered something that cannot be passed on.
    #[error("unusable answer: {0}")]
    BadAnswer(String),
    /// The pool has no free instance.
    #[error("no free instance: {0}")]
    NoInstance(String),
    /// All instances of a handler's pool were in other calls for as long as the call could wait.
    #[error(
        "no instance became free in time: all {instances} of the pool (max-instances) were in other calls; raise max-instances, or \
         let calls end sooner"
    )]
    PoolBusy {
        /// The number of instances that the pool may have.
        instances: usize,
    },
    /// The instance of the connection was in other calls until the end of the call.
    #[error("the instance of the connection was in another call for {0:?} (limits.deadline)")]
    InstanceBusy(Duration),
    /// Too many calls of the handler are running and waiting already.
    #[error("too many calls are running and waiting")]
    Overloaded,
    /// The server panicked or has another bug.
    #[error("the server itself failed during the call: {0}")]
    Host(String),
}

impl CallError {
    /// Finds out what an error of wasmtime means. `state` is that of the store in which the call ran.
    ///
    /// A guest that ran out of memory usually traps afterwards, so a refused growth counts more than the trap.
    pub(in crate::runtime) fn from_wasmtime(error: &wasmtime::Error, state: &State) -> Self {
        let frames = frames(error);
        let Ok(call) = state.call() else {
            return Self::Host(error.to_string());
        };
        let settings = &call.call.settings;
        match (state.instance.memory.refused, error.downcast_ref::<Trap>()) {
            _ if error.is::<wasmtime::PoolConcurrencyLimitError>() => {
                Self::NoInstance(error.to_string())
            }
            (_, Some(Trap::Interrupt)) => Self::Cpu(settings.cpu),
            (Some(Refused::Budget), _) => Self::NoMemory,
            (Some(Refused::Call), _) => Self::OutOfMemory {
                limit: settings.memory,
                frames,
            },
            (None, None) if error.is::<wasmtime_wasi::I32Exit>() => Self::Trap {
                cause: "the guest exited".to_owned(),
                frames,
            },
            (None, None) if let Some(stale) = error.downcast_ref::<StaleHandle>() => Self::Trap {
                cause: stale.to_string(),
                frames,
            },
            (None, Some(trap)) => Self::Trap {
                cause: cause(*trap, error),
                frames,
            },
            (None, None) if is_about_full_table(error) => Self::TooManyHandles { frames },
            // Every other error is about a value that the guest passed and the host could not accept: a list that is
            // too long, a string that is not UTF-8, a pointer out of range, an unknown handle.
            (None, None) => Self::BadAnswer(format!("{}{frames}", passed(error))),
        }
    }
}

/// Returns true if a guest was to get a handle, or a resource of WASI, for which its tables have no place.
fn is_about_full_table(error: &wasmtime::Error) -> bool {
    let full = |error| matches!(error, &ResourceTableError::Full);
    // The text of wasmtime 48; the error of its own table of handles is private.
    let of_engine = || error.root_cause().to_string();
    error.downcast_ref::<ResourceTableError>().is_some_and(full)
        || of_engine().ends_with("store handle limit exceeded")
}

/// Returns wasmtime's description of a value that the host could not accept, in other words if the value was too large.
fn passed(error: &wasmtime::Error) -> String {
    let cause = error.root_cause().to_string();
    // The text of wasmtime 48; its error type is private.
    if cause.starts_with("too much data is being copied") {
        return "more data than is taken from a guest at once; pass it in parts".to_owned();
    }
    cause
}

/// Returns wasmtime's description of a trap, with advice if the guest's stack was too small, because the description
/// does not mention the stack.
fn cause(trap: Trap, error: &wasmtime::Error) -> String {
    let cause = trap.to_string().replacen("wasm trap: ", "", 1);
    match trap {
        Trap::StackOverflow => format!("{cause} (recursion is too deep; use a loop)"),
        Trap::CannotLeaveComponent => format!("{cause} (let cabi_realloc call no import)"),
        Trap::MemoryOutOfBounds if is_below_zero(error) => format!(
            "{cause} below address 0: the guest's stack, which comes first in its memory, may have been exceeded (deep recursion, or \
             large values on it; handlers are built with 64 KiB); recurse less, put large values into a Box or Vec, or build with a \
             larger stack (linker flag -zstack-size=262144)"
        ),
        _ => cause,
    }
}

/// Bytes around address 0 in which a memory fault is taken for a stack that was exceeded.
const STACK_FAULT_RANGE: u64 = 64 << 20;

/// Returns true if the guest accessed an address a little below 0.
///
/// Addresses have 32 bits, so such an address is just below 4 GiB. It is just above 4 GiB if the access was to a field
/// of a value that begins below address 0.
fn is_below_zero(error: &wasmtime::Error) -> bool {
    let address = error.chain().find_map(|cause| {
        let text = cause.to_string();
        // The text of wasmtime 48; its error type for memory faults is private.
        let rest = text.strip_prefix("memory fault at wasm address 0x")?;
        u64::from_str_radix(rest.split(' ').next()?, 16).ok()
    });
    address.is_some_and(|address| address.abs_diff(1 << 32) <= STACK_FAULT_RANGE)
}
