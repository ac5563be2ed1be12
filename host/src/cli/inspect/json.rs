//! What is known of a file, as JSON. What cannot be known of it, since it is refused or no WebAssembly, is null.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{Report, contract};
use crate::runtime::{Kind, ListenerShown, Memory, Offer, PolicyShown, RouteShown, WasmInfo};

/// A report.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shown<'a> {
    file: &'a str,
    accepted: bool,
    error: Option<&'a str>,
    size: Option<usize>,
    hash: Option<String>,
    kind: Option<&'static str>,
    languages: Option<&'a BTreeSet<String>>,
    contract: Option<String>,
    exports: Option<&'a [String]>,
    imports: Option<Vec<ImportShown<'a>>>,
    memory: Option<MemoryShown>,
    compile_ms: Option<u64>,
    routes: Option<Vec<RouteShown<'a>>>,
    policies: Option<Vec<PolicyShown<'a>>>,
    listeners: Option<Vec<ListenerShown<'a>>>,
    hooks: Option<&'a [String]>,
    hints: &'a [String],
}

#[derive(Serialize)]
struct ImportShown<'a> {
    interface: &'a str,
    standing: &'static str,
}

/// In bytes.
#[derive(Serialize)]
struct MemoryShown {
    initial: u64,
    maximum: Option<u64>,
}

impl<'a> Shown<'a> {
    pub(super) fn of(report: &'a Report) -> Self {
        let info = report.info.as_ref();
        let handler = report.verdict.as_ref().ok();
        let declared = handler.map(|handler| &handler.declarations);
        Self {
            file: &report.file,
            accepted: handler.is_some(),
            error: report.verdict.as_ref().err().map(String::as_str),
            size: report.content.map(|(size, _)| size),
            hash: report.content.map(|(_, hash)| hash.to_string()),
            kind: info.map(kind),
            languages: info.map(|info| &info.languages),
            contract: info.and_then(contract),
            exports: info.map(|info| &*info.exports),
            imports: info.map(|info| info.imports.iter().map(|name| import(name)).collect()),
            memory: info.and_then(|info| info.memory).map(memory),
            compile_ms: handler.map(|handler| handler.compile_time().as_millis() as u64),
            routes: declared.map(|it| it.routes.iter().map(Into::into).collect()),
            policies: declared.map(|it| it.policies.iter().map(Into::into).collect()),
            listeners: declared.map(|it| it.listeners.iter().map(Into::into).collect()),
            hooks: declared.map(|it| &*it.connections),
            hints: &report.hints,
        }
    }
}

fn kind(info: &WasmInfo) -> &'static str {
    match info.kind {
        Kind::Component => "component",
        Kind::CoreModule => "core-module",
    }
}

fn import(name: &str) -> ImportShown<'_> {
    let standing = match Offer::of(name) {
        Offer::Granted => "granted",
        Offer::Empty(_) => "empty",
        Offer::Unknown => "unknown",
    };
    ImportShown {
        interface: name,
        standing,
    }
}

fn memory(memory: Memory) -> MemoryShown {
    MemoryShown {
        initial: memory.initial,
        maximum: memory.maximum,
    }
}
