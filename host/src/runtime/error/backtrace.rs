//! The guest's call stack, as the log has it.

use wasmtime::{FrameInfo, WasmBacktrace};

/// Returns the guest's call stack for the log: `; in a < b`, innermost function first. Returns an empty text if there
/// is no stack.
pub(super) fn frames(error: &wasmtime::Error) -> String {
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else {
        return String::new();
    };
    let stack = backtrace.frames().iter().map(function_name).collect();
    let names = without_panic(stack);
    if names.is_empty() {
        String::new()
    } else {
        format!("; in {}", names.join(" < "))
    }
}

/// Returns the readable name of a frame's function, or its index in the module if the function has no name.
fn function_name(frame: &FrameInfo) -> String {
    match frame.func_name() {
        Some(name) => readable(name),
        None => format!("<wasm function {}>", frame.func_index()),
    }
}

/// Frames of a stack that are logged at most.
const MAX_FRAMES: usize = 16;

/// Drops the frames of Rust's panic machinery, which are the same for every panic, so that the function that panicked
/// comes first. Keeps [`MAX_FRAMES`] of the others.
fn without_panic(mut names: Vec<String>) -> Vec<String> {
    let last = names
        .iter()
        .rposition(|name| name.starts_with("core::panicking::"));
    names.drain(..last.map_or(0, |last| last + 1));
    names.truncate(MAX_FRAMES);
    names
}

/// Demangles a function's name and leaves out the hashes by which rustc distinguishes equal names.
///
/// The linker (wasm-ld) usually demangles the names of the name section itself, but keeps the hashes.
fn readable(name: &str) -> String {
    match rustc_demangle::try_demangle(name) {
        // The alternate form leaves out hashes.
        Ok(demangled) => format!("{demangled:#}"),
        Err(_) => without_hashes(name),
    }
}

/// Removes the hashes from a demangled name: `a::b::h0123456789abcdef` (legacy mangling) and `a[0123456789abcdef]::b`
/// (v0 mangling) become `a::b`.
fn without_hashes(name: &str) -> String {
    let is_hash = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let path = match name.rsplit_once("::h") {
        Some((path, hash)) if hash.len() == 16 && is_hash(hash) => path,
        _ => name,
    };
    let mut parts = path.split('[');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(']') {
            Some((hash, rest)) if (8..=16).contains(&hash.len()) && is_hash(hash) => {
                plain.push_str(rest);
            }
            _ => {
                plain.push('[');
                plain.push_str(part);
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_readable() {
        for (name, wanted) in [
            ("shop::buy", "shop::buy"),
            ("shop::buy::h0123456789abcdef", "shop::buy"),
            ("_ZN4shop3buy17h0123456789abcdefE", "shop::buy"),
            ("_RNvCskwGfYPst2Cb_4shop3buy", "shop::buy"),
            (
                "std[d123b7a1a2ed1472]::panicking::panic_handler::{closure#0}",
                "std::panicking::panic_handler::{closure#0}",
            ),
            ("<[u8] as a[1f2e3d4c5b6a7988]::B>::c", "<[u8] as a::B>::c"),
            ("[u8; 16]::x", "[u8; 16]::x"),
            ("on-request", "on-request"),
        ] {
            assert_eq!(readable(name), wanted);
        }
    }

    #[test]
    fn a_panic_is_told_from_where_it_was() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let stack = names(&[
            "std::process::abort",
            "core::panicking::panic_fmt",
            "shop::buy",
        ]);
        assert_eq!(without_panic(stack), ["shop::buy"]);
        let stack = names(&["shop::buy", "on-request"]);
        assert_eq!(without_panic(stack), ["shop::buy", "on-request"]);
    }
}
