//! Code that can be called: compiled and linked, but not yet a handler of a certain name.

use std::time::Duration;

use wasmtime::component::{Component, InstancePre};

use super::compile::ContentHash;
use super::instance::state::State;

/// The native code of one file. Handlers of the same content share it.
#[derive(Clone)]
pub(super) struct Code {
    pub(super) hash: ContentHash,
    pub(super) component: Component,
    pub(super) pre: InstancePre<State>,
    /// The size of the file in bytes.
    pub(super) size: usize,
    pub(super) compile_time: Duration,
}
