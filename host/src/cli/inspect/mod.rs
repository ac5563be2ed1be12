//! The command `hitchy inspect`: reports what the file of a handler offers and needs, and if a server would serve it.
//!
//! The file is checked by the same code as in a server, so that the command and the server cannot disagree.

mod json;
mod report;
mod text;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::anyhow;
use clap::Args;

use self::json::ReportJson;
use self::report::Report;
use super::error::CommandError;
use super::executor;
use super::output::terminal::note;
use super::output::{Output, print_json};
use crate::config::{Config, Sources};
use crate::emitter::Emitter;
use crate::registry::check_file;
use crate::server;
use crate::text::visible;

/// Examples and exit codes at the end of `hitchy inspect --help`.
pub(super) const EXAMPLES: &str = "\
Examples:
  hitchy inspect handlers/shop.wasm
  hitchy inspect shop.wasm --output json

Exit codes: 0 it would be served, 1 it would be refused, 2 there is no such file or a setting is wrong";

#[derive(Args)]
pub(super) struct InspectArgs {
    /// The .wasm, .js or .ts to look at
    file: PathBuf,
    /// What to print: columns to read, or JSON
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
    /// Take the limits from FILE instead of hitchy.toml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Runs `hitchy inspect`: checks the file, prints the report and fails if the file would be refused.
pub(super) fn main(args: InspectArgs) -> Result<(), CommandError> {
    let sources = Sources {
        file: args.config,
        env: std::env::vars_os().collect(),
        ..Sources::default()
    };
    let config = Config::load(&sources)?;
    let (checked, cache_trouble) = executor::block_on(async {
        let runtime = server::runtime(&config, Emitter::to_nobody(), &Arc::default())?;
        let found = check_file(&runtime, &config, &args.file).await;
        Ok((found, runtime.cache_trouble()))
    })?;
    if let Some(trouble) = cache_trouble {
        note(&visible(&trouble));
    }
    let checked = checked.map_err(|error| no_file(&args.file, &error))?;
    let report = Report::of(&args.file, checked);
    match args.output {
        Output::Text => text::print_report(&report),
        Output::Json => print_json(&ReportJson::of(&report)),
    }
    match report.verdict {
        Ok(_) => Ok(()),
        Err(_) => Err(CommandError::Reported(1)),
    }
}

/// Returns the error for a file that cannot be read.
fn no_file(path: &Path, error: &std::io::Error) -> CommandError {
    CommandError::Usage(anyhow!(
        "{}: {error}; name the file of a handler",
        path.display()
    ))
}
