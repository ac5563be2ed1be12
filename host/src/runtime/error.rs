//! The errors of handlers: while they are loaded, and while they are called. Only this file takes wasmtime's errors
//! apart.

use std::time::Duration;

use wasmtime::{FrameInfo, Trap, WasmBacktrace};

use super::contract::{PACKAGE, TRACK};
use super::instance::limits::Refused;
use super::instance::state::State;

/// The reason for which a file cannot be served. Each sentence says the cause and what to do; whoever reports it names
/// the file.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file is empty.
    #[error("the file is empty; copy the .wasm again")]
    Empty,
    /// The file ends too early.
    #[error(
        "the file is incomplete: it ends in the middle of a section; copy it again, or to another name first and rename it"
    )]
    Incomplete,
    /// The file is larger than a handler may be.
    #[error(
        "the file has {size} bytes, and a handler may have {max}; build it smaller (without debug information, for a start)"
    )]
    TooLarge {
        /// The size of the file in bytes.
        size: u64,
        /// The bound in bytes.
        max: u64,
    },
    /// The file is native code.
    #[error(
        "this is native code (ELF or a precompiled .cwasm), which is never loaded; put the .wasm here instead"
    )]
    Native,
    /// The file is WebAssembly as text.
    #[error(
        "this is WebAssembly text; turn it into a component first, for example with `wasm-tools parse`"
    )]
    Text,
    /// The file is not WebAssembly.
    #[error("this is no WebAssembly; a handler is a component built for wasm32-wasip2")]
    NotWasm,
    /// The file is a core module.
    #[error(
        "this is a core WebAssembly module, and a handler is a component; build it for the target wasm32-wasip2"
    )]
    CoreModule,
    /// The component is a command.
    #[error(
        "this is a command (it exports wasi:cli/run), and a handler is a library; export hitchy:platform/setup, for Rust with crate-type cdylib"
    )]
    Command,
    /// The component is for a stock HTTP server.
    #[error("this is a wasi:http component, which is not served yet; export hitchy:platform/setup")]
    WasiHttp,
    /// The component lacks the one export that makes it a handler.
    #[error(
        "the component does not export hitchy:platform/setup, so it is no handler; it exports {exports}; {fix}"
    )]
    NoSetup {
        /// The names that it exports.
        exports: String,
        /// The advice for its author.
        fix: &'static str,
    },
    /// The component is built for another track of the contract.
    #[error(
        "it is built for the contract {0}, and this server speaks {PACKAGE} {TRACK}; build it against {TRACK}"
    )]
    OtherContract(String),
    /// The component imports something that the server does not provide.
    #[error(
        "it imports {0}, which this server does not provide; build it without, or update the server"
    )]
    UnknownImports(String),
    /// wasmtime refuses the component.
    #[error("it is not valid: {0}; build it again")]
    Invalid(String),
    /// The component needs more than an instance from the pool has.
    #[error("it needs more than an instance may have: {0}")]
    TooDemanding(String),
    /// The compiler did not come to an end, or was ended.
    #[error("compiling it failed: {0}")]
    Compile(String),
    /// The compiler could not be started or spoken to.
    #[error("the compiling process cannot be used: {0}; it is tried again")]
    Compiler(String),
    /// The call of `describe` failed.
    #[error("its describe failed: {0}; it may do nothing but declare, within one second")]
    Describe(CallError),
    /// The handler declares something impossible.
    #[error("{0}")]
    Declaration(String),
}

impl LoadError {
    /// Returns true if the same file may be loaded when it is tried again, because the machine and not the file is the
    /// cause.
    pub fn is_transient(&self) -> bool {
        use CallError::{Host, NoInstance, NoMemory, Overloaded};
        matches!(
            self,
            Self::Compiler(_) | Self::Describe(NoInstance(_) | NoMemory | Overloaded | Host(_))
        )
    }
}

/// The reason for which a call gave no usable answer. The sentences are for the log; clients read those of dispatch.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The guest trapped.
    #[error("trap: {cause}{frames}")]
    Trap {
        /// The cause, as wasmtime names it.
        cause: String,
        /// The functions on the stack, demangled, innermost first.
        frames: String,
    },
    /// The guest asked for more memory than it may have.
    #[error("out of memory: the call may use {limit} bytes (limits.memory){frames}")]
    OutOfMemory {
        /// The bound in bytes.
        limit: usize,
        /// The functions on the stack, demangled, innermost first.
        frames: String,
    },
    /// All guests together asked for more memory than they may have.
    #[error("no memory left: all calls together use what limits.memory-budget allows")]
    NoMemory,
    /// The call exceeded its deadline.
    #[error("no answer within {0:?} (limits.deadline)")]
    Deadline(Duration),
    /// The call exceeded its processor time.
    #[error("stopped after {0:?} on the processor (limits.cpu)")]
    Cpu(Duration),
    /// The guest answered something that cannot be passed on.
    #[error("unusable answer: {0}")]
    BadAnswer(String),
    /// The pool has no free instance.
    #[error("no free instance: {0}")]
    NoInstance(String),
    /// Too many calls are running and waiting.
    #[error("too many calls are running and waiting")]
    Overloaded,
    /// The server failed during the call, by a bug of its own.
    #[error("the server itself failed during the call: {0}")]
    Host(String),
}

impl CallError {
    /// Returns the meaning of an error of wasmtime.
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
            (None, Some(trap)) => Self::Trap {
                cause: cause(*trap, error),
                frames,
            },
            // Whatever else stops a guest is something it handed over that could not be taken: too long a list, a
            // string that is not UTF-8, a pointer out of range, a handle that is none.
            (None, None) => Self::BadAnswer(format!("{}{frames}", error.root_cause())),
        }
    }
}

/// Returns the cause of a trap, with advice where a guest's stack was too small, which wasmtime does not say.
fn cause(trap: Trap, error: &wasmtime::Error) -> String {
    let cause = trap.to_string().replacen("wasm trap: ", "", 1);
    match trap {
        Trap::StackOverflow => format!("{cause} (recursion is too deep; use a loop)"),
        Trap::MemoryOutOfBounds if is_below_zero(error) => format!(
            "{cause} below address 0: the guest's stack, which comes first in its memory, may have been exceeded (deep recursion, or \
             large values on it; handlers are built with 64 KiB); recurse less, put large values into a Box or Vec, or build with a \
             larger stack (linker flag -zstack-size=262144)"
        ),
        _ => cause,
    }
}

/// The distance below address 0 in which an exceeded stack is suspected.
const BELOW: u64 = 64 << 20;

/// Returns true if a guest used an address a little below 0. Because addresses have 32 bits, that is one just below 4
/// GiB, or just above it for a field of a value that begins below.
fn is_below_zero(error: &wasmtime::Error) -> bool {
    let address = error.chain().find_map(|cause| {
        let text = cause.to_string();
        let rest = text.strip_prefix("memory fault at wasm address 0x")?;
        u64::from_str_radix(rest.split(' ').next()?, 16).ok()
    });
    address.is_some_and(|address| address.abs_diff(1 << 32) <= BELOW)
}

/// Returns the guest's call stack for the log: `; in a < b`, innermost function first. Returns an empty text if there
/// is no stack.
fn frames(error: &wasmtime::Error) -> String {
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else {
        return String::new();
    };
    let names = backtrace.frames().iter().map(function_name).collect();
    let names = without_panic(names);
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
