//! Everything that is known of one file.

use crate::runtime::{ContentHash, Handler, WasmInfo, contract};

/// The result of inspecting a file.
pub(super) struct Report {
    pub(super) file: String,
    /// The size in bytes and the hash, if the file could be read.
    pub(super) content: Option<(usize, ContentHash)>,
    /// The structure of the file, if it is WebAssembly.
    pub(super) info: Option<WasmInfo>,
    /// The handler, or the sentence with which the file would be refused.
    pub(super) verdict: Result<Handler, String>,
    /// Sentences about what would make a handler better that is served as it is.
    pub(super) hints: Vec<String>,
}

/// Returns the exports of a component that belong to the contract: `("hitchy:platform@0.1.0", ["setup", "http"])`.
pub(super) fn of_contract(info: &WasmInfo) -> Option<(String, Vec<&str>)> {
    let exports = info.exports.iter().filter_map(|name| contract::parts(name));
    let (interfaces, versions): (Vec<&str>, Vec<&str>) = exports.unzip();
    let version = versions.first()?;
    Some((format!("{}@{version}", contract::PACKAGE), interfaces))
}

pub(super) fn contract_of(info: &WasmInfo) -> Option<String> {
    of_contract(info).map(|(version, _)| version)
}
