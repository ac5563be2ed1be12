//! The place in which components are compiled.

use std::path::PathBuf;

/// The place in which components are compiled.
#[derive(Clone, Debug)]
pub enum Compiler {
    /// A child process that runs the program of this path.
    Child(PathBuf),
    /// This process. Tests and benchmarks use it, because their programs do not have the hidden command.
    Here,
}

/// Returns the compiler that runs this program as it was started.
///
/// `/proc/self/exe` leads to the running program even if its file has been replaced meanwhile, for example by an
/// update.
pub fn this_program() -> Compiler {
    let itself = PathBuf::from("/proc/self/exe");
    let program = if itself.exists() {
        Ok(itself)
    } else {
        std::env::current_exe()
    };
    program.map_or(Compiler::Here, Compiler::Child)
}
