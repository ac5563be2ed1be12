//! Recognises files by their structure: component or core module, exports, imports, memory.
//!
//! Files are only parsed here. Nothing is compiled or run.

use std::collections::BTreeSet;

use wasmparser::{
    BinaryReaderError, CustomSectionReader, Encoding, ExportSectionReader, GlobalSectionReader,
    ImportSectionReader, KnownCustom, MemorySectionReader, MemoryType, Operator, Parser, Payload,
    TypeRef, ValType,
};

use super::contract;
use super::error::LoadError;
use super::settings::Serve;

/// The two kinds of WebAssembly binaries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WasmKind {
    /// A component, as every handler is one.
    Component,
    /// A core module. Components consist of core modules, and toolchains for wasm32-wasip1 produce them.
    CoreModule,
    /// A core module that was made a component. Its exports and imports are those of the component.
    AdaptedModule,
}

/// Languages that come with their engine, which is written in another one.
const INTERPRETED: [&str; 2] = ["JavaScript", "Python"];

/// The structure of a WebAssembly file.
#[derive(Clone, Debug)]
pub struct WasmInfo {
    /// Distinguishes components from core modules.
    pub kind: WasmKind,
    /// The names of the exports.
    pub exports: Vec<String>,
    /// The names of the imported interfaces, or for a core module of the imported modules.
    pub imports: Vec<String>,
    /// The sum of all memories that the file defines. `None` if it defines no memory.
    pub memory: Option<Memory>,
    /// Size of the stack in bytes, if the file was compiled by Rust, whose linker puts the stack first.
    pub stack: Option<u64>,
    /// The languages that the producers section names.
    pub languages: BTreeSet<String>,
    /// What matters only for core modules.
    pub(super) module: ModuleInfo,
}

/// What decides if and how a core module is made a component.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ModuleInfo {
    /// True if it exports `_start`, as commands do.
    pub(super) is_command: bool,
    /// True if it carries the types of its imports and exports, as bindings of wit-bindgen write them.
    pub(super) has_component_type: bool,
    /// True if it imports the WASI of before 2020.
    pub(super) imports_preview0: bool,
    pub(super) has_shared_memory: bool,
    pub(super) has_memory64: bool,
}

/// The bounds of a memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Size at the start of an instance.
    pub initial: u64,
    /// Largest size according to the file. `None` if the file sets no bound.
    pub maximum: Option<u64>,
}

/// Most names of exports or imports of a core module that are kept. They are only shown.
const MAX_NAMES: usize = 1000;
/// The interface by which a component answers HTTP requests on any host that speaks `wasi:http` 0.2.
pub(super) const INCOMING_HANDLER: &str = "wasi:http/incoming-handler";
/// The track of `wasi:http` that is served.
const HTTP_TRACK: &str = "0.2";

/// Fails if a component is not what `serve` says: a handler, which exports the `setup` interface of this track of the
/// contract, or else the incoming handler of `wasi:http` 0.2; or a command.
pub(super) fn recognise(info: &WasmInfo, serve: Serve) -> Result<(), LoadError> {
    let find = |prefix: &str| info.exports.iter().find(|name| name.starts_with(prefix));
    let is_command = find("wasi:cli/run@0.2").is_some();
    if let Some(version) = info
        .http_version()
        .filter(|version| version.starts_with("0.3"))
    {
        return Err(LoadError::OtherWasiHttp(version.to_owned()));
    }
    if let Some(newer) = find_newer(&info.exports) {
        return Err(LoadError::NewerWasi(newer.clone()));
    }
    if serve == Serve::Cgi {
        return is_command
            .then_some(())
            .ok_or_else(|| LoadError::NoCommand(format!("the exports {}", info.export_names())));
    }
    let versions: Vec<&str> = info
        .exports
        .iter()
        .filter_map(|name| contract::parts(name))
        .filter(|(interface, _)| *interface == "setup")
        .map(|(_, version)| version)
        .collect();
    if versions
        .iter()
        .any(|version| contract::is_of(contract::TRACK, version))
    {
        Ok(())
    } else if let Some(version) = versions.first() {
        let package = contract::PACKAGE;
        Err(LoadError::OtherContract(format!("{package}@{version}")))
    } else if let Some(version) = info.http_version() {
        is_served_http(version)
            .then_some(())
            .ok_or_else(|| LoadError::OtherWasiHttp(version.to_owned()))
    } else if is_command {
        Err(LoadError::Command("exports wasi:cli/run"))
    } else {
        Err(info.without_setup())
    }
}

/// Returns the first export that is an entry of WASI 0.3: `wasi:http/handler@0.3.0`, `wasi:cli/run@0.3.0`.
fn find_newer(exports: &[String]) -> Option<&String> {
    exports
        .iter()
        .find(|name| name.starts_with("wasi:") && name.contains("@0.3"))
}

impl WasmInfo {
    /// Reads the structure of a file.
    ///
    /// # Errors
    /// The file is not WebAssembly, or it is incomplete or not valid. Every section is read, so that a file that ends
    /// early is recognised.
    pub fn of(wasm: &[u8]) -> Result<Self, LoadError> {
        match wasm {
            [] => return Err(LoadError::Empty),
            [0x7f, b'E', b'L', b'F', ..] => return Err(LoadError::Native),
            [b'\0', b'a', b's', b'm', ..] => {}
            prefix if b"\0asm".starts_with(prefix) => return Err(LoadError::Incomplete),
            text if text.trim_ascii_start().starts_with(b"(")
                || text.trim_ascii_start().starts_with(b";;") =>
            {
                return Err(LoadError::Text);
            }
            _ => return Err(LoadError::NotWasm),
        }
        let mut info = Self {
            kind: WasmKind::Component,
            exports: Vec::new(),
            imports: Vec::new(),
            memory: None,
            stack: None,
            languages: BTreeSet::new(),
            module: ModuleInfo::default(),
        };
        info.read(wasm)?;
        info.leave_out_engines();
        if !info.languages.contains("Rust") {
            info.stack = None;
        }
        Ok(info)
    }

    /// Leaves out the languages in which the engine of the author's language is written.
    fn leave_out_engines(&mut self) {
        let author = INTERPRETED
            .into_iter()
            .find(|language| self.languages.contains(*language));
        if let Some(author) = author {
            self.languages.retain(|language| language == author);
        }
    }

    fn read(&mut self, wasm: &[u8]) -> Result<(), LoadError> {
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(wasm) {
            match payload.map_err(invalid)? {
                Payload::Version {
                    encoding: Encoding::Module,
                    ..
                } if depth == 0 => self.kind = WasmKind::CoreModule,
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentExportSection(section) if depth == 0 => {
                    for export in section {
                        let export = export.map_err(invalid)?;
                        self.exports.push(export.name.name.to_owned());
                    }
                }
                Payload::ComponentImportSection(section) if depth == 0 => {
                    for import in section {
                        let import = import.map_err(invalid)?;
                        self.imports.push(import.name.name.to_owned());
                    }
                }
                Payload::ExportSection(section) if depth == 0 => self.add_core_exports(section)?,
                Payload::ImportSection(section) if depth == 0 => self.add_core_imports(section)?,
                Payload::MemorySection(section) => self.add_memories(section),
                Payload::GlobalSection(section) => self.stack = self.stack.or(stack(section)),
                Payload::CustomSection(section) => {
                    let is_types = depth == 0 && section.name().starts_with("component-type");
                    self.module.has_component_type |= is_types;
                    self.add_languages(&section);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Adds the exports of a core module.
    fn add_core_exports(&mut self, section: ExportSectionReader<'_>) -> Result<(), LoadError> {
        for export in section {
            let name = export.map_err(invalid)?.name;
            self.module.is_command |= name == "_start";
            if self.exports.len() < MAX_NAMES {
                self.exports.push(name.to_owned());
            }
        }
        Ok(())
    }

    /// Adds the imports of a core module.
    fn add_core_imports(&mut self, section: ImportSectionReader<'_>) -> Result<(), LoadError> {
        for import in section.into_imports() {
            let import = import.map_err(invalid)?;
            self.module.imports_preview0 |= import.module == "wasi_unstable";
            if let TypeRef::Memory(memory) = import.ty {
                self.add_memory_type(memory);
            }
            let is_known = self
                .imports
                .last()
                .is_some_and(|last| last == import.module);
            if !is_known && self.imports.len() < MAX_NAMES {
                self.imports.push(import.module.to_owned());
            }
        }
        Ok(())
    }

    fn add_memory_type(&mut self, memory: MemoryType) {
        self.module.has_shared_memory |= memory.shared;
        self.module.has_memory64 |= memory.memory64;
    }

    fn add_memories(&mut self, section: MemorySectionReader<'_>) {
        for memory in section.into_iter().flatten() {
            self.add_memory_type(memory);
            let page = 1_u64
                .checked_shl(memory.page_size_log2.unwrap_or(16))
                .unwrap_or(u64::MAX);
            let (initial, maximum) = (
                memory.initial.saturating_mul(page),
                memory.maximum.map(|pages| pages.saturating_mul(page)),
            );
            let sum = self
                .memory
                .map_or(Memory { initial, maximum }, |sum| Memory {
                    initial: sum.initial.saturating_add(initial),
                    maximum: sum
                        .maximum
                        .zip(maximum)
                        .map(|(sum, more)| sum.saturating_add(more)),
                });
            self.memory = Some(sum);
        }
    }

    fn add_languages(&mut self, section: &CustomSectionReader<'_>) {
        // componentize-py names no language, but links the library of the interpreter.
        let mut parts = section.data().windows(9);
        if section.name() == "dylink.0" && parts.any(|part| part == b"libpython") {
            self.languages.insert("Python".to_owned());
        }
        let KnownCustom::Producers(fields) = section.as_known() else {
            return;
        };
        let fields = fields.into_iter().flatten();
        let languages = fields
            .filter(|field| field.name == "language")
            .flat_map(|field| field.values.into_iter().flatten());
        self.languages
            .extend(languages.map(|language| language.name.to_owned()));
    }

    /// Returns the version of `wasi:http` whose requests it answers: `0.2.6`. A version that is served goes before
    /// others.
    fn http_version(&self) -> Option<&str> {
        let versions = || self.exports.iter().filter_map(|name| http_version_of(name));
        let served = versions().find(|version| is_served_http(version));
        served.or_else(|| versions().next())
    }

    fn without_setup(&self) -> LoadError {
        let fix = if self.exports.is_empty() && self.languages.contains("Rust") {
            "is the line `hitchy_guest::export!(app);` missing in its src/lib.rs? Add it and build again"
        } else {
            "build it against the contract in Hitchy's folder wit/"
        };
        let exports = self.export_names();
        LoadError::NoSetup { exports, fix }
    }

    /// Returns the names of the first exports for a sentence.
    fn export_names(&self) -> String {
        match self.exports.as_slice() {
            [] => "nothing".to_owned(),
            exports => exports[..exports.len().min(8)].join(", "),
        }
    }

    /// Returns the structure of a core module that was made a component: the exports and imports are those of
    /// `component`. The rest is the module's own, because the component also contains the adapter.
    pub(super) fn adapted_to(self, component: Self) -> Self {
        Self {
            kind: WasmKind::AdaptedModule,
            exports: component.exports,
            imports: component.imports,
            ..self
        }
    }
}

/// Returns the version of an export that answers requests of `wasi:http`. In 0.3 its name is `handler`.
fn http_version_of(export: &str) -> Option<&str> {
    let (interface, version) = export.split_once('@')?;
    matches!(interface, INCOMING_HANDLER | "wasi:http/handler").then_some(version)
}

/// Returns true for a version of `wasi:http` that is served. Versions before 0.2.0 have a suffix:
/// `0.2.0-rc-2023-12-05`.
fn is_served_http(version: &str) -> bool {
    contract::is_of(HTTP_TRACK, version) && !version.contains('-')
}

fn invalid(error: BinaryReaderError) -> LoadError {
    if error.message().contains("unexpected end") {
        LoadError::Incomplete
    } else {
        LoadError::Invalid(error.to_string())
    }
}

/// Returns the size of the stack in bytes if the stack comes first in the memory, as Rust's linker arranges it.
///
/// The first global variable is the stack pointer. The stack grows down to address 0, so the initial value of the
/// pointer is the size.
fn stack(section: GlobalSectionReader<'_>) -> Option<u64> {
    let first = section.into_iter().next()?.ok()?;
    if !first.ty.mutable || first.ty.content_type != ValType::I32 {
        return None;
    }
    match first.init_expr.get_operators_reader().read().ok()? {
        Operator::I32Const { value } => u64::try_from(value).ok().filter(|size| *size > 0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i12_6_the_version_of_wasi_http_is_told() {
        for (export, version, is_served) in [
            ("wasi:http/incoming-handler@0.2.0", Some("0.2.0"), true),
            ("wasi:http/incoming-handler@0.2.12", Some("0.2.12"), true),
            (
                "wasi:http/incoming-handler@0.2.0-rc-2023-12-05",
                Some("0.2.0-rc-2023-12-05"),
                false,
            ),
            ("wasi:http/handler@0.3.0", Some("0.3.0"), false),
            ("wasi:http/types@0.2.0", None, false),
        ] {
            assert_eq!(http_version_of(export), version);
            assert_eq!(version.is_some_and(is_served_http), is_served, "{export}");
        }
    }

    #[test]
    fn l01_files_that_are_no_wasm_are_named() {
        let cases: [(&[u8], &str); 7] = [
            (b"", "empty"),
            (b"\0", "incomplete"),
            (b"\0asm\x0d\0", "incomplete"),
            (b"\x7fELF\x02", "native"),
            (b"  (component)", "text"),
            (b"\xff\xd8\xff\xe0", "no WebAssembly"),
            (b"\0asm\x01\0\0\0\x07\x10", "incomplete"),
        ];
        for (bytes, word) in cases {
            let sentence = WasmInfo::of(bytes).unwrap_err().to_string();
            assert!(sentence.contains(word), "{bytes:?}: {sentence}");
        }
    }
}
