//! The hidden command that compiles one component in a process of its own. It reads WebAssembly from standard input and
//! writes native code to standard output.

use std::io::{Write, stdout};
use std::process::ExitCode;

use crate::runtime::compile_in_child;

/// Runs the hidden command. Exits with 0 and native code on standard output, or with another code and a sentence on
/// standard error.
pub(super) fn main() -> ExitCode {
    match compile_in_child(&mut stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = write!(std::io::stderr(), "{error}");
            ExitCode::from(error.code())
        }
    }
}
