//! The report of `hitchy inspect` as text for people: the verdict, a table of names and values, and hints.

use super::report::{Report, exported_contract, readable};
use crate::cli::output::{print, print_columns};
use crate::names::{is_script, is_typescript};
use crate::runtime::{
    CodeOrigin, HandlerSettings, ImportSupport, Life, Memory, WasmInfo, WasmKind,
};
use crate::text::visible;

/// Prints the report to standard output.
pub(super) fn print_report(report: &Report) {
    let file = visible(&report.file);
    match &report.verdict {
        Ok(_) => print(format_args!("{file}: would be served")),
        Err(cause) => print(format_args!("{file}: refused: {}", visible(cause))),
    }
    let rows = rows_of(report);
    if !rows.is_empty() {
        print("");
        print_columns(&rows, 2);
    }
    for hint in &report.hints {
        print(format_args!("\nhint: {}", visible(hint)));
    }
}

/// Returns the rows of the table, each a name and a value. The name is empty in further rows of the same name.
fn rows_of(report: &Report) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    if let Some((size, hash)) = report.content {
        add(&mut rows, "size", [readable(size as u64)]);
        add(&mut rows, "hash", [hash.to_string()]);
    }
    if let Some(info) = &report.info {
        add(&mut rows, "kind", [kind_cell(info)]);
        add(&mut rows, "contract", contract_cell(info));
        add(&mut rows, "memory", info.memory.map(memory_cell));
    } else {
        add(&mut rows, "kind", script_cell(&report.file));
    }
    if let Ok(handler) = &report.verdict {
        let took = format!("{} ms", handler.compile_time().as_millis());
        let what = match handler.code_origin() {
            CodeOrigin::Compiled => "compiled in",
            CodeOrigin::Cached => "cached, loaded in",
            CodeOrigin::Evaluated => "evaluated in",
        };
        add(&mut rows, what, [took]);
        add(&mut rows, "instances", [life_cell(&handler.settings)]);
        for kind in handler.declarations.rows() {
            let lines = kind.rows.into_iter().map(|row| row.line);
            add(&mut rows, kind.words.key, lines);
        }
    }
    if let Some(info) = &report.info {
        let imports = info.imports.iter().map(|name| import_cell(name));
        add(&mut rows, "imports", imports);
    }
    rows
}

/// Adds one row for each value of a name. Only the first of them shows the name.
fn add(rows: &mut Vec<Vec<String>>, name: &str, values: impl IntoIterator<Item = String>) {
    for (index, value) in values.into_iter().enumerate() {
        let label = if index == 0 { name } else { "" };
        rows.push(vec![label.to_owned(), value]);
    }
}

/// Describes the kind of a file and its source languages: `component, written in Rust`.
fn kind_cell(info: &WasmInfo) -> String {
    let kind = match info.kind {
        WasmKind::Component => "component",
        WasmKind::CoreModule => "core module",
        WasmKind::AdaptedModule => "core module, adapted",
    };
    let languages: Vec<&str> = info.languages.iter().map(String::as_str).collect();
    match languages.as_slice() {
        [] => kind.to_owned(),
        // Rust's standard library for WASI uses a C library, so such a file names C beside Rust.
        languages if languages.contains(&"Rust") => format!("{kind}, written in Rust"),
        languages => format!("{kind}, written in {}", languages.join(" and ")),
    }
}

/// Describes the language of a script; none if the file is no script.
fn script_cell(file: &str) -> Option<String> {
    let language = match (is_typescript(file), is_script(file)) {
        (true, _) => "TypeScript",
        (false, true) => "JavaScript",
        (false, false) => return None,
    };
    Some(language.to_owned())
}

/// Describes the exports of the contract: `hitchy:platform@0.1.0: setup, http`.
fn contract_cell(info: &WasmInfo) -> Option<String> {
    let (version, interfaces) = exported_contract(info)?;
    Some(format!("{version}: {}", interfaces.join(", ")))
}

/// Describes how long instances live, by the settings: `socket: one for each connection, ended after 5m without a
/// call`.
fn life_cell(settings: &HandlerSettings) -> String {
    let life = settings.instances;
    let meaning = match life {
        Life::Call => return format!("{life}: a fresh one for each call"),
        Life::Socket => "one for each connection, fresh ones for requests".to_owned(),
        Life::Shared => {
            let most = settings.max_instances.unwrap_or(settings.concurrency);
            format!("up to {most} for the calls of all clients")
        }
    };
    let calls = settings.max_calls;
    let calls = calls.map_or_else(String::new, |calls| format!(" or after {calls} calls"));
    let idle = humantime::format_duration(settings.idle);
    format!("{life}: {meaning}, ended after {idle} without a call{calls}")
}

/// Describes the initial and the largest memory.
fn memory_cell(memory: Memory) -> String {
    let initial = readable(memory.initial);
    match memory.maximum {
        None => format!("{initial} at the start of a call, no maximum of its own"),
        Some(maximum) => {
            let maximum = readable(maximum);
            format!("{initial} at the start of a call, {maximum} at most")
        }
    }
}

/// Describes an imported interface and how far the server provides it.
fn import_cell(name: &str) -> String {
    match ImportSupport::of(name) {
        ImportSupport::Granted => name.to_owned(),
        ImportSupport::Empty(why) => format!("{name} (there, but empty: {why})"),
        ImportSupport::Unknown => format!("{name} (nobody provides it)"),
    }
}
