//! Code that is compiled and linked, but does not belong to one handler yet.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::{Component, InstancePre};

use super::content_hash::ContentHash;
use super::footprint::Footprint;
use super::instance::state::State;
use super::source_map::SourceMap;
use super::wasm_info::WasmInfo;

/// The way in which the code of a file was got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeOrigin {
    /// It was compiled.
    Compiled,
    /// It was in the cache of compiled code.
    Cached,
    /// It is a script, which was evaluated and not compiled.
    Evaluated,
}

impl CodeOrigin {
    /// Returns its name in JSON and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Compiled => "compiled",
            Self::Cached => "cached",
            Self::Evaluated => "evaluated",
        }
    }

    /// Returns the words for the log, to which a length of time is added.
    pub fn verb(self) -> &'static str {
        match self {
            Self::Compiled => "compiled",
            Self::Cached => "cached, loaded",
            Self::Evaluated => "evaluated",
        }
    }
}

/// The native code of one file. Handlers of the same content share it.
#[derive(Clone)]
pub(super) struct Code {
    pub(super) hash: ContentHash,
    pub(super) component: Component,
    /// The component with its imports linked.
    pub(super) pre: InstancePre<State>,
    /// What an instance begins with.
    pub(super) footprint: Footprint,
    /// Size of the file in bytes.
    pub(super) size: usize,
    pub(super) origin: CodeOrigin,
    /// True if an instance can be made what it was before its first call.
    pub(super) can_rewind: bool,
    /// The time from the file to its code.
    pub(super) compile_time: Duration,
    /// The structure of the file, if it is a core module that was made a component.
    pub(super) adapted: Option<Arc<WasmInfo>>,
    /// The places of its bundle, if it is a script with packages.
    pub(super) source_map: Option<Arc<SourceMap>>,
}
