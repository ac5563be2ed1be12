//! The work on one file, which is done in a process of its own.

use super::super::adapt::{self, Adapter};
use super::super::engine;
use super::super::error::LoadError;

/// The work on one file.
#[derive(Clone, Copy, Debug)]
pub(super) enum Job {
    /// Make native code of a component.
    Compile,
    /// Make a component of a core module.
    Adapt(Adapter),
}

impl Job {
    /// All jobs. The child gets the index of its job.
    pub(super) const ALL: [Self; 3] = [
        Self::Compile,
        Self::Adapt(Adapter::Reactor),
        Self::Adapt(Adapter::Command),
    ];

    pub(super) fn index(self) -> u8 {
        match self {
            Self::Compile => 0,
            Self::Adapt(Adapter::Reactor) => 1,
            Self::Adapt(Adapter::Command) => 2,
        }
    }

    pub(super) fn run(self, wasm: &[u8]) -> Result<Vec<u8>, LoadError> {
        match self {
            Self::Compile => compile(wasm),
            Self::Adapt(adapter) => adapt::adapt(wasm, adapter),
        }
    }
}

/// Compiles a component to native code in this process.
fn compile(wasm: &[u8]) -> Result<Vec<u8>, LoadError> {
    let engine = engine::compiling().map_err(|error| LoadError::Compile(format!("{error:#}")))?;
    engine
        .precompile_component(wasm)
        .map_err(|error| invalid(&format!("{error:#}")))
}

/// Makes a refusal of the text of wasmtime's error.
fn invalid(text: &str) -> LoadError {
    // The text of wasmparser 0.254 for what needs the feature, which has no type of its own.
    if text.contains("component model async") {
        return LoadError::Async(text.to_owned());
    }
    LoadError::Invalid(text.to_owned())
}
