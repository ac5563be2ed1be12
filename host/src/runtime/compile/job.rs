//! The work on one file, which is done in a process of its own.

use std::sync::Arc;

use bytes::Bytes;

use super::super::adapt::{self, Adapter};
use super::super::engine;
use super::super::error::LoadError;
use super::functions::Functions;

/// The work on one file.
#[derive(Clone, Copy, Debug)]
pub(in crate::runtime) enum Job {
    /// Make native code of a component.
    Compile,
    /// Make native code of a component, with the functions of its version before, and return those of this version too.
    CompileAgain,
    /// Make a component of a core module.
    Adapt(Adapter),
}

impl Job {
    /// All jobs. The child gets the index of its job.
    pub(super) const ALL: [Self; 4] = [
        Self::Compile,
        Self::CompileAgain,
        Self::Adapt(Adapter::Reactor),
        Self::Adapt(Adapter::Command),
    ];

    pub(super) fn index(self) -> u8 {
        match self {
            Self::Compile => 0,
            Self::CompileAgain => 1,
            Self::Adapt(Adapter::Reactor) => 2,
            Self::Adapt(Adapter::Command) => 3,
        }
    }

    pub(super) fn run(self, input: &Input) -> Result<Output, LoadError> {
        match self {
            Self::Compile => Ok(Output::of(compile(&input.wasm, None)?)),
            Self::CompileAgain => {
                let functions = Arc::new(Functions::of(input.functions.clone()));
                Ok(Output {
                    made: compile(&input.wasm, Some(Arc::clone(&functions)))?.into(),
                    functions: functions.encode().into(),
                })
            }
            Self::Adapt(adapter) => Ok(Output::of(adapt::adapt(&input.wasm, adapter)?)),
        }
    }
}

/// The file of a job, with the functions of its version before; none if there are none.
#[derive(Clone, Debug)]
pub(super) struct Input {
    pub(super) wasm: Bytes,
    pub(super) functions: Bytes,
}

/// The result of a job, with the functions of this version; none if they are not kept.
#[derive(Clone, Debug)]
pub(super) struct Output {
    pub(super) made: Bytes,
    pub(super) functions: Bytes,
}

impl Output {
    fn of(made: Vec<u8>) -> Self {
        Self {
            made: made.into(),
            functions: Bytes::new(),
        }
    }
}

/// Compiles a component to native code in this process.
fn compile(wasm: &[u8], functions: Option<Arc<Functions>>) -> Result<Vec<u8>, LoadError> {
    let engine = match functions {
        Some(functions) => engine::compiling_with(functions),
        None => engine::compiling(),
    };
    let engine = engine.map_err(|error| LoadError::Compile(format!("{error:#}")))?;
    let compiled = engine.precompile_component(wasm);
    compiled.map_err(|error| invalid(&format!("{error:#}")))
}

/// Makes a refusal of the text of wasmtime's error.
fn invalid(text: &str) -> LoadError {
    // The text of wasmparser 0.254 for what needs the feature, which has no type of its own.
    if text.contains("component model async") {
        return LoadError::Async(text.to_owned());
    }
    LoadError::Invalid(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A component with two functions, of which the second returns this number.
    fn version(number: u32) -> Bytes {
        let text = format!(
            r#"(component (core module
                (func (export "one") (param i32) (result i32) local.get 0 i32.const 3 i32.mul)
                (func (export "two") (param i32) (result i32) local.get 0 i32.const {number} i32.add)))"#
        );
        wat::parse_str(text).expect("it is a component").into()
    }

    fn again(number: u32, functions: Bytes) -> Output {
        let input = Input {
            wasm: version(number),
            functions,
        };
        Job::CompileAgain.run(&input).expect("it compiles")
    }

    #[test]
    fn i13_2_code_with_functions_of_the_version_before_is_the_code_that_compiling_anew_makes() {
        let first = again(1, Bytes::new());
        let second = again(2, first.functions.clone());
        assert_eq!(second.made, again(2, Bytes::new()).made);
        assert_ne!(second.made, first.made);
        let plain = Job::Compile.run(&Input {
            wasm: version(2),
            functions: Bytes::new(),
        });
        let plain = plain.expect("it compiles");
        assert_eq!(second.made, plain.made);
        assert!(plain.functions.is_empty());

        let functions = Arc::new(Functions::of(first.functions));
        compile(&version(2), Some(Arc::clone(&functions))).expect("it compiles");
        assert_eq!(functions.compiled(), 1, "the one that has changed");
    }
}
