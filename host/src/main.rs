//! The program: everything is in the library.

use std::process::ExitCode;

/// A call makes and drops some dozens of small things, on whatever thread it runs: mimalloc takes about a tenth off a request
/// against the C library's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    hitchy::cli::main()
}
