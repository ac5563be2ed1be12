//! The report of `hitchy inspect` as JSON. A field is null if its value cannot be known, because the file is refused
//! or is not WebAssembly.

use std::collections::BTreeSet;

use serde::{Serialize, Serializer};

use super::report::{Report, exported_contract};
use crate::runtime::kinds::{Declarations, WORDS};
use crate::runtime::{ImportSupport, Life, Memory, WasmInfo, WasmKind};

/// The report of one file. Fields serialise in camel case.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReportJson<'a> {
    file: &'a str,
    accepted: bool,
    error: Option<&'a str>,
    size: Option<usize>,
    hash: Option<String>,
    kind: Option<&'static str>,
    languages: Option<&'a BTreeSet<String>>,
    contract: Option<String>,
    exports: Option<&'a [String]>,
    imports: Option<Vec<ImportJson<'a>>>,
    memory: Option<MemoryJson>,
    code: Option<&'static str>,
    compile_ms: Option<u64>,
    instances: Option<Life>,
    #[serde(flatten)]
    declared: DeclarationsJson<'a>,
    hints: &'a [String],
}

#[derive(Serialize)]
struct ImportJson<'a> {
    interface: &'a str,
    standing: &'static str,
}

/// Bounds of the memory, in bytes.
#[derive(Serialize)]
struct MemoryJson {
    initial: u64,
    maximum: Option<u64>,
}

/// Declarations as one list for each kind. The lists are null if the declarations are not known.
struct DeclarationsJson<'a>(Option<&'a Declarations>);

impl Serialize for DeclarationsJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(declarations) => declarations.serialize(serializer),
            None => serializer.collect_map(WORDS.iter().map(|words| (words.key, ()))),
        }
    }
}

impl<'a> ReportJson<'a> {
    /// Borrows the fields of `report`.
    pub(super) fn of(report: &'a Report) -> Self {
        let info = report.info.as_ref();
        let handler = report.verdict.as_ref().ok();
        Self {
            file: &report.file,
            accepted: handler.is_some(),
            error: report.verdict.as_ref().err().map(String::as_str),
            size: report.content.map(|(size, _)| size),
            hash: report.content.map(|(_, hash)| hash.to_string()),
            kind: info.map(kind),
            languages: info.map(|info| &info.languages),
            contract: info.and_then(exported_contract).map(|(version, _)| version),
            exports: info.map(|info| &*info.exports),
            imports: info.map(|info| info.imports.iter().map(|name| import(name)).collect()),
            memory: info.and_then(|info| info.memory).map(memory),
            code: handler.map(|handler| handler.code_origin().name()),
            compile_ms: handler.map(|handler| handler.compile_time().as_millis() as u64),
            instances: handler.map(|handler| handler.settings.instances),
            declared: DeclarationsJson(handler.map(|handler| &handler.declarations)),
            hints: &report.hints,
        }
    }
}

fn kind(info: &WasmInfo) -> &'static str {
    match info.kind {
        WasmKind::Component => "component",
        WasmKind::CoreModule | WasmKind::AdaptedModule => "core-module",
    }
}

fn import(name: &str) -> ImportJson<'_> {
    let standing = match ImportSupport::of(name) {
        ImportSupport::Granted => "granted",
        ImportSupport::Empty(_) => "empty",
        ImportSupport::Unknown => "unknown",
    };
    ImportJson {
        interface: name,
        standing,
    }
}

fn memory(memory: Memory) -> MemoryJson {
    MemoryJson {
        initial: memory.initial,
        maximum: memory.maximum,
    }
}
