//! `hitchy routes`: the table as a server would serve it. The folder is read as a server's start reads it, so that the
//! two cannot disagree.

use clap::Args;
use serde::{Serialize, Serializer};

use super::report::{Output, print_columns, print_json};
use super::{CommandError, SettingsArgs, print, serve};
use crate::config::Config;
use crate::emitter::Emitter;
use crate::registry::{DryRun, HandlerRow, KindRows, RefusedFile, Status, dry_run, rows_of};
use crate::server;
use crate::text::visible;

/// For `--help`.
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

/// Runs `hitchy routes`.
pub(super) fn main(args: RoutesArgs) -> Result<(), CommandError> {
    let sources = args.settings.sources(None);
    let config = Config::load(&sources)?;
    let dir = config.handlers.dir.clone();
    serve::check_folder(&dir)?;
    let dry_run = super::block_on(async {
        let runtime = server::runtime(&config, Emitter::to_nobody())?;
        Ok(dry_run(runtime, config, sources).await)
    })?;
    let served = Served::of(&dry_run);
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
    Err(CommandError::Told(1))
}

/// Prints to standard error what is not served, in the words of the log.
#[allow(clippy::print_stderr)]
fn print_refusals(dry_run: &DryRun) {
    for RefusedFile { file, cause, .. } in refused(dry_run) {
        eprintln!("{}: refused: {}", visible(file), visible(cause));
    }
    for trouble in &dry_run.status.troubles {
        eprintln!("{}", visible(trouble));
    }
    for name in &dry_run.table.missing {
        eprintln!(
            "{}.wasm is required (handlers.required) and is not served: nothing would be answered",
            visible(name)
        );
    }
}

/// By name.
fn refused(dry_run: &DryRun) -> Vec<&RefusedFile> {
    let mut refused: Vec<_> = dry_run.status.refused.iter().collect();
    refused.sort_by_key(|refused| &refused.file);
    refused
}

/// Everything that would be served, as JSON shows it.
#[derive(Serialize)]
struct Served<'a> {
    /// A list for each kind of declaration.
    #[serde(flatten)]
    declared: Declared<'a>,
    refused: Vec<RefusedShown<'a>>,
    troubles: &'a [String],
    missing: &'a [String],
}

struct Declared<'a>(Vec<KindRows<'a>>);

impl Serialize for Declared<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|kind| (kind.words.key, &kind.rows)))
    }
}

#[derive(Serialize)]
struct RefusedShown<'a> {
    file: &'a str,
    error: &'a str,
}

impl<'a> Served<'a> {
    fn of(dry_run: &'a DryRun) -> Self {
        let refused = refused(dry_run).into_iter().map(|refused| RefusedShown {
            file: &refused.file,
            error: &refused.cause,
        });
        Self {
            declared: Declared(rows_of(&dry_run.table.handlers)),
            refused: refused.collect(),
            troubles: &dry_run.status.troubles,
            missing: &dry_run.table.missing,
        }
    }
}

fn print_table(served: &Served<'_>) {
    for KindRows { words, rows } in served
        .declared
        .0
        .iter()
        .filter(|kind| !kind.rows.is_empty())
    {
        let cells = |one: &HandlerRow<'_>| {
            let cells = one.row.cells.iter().map(|(_, value)| *value);
            cells.chain([one.handler]).map(str::to_owned).collect()
        };
        let columns: Vec<_> = rows.iter().map(cells).collect();
        print(words.title);
        print_columns(&columns, 2);
    }
}
