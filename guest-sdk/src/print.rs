//! Standard output and standard error: what `println!`, `eprintln!` and panics write goes straight to the host, which
//! makes lines of it.
//!
//! The C library's own way there brings seventeen imports with it (streams, polls, terminals), and each fresh instance
//! pays for every import, used or not: about a twentieth of a call. With its `write` replaced, through which everything
//! goes that Rust and C print, the linker leaves the rest out.

use crate::host::log::{Output, print};

/// Bytes that go to the host at once; who writes more comes again with the rest.
const AT_ONCE: usize = 64 << 10;

/// POSIX's `write`. A handler can open no files, so there are no other descriptors.
///
/// # Safety
/// `bytes` points to `length` readable bytes.
#[allow(unsafe_code, reason = "a function of C's, called with C's pointers")]
#[unsafe(no_mangle)]
unsafe extern "C" fn write(descriptor: i32, bytes: *const u8, length: usize) -> isize {
    /// "Bad file descriptor" in wasi-libc.
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
    let length = length.min(AT_ONCE);
    if length > 0 {
        // SAFETY: the caller's promise. Nothing is allocated: this is also how Rust says that there is no memory left.
        print(to, unsafe { std::slice::from_raw_parts(bytes, length) });
    }
    length.cast_signed()
}
