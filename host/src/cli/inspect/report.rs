//! The report of `hitchy inspect`: everything that is known about a file, before it is printed as text or as JSON.

use std::path::Path;

use crate::registry::CheckedFile;
use crate::runtime::contract;
use crate::runtime::{ContentHash, Handler, WasmInfo};

/// Size of the stack, in bytes, from which a smaller one is suggested. It is the default of Rust's linker.
const LARGE_STACK: u64 = 1 << 20;

/// Everything that is known about one file.
pub(super) struct Report {
    /// Path of the file, as it was given.
    pub(super) file: String,
    /// Size in bytes and hash of the file, if it could be read.
    pub(super) content: Option<(usize, ContentHash)>,
    /// Structure of the file, if it is WebAssembly.
    pub(super) info: Option<WasmInfo>,
    /// The handler that would be served, or the sentence that says why the file would be refused.
    pub(super) verdict: Result<Handler, String>,
    /// Sentences that suggest improvements.
    pub(super) hints: Vec<String>,
}

impl Report {
    /// Builds the report of the checked file at `path`.
    pub(super) fn of(path: &Path, checked: CheckedFile) -> Self {
        let content = checked.content.as_deref();
        let adapted = checked.verdict.as_ref().ok().and_then(|it| it.adapted());
        let info = match adapted {
            Some(info) => Some(info.clone()),
            None => content.and_then(|wasm| WasmInfo::of(wasm).ok()),
        };
        let mut hints = Vec::new();
        if info.is_some() && !checked.name.ends_with(".wasm") {
            hints.push(
                "a server takes up files whose names end in .wasm, in lower case; rename it"
                    .to_owned(),
            );
        }
        if let Ok(handler) = &checked.verdict {
            hints.extend(hints_of(handler, info.as_ref()));
        }
        Self {
            file: path.display().to_string(),
            content: content.map(|wasm| (wasm.len(), ContentHash::of(wasm))),
            info,
            verdict: checked.verdict.map_err(|refusal| refusal.to_string()),
            hints,
        }
    }
}

/// Returns hints for a handler that would be served but could be improved.
fn hints_of(handler: &Handler, info: Option<&WasmInfo>) -> Vec<String> {
    let mut hints = Vec::new();
    if handler.declarations.lines().is_empty() {
        hints.push("it declares nothing, so nothing will ever call it".to_owned());
    }
    hints.extend(handler.declarations.warnings.iter().cloned());
    let stack = info
        .and_then(|info| info.stack)
        .filter(|stack| *stack >= LARGE_STACK);
    if let Some(stack) = stack {
        hints.push(format!(
            "its stack has {} and every call begins with memory that is cleared; `hitchy build` gives it a stack of 64 KiB, and so does \
             the linker's option -zstack-size=65536 under another build",
            readable(stack)
        ));
    }
    hints
}

/// Returns the version of the contract and the interfaces of it that a component exports:
/// `("hitchy:platform@0.1.0", ["setup", "http"])`. The version is that of the first such export.
pub(super) fn exported_contract(info: &WasmInfo) -> Option<(String, Vec<&str>)> {
    let exports = info.exports.iter().filter_map(|name| contract::parts(name));
    let (interfaces, versions): (Vec<&str>, Vec<&str>) = exports.unzip();
    let version = versions.first()?;
    Some((format!("{}@{version}", contract::PACKAGE), interfaces))
}

/// Formats a number of bytes for people: `135.7 KiB`.
pub(super) fn readable(bytes: u64) -> String {
    let is_whole = |unit: u64| bytes.is_multiple_of(unit);
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 if is_whole(1024) => format!("{} KiB", bytes >> 10),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ if is_whole(1_048_576) => format!("{} MiB", bytes >> 20),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}
