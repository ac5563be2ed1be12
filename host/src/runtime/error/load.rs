//! Errors of loading: the reasons why a file cannot be served.

use std::collections::BTreeSet;

use super::call::CallError;
use crate::runtime::contract::{PACKAGE, TRACK};
use crate::runtime::module_error::ModuleError;
use crate::runtime::remedies::remedy;
use crate::runtime::script_error::ScriptError;
use crate::runtime::settings::Life;

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
    /// The file is a script that cannot be loaded.
    #[error(transparent)]
    Script(#[from] ScriptError),
    /// The evaluation of a script did not come to its end.
    #[error(
        "evaluating it failed: {0}; while it is loaded it may do nothing but declare, within one second of processor time"
    )]
    Evaluate(CallError),
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
    pub(in crate::runtime) fn unknown_imports(
        unknown: &[String],
        languages: &BTreeSet<String>,
    ) -> Self {
        Self::UnknownImports {
            imports: unknown.join(", "),
            remedy: remedy(unknown, languages),
        }
    }

    /// Returns true if the machine and not the file is the cause, so that another attempt may load the same file.
    pub fn is_transient(&self) -> bool {
        use CallError::{Host, NoInstance, NoMemory, Overloaded};
        if let Self::Script(error) = self {
            return error.is_transient();
        }
        matches!(
            self,
            Self::Compiler(_)
                | Self::Describe(NoInstance(_) | NoMemory | Overloaded | Host(_))
                | Self::Evaluate(NoInstance(_) | NoMemory | Overloaded | Host(_))
        )
    }
}
