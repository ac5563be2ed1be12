//! `hitchy inspect`: what a `.wasm` offers and needs, and whether it would be served. The file goes the way that it goes in a
//! server, so that the two cannot disagree.

mod json;

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::Args;

use self::json::Shown;
use super::report::{Output, say_columns, say_json};
use super::{CommandError, say};
use crate::config::{Config, Sources};
use crate::emitter::Emitter;
use crate::registry::{Examined, examine};
use crate::runtime::{ContentHash, Handler, Kind, Memory, Offer, Outline, Route};
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
    let examined = super::block_on(async {
        let runtime = server::runtime(&config, Emitter::to_nobody())?;
        let examined = examine(&runtime, &config, &args.file).await;
        Ok(examined.map_err(|error| no_file(&args.file, &error)))
    })??;
    let report = Report::of(&args.file, examined);
    match args.output {
        Output::Text => report.say(),
        Output::Json => say_json(&Shown::of(&report)),
    }
    match report.verdict {
        Ok(_) => Ok(()),
        Err(_) => Err(CommandError::Told(1)),
    }
}

fn no_file(path: &Path, error: &std::io::Error) -> CommandError {
    CommandError::Usage(anyhow!("{}: {error}; name a .wasm file", path.display()))
}

/// What is known of a file.
struct Report {
    file: String,
    /// Its size and hash, if it could be read.
    content: Option<(usize, ContentHash)>,
    /// If it is WebAssembly.
    outline: Option<Outline>,
    verdict: Result<Handler, String>,
    hints: Vec<String>,
}

impl Report {
    fn of(path: &Path, examined: Examined) -> Self {
        let content = examined.content.as_deref();
        let outline = content.and_then(|wasm| Outline::of(wasm).ok());
        let mut hints = Vec::new();
        if outline.is_some() && !examined.name.ends_with(".wasm") {
            hints.push(
                "a server takes up files whose names end in .wasm, in lower case; rename it"
                    .to_owned(),
            );
        }
        if let Ok(handler) = &examined.verdict {
            hints.extend(hints_of(handler, outline.as_ref()));
        }
        Self {
            file: path.display().to_string(),
            content: content.map(|wasm| (wasm.len(), ContentHash::of(wasm))),
            outline,
            verdict: examined.verdict,
            hints,
        }
    }

    fn say(&self) {
        let file = visible(&self.file);
        match &self.verdict {
            Ok(_) => say(format_args!("{file}: would be served")),
            Err(cause) => say(format_args!("{file}: refused: {}", visible(cause))),
        }
        let rows = self.rows();
        if !rows.is_empty() {
            say("");
            say_columns(&rows, 2);
        }
        for hint in &self.hints {
            say(format_args!("\nhint: {hint}"));
        }
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let mut rows = Vec::new();
        if let Some((size, hash)) = self.content {
            add(&mut rows, "size", [readable(size as u64)]);
            add(&mut rows, "hash", [hash.to_string()]);
        }
        if let Some(outline) = &self.outline {
            add(&mut rows, "kind", [kind(outline)]);
            add(&mut rows, "contract", contract_row(outline));
            add(&mut rows, "memory", outline.memory.map(memory_row));
        }
        if let Ok(handler) = &self.verdict {
            let took = format!("{} ms", handler.compile_time().as_millis());
            add(&mut rows, "compiled in", [took]);
            let declared = &handler.declarations;
            let routes = declared.routes.iter();
            add(&mut rows, "routes", routes.map(Route::name));
            add(
                &mut rows,
                "policies",
                declared.policies.iter().map(ToString::to_string),
            );
            let listeners = declared.listeners.iter().map(ToString::to_string);
            add(&mut rows, "listeners", listeners);
            let hooks = declared.connections.iter();
            add(
                &mut rows,
                "hooks",
                hooks.map(|of| format!("connections of {of}")),
            );
        }
        if let Some(outline) = &self.outline {
            add(
                &mut rows,
                "imports",
                outline.imports.iter().map(|name| import_row(name)),
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

/// What would make a handler better that is served as it is.
fn hints_of(handler: &Handler, outline: Option<&Outline>) -> Vec<String> {
    let mut hints = Vec::new();
    if handler.declarations.lines().is_empty() {
        hints.push("it declares nothing, so nothing will ever call it".to_owned());
    }
    let stack = outline.and_then(|outline| outline.stack);
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
fn kind(outline: &Outline) -> String {
    let kind = match outline.kind {
        Kind::Component => "component",
        Kind::CoreModule => "core module",
    };
    let languages: Vec<&str> = outline.languages.iter().map(String::as_str).collect();
    match languages.as_slice() {
        [] => kind.to_owned(),
        // Its standard library stands on one in C.
        languages if languages.contains(&"Rust") => format!("{kind}, written in Rust"),
        languages => format!("{kind}, written in {}", languages.join(" and ")),
    }
}

/// What a component exports of the contract: `("hitchy:platform@0.1.0", ["setup", "http"])`.
fn of_contract(outline: &Outline) -> Option<(String, Vec<&str>)> {
    let exports = outline.exports.iter().filter_map(|name| {
        let (interface, version) = name.strip_prefix("hitchy:platform/")?.split_once('@')?;
        Some((interface, version))
    });
    let (interfaces, versions): (Vec<&str>, Vec<&str>) = exports.unzip();
    let version = versions.first()?;
    Some((format!("hitchy:platform@{version}"), interfaces))
}

fn contract(outline: &Outline) -> Option<String> {
    of_contract(outline).map(|(version, _)| version)
}

fn contract_row(outline: &Outline) -> Option<String> {
    let (version, interfaces) = of_contract(outline)?;
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
    match Offer::of(name) {
        Offer::Granted => name.to_owned(),
        Offer::Empty(why) => format!("{name} (there, but empty: {why})"),
        Offer::Unknown => format!("{name} (nobody provides it)"),
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
