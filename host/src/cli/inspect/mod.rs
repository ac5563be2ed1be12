//! `hitchy inspect`: shows the exports and imports of a `.wasm`, and checks if it would be served. The file is loaded
//! as a server loads it, so that the two cannot disagree.

mod json;
mod report;

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::Args;

use self::json::ReportJson;
use self::report::Report;
use super::report::{Output, print_columns, print_json};
use super::{CommandError, print};
use crate::config::{Config, Sources};
use crate::emitter::Emitter;
use crate::registry::{CheckedFile, check_file};
use crate::runtime::{ContentHash, Handler, ImportSupport, Memory, WasmInfo, WasmKind};
use crate::server;
use crate::text::visible;

/// For `--help`.
pub(super) const EXAMPLES: &str = "\
Examples:
  hitchy inspect handlers/shop.wasm
  hitchy inspect shop.wasm --output json

Exit codes: 0 it would be served, 1 it would be refused, 2 there is no such file or a setting is wrong";

/// The stack that Rust's linker gives when nobody says another.
const LARGE_STACK: u64 = 1 << 20;

#[derive(Args)]
pub(super) struct InspectArgs {
    /// The .wasm to look at
    file: PathBuf,
    /// What to print: columns to read, or JSON
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
    /// Take the limits from FILE instead of hitchy.toml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Runs `hitchy inspect`.
pub(super) fn main(args: InspectArgs) -> Result<(), CommandError> {
    let sources = Sources {
        file: args.config,
        env: std::env::vars_os().collect(),
        ..Sources::default()
    };
    let config = Config::load(&sources)?;
    let checked = super::block_on(async {
        let runtime = server::runtime(&config, Emitter::to_nobody())?;
        let checked = check_file(&runtime, &config, &args.file).await;
        Ok(checked.map_err(|error| no_file(&args.file, &error)))
    })??;
    let report = Report::of(&args.file, checked);
    match args.output {
        Output::Text => report.print(),
        Output::Json => print_json(&ReportJson::of(&report)),
    }
    match report.verdict {
        Ok(_) => Ok(()),
        Err(_) => Err(CommandError::Told(1)),
    }
}

fn no_file(path: &Path, error: &std::io::Error) -> CommandError {
    CommandError::Usage(anyhow!("{}: {error}; name a .wasm file", path.display()))
}

impl Report {
    fn of(path: &Path, checked: CheckedFile) -> Self {
        let content = checked.content.as_deref();
        let info = content.and_then(|wasm| WasmInfo::of(wasm).ok());
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

    fn print(&self) {
        let file = visible(&self.file);
        match &self.verdict {
            Ok(_) => print(format_args!("{file}: would be served")),
            Err(cause) => print(format_args!("{file}: refused: {}", visible(cause))),
        }
        let rows = self.rows();
        if !rows.is_empty() {
            print("");
            print_columns(&rows, 2);
        }
        for hint in &self.hints {
            print(format_args!("\nhint: {hint}"));
        }
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let mut rows = Vec::new();
        if let Some((size, hash)) = self.content {
            add(&mut rows, "size", [readable(size as u64)]);
            add(&mut rows, "hash", [hash.to_string()]);
        }
        if let Some(info) = &self.info {
            add(&mut rows, "kind", [kind(info)]);
            add(&mut rows, "contract", contract_row(info));
            add(&mut rows, "memory", info.memory.map(memory_row));
        }
        if let Ok(handler) = &self.verdict {
            let took = format!("{} ms", handler.compile_time().as_millis());
            add(&mut rows, "compiled in", [took]);
            for kind in handler.declarations.rows() {
                let lines = kind.rows.into_iter().map(|row| row.line);
                add(&mut rows, kind.words.key, lines);
            }
        }
        if let Some(info) = &self.info {
            add(
                &mut rows,
                "imports",
                info.imports.iter().map(|name| import_row(name)),
            );
        }
        rows
    }
}

/// Adds the values of one name, one below the other. Without values there is nothing to add.
fn add(rows: &mut Vec<Vec<String>>, name: &str, values: impl IntoIterator<Item = String>) {
    for (index, value) in values.into_iter().enumerate() {
        let name = if index == 0 { name } else { "" };
        rows.push(vec![name.to_owned(), value]);
    }
}

/// Returns advice that would make a handler better which is served as it is.
fn hints_of(handler: &Handler, info: Option<&WasmInfo>) -> Vec<String> {
    let mut hints = Vec::new();
    if handler.declarations.lines().is_empty() {
        hints.push("it declares nothing, so nothing will ever call it".to_owned());
    }
    let stack = info.and_then(|info| info.stack);
    if let Some(stack) = stack.filter(|stack| *stack >= LARGE_STACK) {
        hints.push(format!(
            "its stack has {} and every call begins with memory that is cleared; build it with RUSTFLAGS=-Clink-arg=-zstack-size=65536, \
             as `hitchy dev` does",
            readable(stack)
        ));
    }
    hints
}

/// `component, written in Rust`
fn kind(info: &WasmInfo) -> String {
    let kind = match info.kind {
        WasmKind::Component => "component",
        WasmKind::CoreModule => "core module",
    };
    let languages: Vec<&str> = info.languages.iter().map(String::as_str).collect();
    match languages.as_slice() {
        [] => kind.to_owned(),
        // Its standard library stands on one in C.
        languages if languages.contains(&"Rust") => format!("{kind}, written in Rust"),
        languages => format!("{kind}, written in {}", languages.join(" and ")),
    }
}

fn contract_row(info: &WasmInfo) -> Option<String> {
    let (version, interfaces) = report::of_contract(info)?;
    Some(format!("{version}: {}", interfaces.join(", ")))
}

fn memory_row(memory: Memory) -> String {
    let initial = readable(memory.initial);
    match memory.maximum {
        None => format!("{initial} at the start of a call, no maximum of its own"),
        Some(maximum) => {
            let maximum = readable(maximum);
            format!("{initial} at the start of a call, {maximum} at most")
        }
    }
}

fn import_row(name: &str) -> String {
    match ImportSupport::of(name) {
        ImportSupport::Granted => name.to_owned(),
        ImportSupport::Empty(why) => format!("{name} (there, but empty: {why})"),
        ImportSupport::Unknown => format!("{name} (nobody provides it)"),
    }
}

/// `135.7 KiB`
fn readable(bytes: u64) -> String {
    let is_whole = |unit: u64| bytes.is_multiple_of(unit);
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 if is_whole(1024) => format!("{} KiB", bytes >> 10),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ if is_whole(1_048_576) => format!("{} MiB", bytes >> 20),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}
