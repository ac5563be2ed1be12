//! The command `hitchy routes`: prints the routes and other declarations that a server would serve.
//!
//! The folder is read by the same code as at the start of a server, so that the command and the server cannot
//! disagree.

use std::sync::Arc;

use clap::Args;
use serde::{Serialize, Serializer};

use super::error::CommandError;
use super::output::terminal::note;
use super::output::{Output, print, print_columns, print_json};
use super::settings::SettingsArgs;
use super::{executor, serve};
use crate::config::Config;
use crate::emitter::Emitter;
use crate::registry::{DryRun, HandlerRow, KindRows, RefusedFile, Status, dry_run, rows_of};
use crate::server;
use crate::text::visible;

/// Examples and exit codes at the end of `hitchy routes --help`.
pub(super) const EXAMPLES: &str = "\
Examples:
  hitchy routes
  hitchy routes --handlers build/handlers --output json

Exit codes: 0 every file would be served, 1 one would be refused or a required one is missing, 2 a setting is wrong";

#[derive(Args)]
pub(super) struct RoutesArgs {
    /// What to print: columns to read, or JSON
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Runs `hitchy routes`: prints the declarations, and fails if a file is refused or a required handler is missing.
pub(super) fn main(args: RoutesArgs) -> Result<(), CommandError> {
    let sources = args.settings.sources(None);
    let config = Config::load(&sources)?;
    let dir = config.handlers.dir.clone();
    serve::check_folder(&dir)?;
    let (dry_run, cache_trouble) = executor::block_on(async {
        let runtime = server::runtime(&config, Emitter::to_nobody(), &Arc::default())?;
        let dry_run = dry_run(Arc::clone(&runtime), config, sources).await;
        Ok((dry_run, runtime.cache_trouble()))
    })?;
    if let Some(trouble) = cache_trouble {
        note(&visible(&trouble));
    }
    let served = RoutesJson::of(&dry_run);
    match args.output {
        Output::Text if dry_run.table.handlers.is_empty() => {
            print(format_args!("no handlers in {}", dir.display()));
        }
        Output::Text => print_table(&served),
        Output::Json => print_json(&served),
    }
    print_refusals(&dry_run);
    let Status { refused, troubles } = &dry_run.status;
    if refused.is_empty() && troubles.is_empty() && dry_run.table.missing.is_empty() {
        return Ok(());
    }
    Err(CommandError::Reported(1))
}

/// Prints to standard error what is not served, in the words of the log.
fn print_refusals(dry_run: &DryRun) {
    for RefusedFile { file, cause, .. } in refused_files(dry_run) {
        note(&format!("{}: refused: {}", visible(file), visible(cause)));
    }
    for trouble in &dry_run.status.troubles {
        note(&visible(trouble));
    }
    for name in &dry_run.table.missing {
        note(&format!(
            "{}.wasm is required (handlers.required) and is not served: nothing would be answered",
            visible(name)
        ));
    }
}

/// Returns the refused files, sorted by name.
fn refused_files(dry_run: &DryRun) -> Vec<&RefusedFile> {
    let mut refused: Vec<_> = dry_run.status.refused.iter().collect();
    refused.sort_by_key(|file| &file.file);
    refused
}

/// Everything that would be served and everything that would not, as JSON.
#[derive(Serialize)]
struct RoutesJson<'a> {
    /// One list for each kind of declaration.
    #[serde(flatten)]
    declared: KindsJson<'a>,
    refused: Vec<RefusedJson<'a>>,
    troubles: &'a [String],
    missing: &'a [String],
}

/// Rows of all kinds of declarations, by the key of the kind.
struct KindsJson<'a>(Vec<KindRows<'a>>);

impl Serialize for KindsJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|kind| (kind.words.key, &kind.rows)))
    }
}

#[derive(Serialize)]
struct RefusedJson<'a> {
    file: &'a str,
    error: &'a str,
}

impl<'a> RoutesJson<'a> {
    /// Borrows the result of `dry_run`.
    fn of(dry_run: &'a DryRun) -> Self {
        let refused = refused_files(dry_run).into_iter().map(|file| RefusedJson {
            file: &file.file,
            error: &file.cause,
        });
        Self {
            declared: KindsJson(rows_of(&dry_run.table.handlers)),
            refused: refused.collect(),
            troubles: &dry_run.status.troubles,
            missing: &dry_run.table.missing,
        }
    }
}

/// Prints a table for each kind of declaration that has rows.
fn print_table(served: &RoutesJson<'_>) {
    let kinds = served.declared.0.iter();
    for KindRows { words, rows } in kinds.filter(|kind| !kind.rows.is_empty()) {
        let cells = |one: &HandlerRow<'_>| {
            let values = one.row.cells.iter().map(|(_, value)| *value);
            values.chain([one.handler]).map(str::to_owned).collect()
        };
        let rows: Vec<_> = rows.iter().map(cells).collect();
        print(words.title);
        print_columns(&rows, 2);
    }
}
