//! Names: those that Hitchy and socket.io reserve, which handlers cannot declare or emit under,
//! and those of handlers.
//!
//! They are kept apart from the emitter so that a check of names does not depend on the socket.io library.

/// The namespace of `request`, in which nothing else is sent.
pub const REQUESTS: &str = "/hitchy";

/// Names of events that socket.io reserves.
pub const RESERVED: [&str; 6] = [
    "connect",
    "connect_error",
    "disconnect",
    "disconnecting",
    "newListener",
    "removeListener",
];

/// The ends of the names of files with WebAssembly.
pub const WASM: &str = ".wasm";
/// The ends of the names of files with JavaScript and TypeScript.
const SCRIPTS: [&str; 4] = [".js", ".mjs", ".ts", ".mts"];
/// The ends of the names of files with TypeScript.
const TYPESCRIPT: [&str; 2] = [".ts", ".mts"];
/// The ends of the names of files with nothing but types.
const TYPES: [&str; 2] = [".d.ts", ".d.mts"];

/// Returns true if a file has JavaScript or TypeScript by its name.
pub fn is_script(file: &str) -> bool {
    let is_one = |ends: &[&str]| ends.iter().any(|end| file.ends_with(end));
    is_one(&SCRIPTS) && !is_one(&TYPES)
}

/// Returns true if a file has TypeScript by its name.
pub fn is_typescript(file: &str) -> bool {
    TYPESCRIPT.iter().any(|end| file.ends_with(end))
}

/// Returns the name under which settings know the handler of a file: `api/shop` for `api/shop.wasm` and `api/shop.js`.
pub fn bare(file: &str) -> &str {
    let mut ends = std::iter::once(WASM).chain(SCRIPTS);
    ends.find_map(|end| file.strip_suffix(end)).unwrap_or(file)
}
