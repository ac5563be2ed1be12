//! Errors of handlers: [`LoadError`] while a handler is loaded, [`CallError`] while it is called.
//!
//! `CallError::from_wasmtime` is the only place that takes an error of wasmtime apart.

use std::collections::BTreeSet;
use std::time::Duration;

use wasmtime::component::ResourceTableError;
use wasmtime::{FrameInfo, Trap, WasmBacktrace};

use super::contract::{PACKAGE, TRACK};
use super::instance::handles::{MAX_HANDLES, StaleHandle};
use super::instance::limits::Refused;
use super::instance::state::State;
use super::module_error::ModuleError;
use super::remedies::remedy;
use super::settings::Life;

/// Reasons why a file cannot be served.
///
/// Each sentence says the cause and what to do. The caller that reports the error names the file.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file has no content.
    #[error("the file is empty; copy the .wasm again")]
    Empty,
    /// The file ends in the middle of a section.
    #[error(
        "the file is incomplete: it ends in the middle of a section; copy it again, or to another name first and rename it"
    )]
    Incomplete,
    /// The file is larger than a handler may be.
    #[error(
        "the file has {size} bytes, and a handler may have {max}; build it smaller (without debug information, for a start)"
    )]
    TooLarge {
        /// Size of the file in bytes.
        size: u64,
        /// Largest permitted size in bytes.
        max: u64,
    },
    /// The file contains native code, which is never loaded.
    #[error(
        "this is native code (ELF or a precompiled .cwasm), which is never loaded; put the .wasm here instead"
    )]
    Native,
    /// The file contains WebAssembly in the text format.
    #[error(
        "this is WebAssembly text; turn it into a component first, for example with `wasm-tools parse`"
    )]
    Text,
    /// The file does not contain WebAssembly.
    #[error("this is no WebAssembly; a handler is a component built for wasm32-wasip2")]
    NotWasm,
    /// The file is a core module that cannot be made a component.
    #[error("this core WebAssembly module {0}")]
    Module(#[from] ModuleError),
    /// The file is a command, and the settings do not say that it is served as one. The text says how it was
    /// recognised.
    #[error(
        "this is a command (it {0}), and a handler is a library; to serve it by CGI, write `serve = \"cgi\"` into the .toml of \
         the same name beside it, or export hitchy:platform/setup, for Rust with crate-type cdylib"
    )]
    Command(&'static str),
    /// The settings say that the file is served as a command, and it is none. The text says what it has instead.
    #[error(
        "`serve = \"cgi\"` is for commands, which have `_start` or wasi:cli/run, and this has {0}; remove the setting"
    )]
    NoCommand(String),
    /// The settings give the instances of a command another life than one call.
    #[error(
        "`instances = \"{0}\"` is for handlers whose functions are called again and again, and a command (`serve = \"cgi\"`) runs \
         once from its start to its end; remove `instances`"
    )]
    LifeOfCommand(Life),
    /// The component exports an interface of WASI 0.3, by its full name.
    #[error(
        "it exports {0}, and this server serves WASI 0.2; build it with a toolchain for WASI 0.2, for example for wasm32-wasip2"
    )]
    NewerWasi(String),
    /// The component has async functions, which belong to WASI 0.3.
    #[error(
        "it has async functions ({0}), as WASI 0.3 uses them, and this server provides WASI 0.2; build it without async exports"
    )]
    Async(String),
    /// The component answers requests of another version of `wasi:http`: `0.3.0`.
    #[error(
        "this is a component of wasi:http {0}, and wasi:http 0.2 is what is served; build it with a toolchain for WASI 0.2, so that \
         it exports wasi:http/incoming-handler@0.2"
    )]
    OtherWasiHttp(String),
    /// The component does not export `setup`, the one interface that every handler exports.
    #[error(
        "the component does not export hitchy:platform/setup, so it is no handler; it exports {exports}; {fix}"
    )]
    NoSetup {
        /// The names of its exports, for the sentence.
        exports: String,
        /// The advice that ends the sentence.
        fix: &'static str,
    },
    /// The component is built for another track of the contract: `hitchy:platform@0.2.0`.
    #[error(
        "it is built for the contract {0}, and this server speaks {PACKAGE} {TRACK}; build it against {TRACK}"
    )]
    OtherContract(String),
    /// An instance of the component begins with more memory than a call may have. Whoever reports this knows where the
    /// limit is set, and says so.
    #[error("it begins with {} of memory, and limits.memory is {}", size(*.initial), size(*.limit as u64))]
    InitialMemory {
        /// Size of all its memories at the beginning, in bytes.
        initial: u64,
        /// The handler's limit in bytes.
        limit: usize,
    },
    /// An instance of the component begins with more memory than all calls together may have.
    #[error(
        "it begins with {} of memory, and limits.memory-budget, which all calls share, is {}; raise limits.memory-budget in \
         hitchy.toml or build it with a smaller memory",
        size(*.initial),
        size(*.budget as u64)
    )]
    InitialMemoryBudget {
        /// Size of all its memories at the beginning, in bytes.
        initial: u64,
        /// The budget in bytes.
        budget: usize,
    },
    /// An instance of the component begins with more than the engine has a place for.
    #[error("it has {count} {what}, and a handler may have {max}; split it into several handlers")]
    Footprint {
        /// The number that it has.
        count: u64,
        /// What is counted, in the plural.
        what: &'static str,
        /// The largest permitted number.
        max: usize,
    },
    /// The component imports interfaces that no capability provides.
    #[error("it imports {imports}, which this server does not provide; {remedy}")]
    UnknownImports {
        /// The names of the interfaces, for the sentence.
        imports: String,
        /// How the toolchain leaves them out. The advice ends the sentence.
        remedy: &'static str,
    },
    /// wasmtime or its parser rejects the file.
    #[error("it is not valid: {0}; build it again")]
    Invalid(String),
    /// The compilation took too long, or ended without a result.
    #[error("compiling it failed: {0}")]
    Compile(String),
    /// The compiling process could not be started, or its pipes failed.
    #[error("the compiling process cannot be used: {0}; it is tried again")]
    Compiler(String),
    /// The call of `describe` failed.
    #[error("its describe failed: {0}; it may do nothing but declare, within one second")]
    Describe(CallError),
    /// A declaration is not valid. The text is the whole sentence.
    #[error("{0}")]
    Declaration(String),
}

/// Writes a number of bytes for people. Memories consist of pages of 64 KiB.
fn size(bytes: u64) -> String {
    match bytes {
        bytes if bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        bytes if bytes.is_multiple_of(1 << 10) => format!("{} KiB", bytes >> 10),
        bytes => format!("{bytes} bytes"),
    }
}

impl LoadError {
    /// Makes the refusal of a component that imports `unknown` interfaces and was written in `languages`.
    pub(super) fn unknown_imports(unknown: &[String], languages: &BTreeSet<String>) -> Self {
        Self::UnknownImports {
            imports: unknown.join(", "),
            remedy: remedy(unknown, languages),
        }
    }

    /// Returns true if the machine and not the file is the cause, so that another attempt may load the same file.
    pub fn is_transient(&self) -> bool {
        use CallError::{Host, NoInstance, NoMemory, Overloaded};
        matches!(
            self,
            Self::Compiler(_) | Self::Describe(NoInstance(_) | NoMemory | Overloaded | Host(_))
        )
    }
}

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
    pub(super) fn from_wasmtime(error: &wasmtime::Error, state: &State) -> Self {
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

/// Returns the guest's call stack for the log: `; in a < b`, innermost function first. Returns an empty text if there
/// is no stack.
fn frames(error: &wasmtime::Error) -> String {
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else {
        return String::new();
    };
    let stack = backtrace.frames().iter().map(function_name).collect();
    let names = without_panic(stack);
    if names.is_empty() {
        String::new()
    } else {
        format!("; in {}", names.join(" < "))
    }
}

/// Returns the readable name of a frame's function, or its index in the module if the function has no name.
fn function_name(frame: &FrameInfo) -> String {
    match frame.func_name() {
        Some(name) => readable(name),
        None => format!("<wasm function {}>", frame.func_index()),
    }
}

/// Frames of a stack that are logged at most.
const MAX_FRAMES: usize = 16;

/// Drops the frames of Rust's panic machinery, which are the same for every panic, so that the function that panicked
/// comes first. Keeps [`MAX_FRAMES`] of the others.
fn without_panic(mut names: Vec<String>) -> Vec<String> {
    let last = names
        .iter()
        .rposition(|name| name.starts_with("core::panicking::"));
    names.drain(..last.map_or(0, |last| last + 1));
    names.truncate(MAX_FRAMES);
    names
}

/// Demangles a function's name and leaves out the hashes by which rustc distinguishes equal names.
///
/// The linker (wasm-ld) usually demangles the names of the name section itself, but keeps the hashes.
fn readable(name: &str) -> String {
    match rustc_demangle::try_demangle(name) {
        // The alternate form leaves out hashes.
        Ok(demangled) => format!("{demangled:#}"),
        Err(_) => without_hashes(name),
    }
}

/// Removes the hashes from a demangled name: `a::b::h0123456789abcdef` (legacy mangling) and `a[0123456789abcdef]::b`
/// (v0 mangling) become `a::b`.
fn without_hashes(name: &str) -> String {
    let is_hash = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let path = match name.rsplit_once("::h") {
        Some((path, hash)) if hash.len() == 16 && is_hash(hash) => path,
        _ => name,
    };
    let mut parts = path.split('[');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(']') {
            Some((hash, rest)) if (8..=16).contains(&hash.len()) && is_hash(hash) => {
                plain.push_str(rest);
            }
            _ => {
                plain.push('[');
                plain.push_str(part);
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_readable() {
        for (name, wanted) in [
            ("shop::buy", "shop::buy"),
            ("shop::buy::h0123456789abcdef", "shop::buy"),
            ("_ZN4shop3buy17h0123456789abcdefE", "shop::buy"),
            ("_RNvCskwGfYPst2Cb_4shop3buy", "shop::buy"),
            (
                "std[d123b7a1a2ed1472]::panicking::panic_handler::{closure#0}",
                "std::panicking::panic_handler::{closure#0}",
            ),
            ("<[u8] as a[1f2e3d4c5b6a7988]::B>::c", "<[u8] as a::B>::c"),
            ("[u8; 16]::x", "[u8; 16]::x"),
            ("on-request", "on-request"),
        ] {
            assert_eq!(readable(name), wanted);
        }
    }

    #[test]
    fn a_panic_is_told_from_where_it_was() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let stack = names(&[
            "std::process::abort",
            "core::panicking::panic_fmt",
            "shop::buy",
        ]);
        assert_eq!(without_panic(stack), ["shop::buy"]);
        let stack = names(&["shop::buy", "on-request"]);
        assert_eq!(without_panic(stack), ["shop::buy", "on-request"]);
    }
}
