//! Standard output and standard error: what `println!`, `eprintln!` and panics write goes into the host's log, line by line.
//!
//! The C library's own functions do it too, but bring seventeen imports with them (streams, polls, terminals), and each fresh
//! instance pays for every import, used or not: about a twentieth of a call. With its two functions that write replaced, the
//! linker leaves the rest out.
#![allow(
    unsafe_code,
    reason = "these are C functions, called with C's pointers"
)]

use std::mem;
use std::sync::{Mutex, PoisonError};

use crate::host::log::{Level, write as log};

/// A line longer than this is logged in pieces.
const LONGEST: usize = 4 << 10;

static OUT: Stream = Stream::new(Level::Info);
static ERROR: Stream = Stream::new(Level::Warn);

/// Standard output or standard error, and what has been written of its next line.
struct Stream {
    level: Level,
    line: Mutex<Vec<u8>>,
}

impl Stream {
    const fn new(level: Level) -> Self {
        let line = Mutex::new(Vec::new());
        Self { level, line }
    }

    fn of(descriptor: i32) -> Option<&'static Self> {
        match descriptor {
            1 => Some(&OUT),
            2 => Some(&ERROR),
            _ => None,
        }
    }

    fn print(&self, bytes: &[u8]) {
        // One piece for each line, its end included, and what has no end yet.
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
            line.extend_from_slice(piece);
            let is_complete = piece.ends_with(b"\n") || line.len() >= LONGEST;
            let complete = is_complete.then(|| mem::take(&mut *line));
            drop(line);
            self.log(complete.unwrap_or_default());
        }
    }

    fn finish(&self) {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        let rest = mem::take(&mut *line);
        drop(line);
        self.log(rest);
    }

    fn log(&self, line: Vec<u8>) {
        for piece in line.trim_ascii_end().chunks(LONGEST) {
            log(self.level, &String::from_utf8_lossy(piece));
        }
    }
}

/// Held by a call: when it ends, what has no line end is logged too.
pub(crate) struct Lines;

impl Drop for Lines {
    fn drop(&mut self) {
        OUT.finish();
        ERROR.finish();
    }
}

/// POSIX's `write`. A handler can open no files, so there are no other descriptors.
#[unsafe(no_mangle)]
extern "C" fn write(descriptor: i32, bytes: *const u8, length: usize) -> isize {
    let Some(stream) = Stream::of(descriptor) else {
        return -1;
    };
    if length > 0 {
        // SAFETY: the caller promises `length` readable bytes, as POSIX has it.
        stream.print(unsafe { std::slice::from_raw_parts(bytes, length) });
    }
    length.cast_signed()
}

/// POSIX's `iovec`.
#[repr(C)]
struct Piece {
    bytes: *const u8,
    length: usize,
}

/// POSIX's `writev`.
#[unsafe(no_mangle)]
extern "C" fn writev(descriptor: i32, pieces: *const Piece, count: i32) -> isize {
    let mut written = 0;
    for index in 0..usize::try_from(count).unwrap_or(0) {
        // SAFETY: the caller promises `count` pieces, as POSIX has it.
        let piece = unsafe { &*pieces.add(index) };
        if write(descriptor, piece.bytes, piece.length) < 0 {
            return -1;
        }
        written += piece.length.cast_signed();
    }
    written
}
