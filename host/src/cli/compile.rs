//! The hidden command that compiles one component in a process of its own. It reads WebAssembly from standard input and
//! writes native code to standard output.

use std::io::{Read, Write, stdin, stdout};
use std::process::ExitCode;

use crate::runtime::compile_in_child;

/// Runs the hidden command. Exits with 0 and native code on standard output, or with 1 and a sentence on standard
/// error.
pub(super) fn main() -> ExitCode {
    match compile() {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => {
            let _ = write!(std::io::stderr(), "{cause}");
            ExitCode::from(1)
        }
    }
}

fn compile() -> Result<(), String> {
    let mut wasm = Vec::new();
    stdin()
        .read_to_end(&mut wasm)
        .map_err(|error| error.to_string())?;
    let code = compile_in_child(&wasm)?;
    stdout()
        .write_all(&code)
        .and_then(|()| stdout().flush())
        .map_err(|error| error.to_string())
}
