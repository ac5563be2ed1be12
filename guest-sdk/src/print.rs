//! Standard output and standard error. Output of `println!`, `eprintln!` and panics is passed to the host, which splits
//! it into lines.
//!
//! The way through wasi-libc and WASI's streams needs seventeen imports (streams, polls, terminals). Each fresh
//! instance pays for every import, even if it is unused, which is about a twentieth of the time of a call. All output
//! of Rust and C passes through the function `write`. This file replaces `write`, and the linker then drops these
//! imports.

use crate::host::log::{Output, print};

/// Maximum number of bytes in one call to the host. The caller of `write` calls again with the rest.
const MAX_CHUNK: usize = 64 << 10;

/// Replaces the function `write` of POSIX. Descriptors other than 1 and 2 fail, because a handler cannot open files.
///
/// # Safety
/// `bytes` must point to `length` readable bytes.
#[allow(unsafe_code, reason = "a function of C's, called with C's pointers")]
#[unsafe(no_mangle)]
unsafe extern "C" fn write(descriptor: i32, bytes: *const u8, length: usize) -> isize {
    /// Error number for a bad file descriptor in wasi-libc.
    const EBADF: i32 = 8;
    unsafe extern "C" {
        fn __errno_location() -> *mut i32;
    }
    let to = match descriptor {
        1 => Output::Standard,
        2 => Output::Error,
        _ => {
            // SAFETY: wasi-libc returns the address of a variable that lives as long as the instance.
            unsafe { *__errno_location() = EBADF };
            return -1;
        }
    };
    let length = length.min(MAX_CHUNK);
    if length > 0 {
        // SAFETY: the caller promises `length` readable bytes. Nothing is allocated here, because Rust also reports
        // that memory is exhausted through this function.
        print(to, unsafe { std::slice::from_raw_parts(bytes, length) });
    }
    length.cast_signed()
}
