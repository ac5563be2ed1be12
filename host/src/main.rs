//! The program: everything is in the library.

use std::process::ExitCode;

/// A call makes and drops some dozens of small things, on whatever thread it runs. With mimalloc a request costs the
/// server about a twelfth less than with the C library's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    hitchy::cli::main()
}
