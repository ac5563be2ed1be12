//! `hitchy routes`: the table as a server would serve it. The folder is read as a server's start reads it, so that the two cannot
//! disagree.

use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::report::{Output, print_columns, print_json};
use super::{CommandError, SettingsArgs, print, serve};
use crate::config::Config;
use crate::emitter::Emitter;
use crate::registry::{DryRun, RefusedFile, Status, dry_run};
use crate::runtime::{Handler, ListenerShown, Of, PolicyShown, RouteShown, Stage, each, routes_of};
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

/// What is not served, on standard error, in the words of the log.
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

/// All that is served, as JSON shows it.
#[derive(Serialize)]
struct Served<'a> {
    /// By path, then by method.
    routes: Vec<Of<'a, RouteShown<'a>>>,
    /// In the order in which they run.
    policies: Vec<Of<'a, PolicyShown<'a>>>,
    /// By namespace and event; those of one event in the order in which they run.
    listeners: Vec<Of<'a, ListenerShown<'a>>>,
    /// By namespace.
    hooks: Vec<Of<'a, HookShown<'a>>>,
    refused: Vec<RefusedShown<'a>>,
    troubles: &'a [String],
    missing: &'a [String],
}

#[derive(Serialize)]
struct HookShown<'a> {
    namespace: &'a str,
}

#[derive(Serialize)]
struct RefusedShown<'a> {
    file: &'a str,
    error: &'a str,
}

impl<'a> Served<'a> {
    fn of(dry_run: &'a DryRun) -> Self {
        let handlers = &dry_run.table.handlers;
        let refused = refused(dry_run).into_iter().map(|refused| RefusedShown {
            file: &refused.file,
            error: &refused.cause,
        });
        Self {
            routes: routes_of(handlers),
            policies: policies(handlers),
            listeners: listeners(handlers),
            hooks: hooks(handlers),
            refused: refused.collect(),
            troubles: &dry_run.status.troubles,
            missing: &dry_run.table.missing,
        }
    }
}

fn policies(handlers: &[Arc<Handler>]) -> Vec<Of<'_, PolicyShown<'_>>> {
    let of = |stage: Stage| {
        let all = each(handlers, |declared| &declared.policies);
        all.filter(move |of: &Of<'_, PolicyShown<'_>>| of.what.stage == stage.name())
    };
    of(Stage::Before).chain(of(Stage::After)).collect()
}

fn listeners(handlers: &[Arc<Handler>]) -> Vec<Of<'_, ListenerShown<'_>>> {
    let mut listeners: Vec<_> = each(handlers, |declared| &declared.listeners).collect();
    listeners.sort_by_key(|of: &Of<'_, ListenerShown<'_>>| (of.what.namespace, of.what.event));
    listeners
}

fn hooks(handlers: &[Arc<Handler>]) -> Vec<Of<'_, HookShown<'_>>> {
    let mut hooks: Vec<_> = each(handlers, |declared| &declared.connections).collect();
    hooks.sort_by_key(|of: &Of<'_, HookShown<'_>>| of.what.namespace);
    hooks
}

impl<'a> From<&'a String> for HookShown<'a> {
    fn from(namespace: &'a String) -> Self {
        Self { namespace }
    }
}

fn print_table(served: &Served<'_>) {
    print_section("routes", &served.routes, |route| {
        vec![route.method, route.path]
    });
    print_section("policies", &served.policies, |policy| {
        vec![policy.stage, policy.method, policy.prefix]
    });
    print_section("listeners", &served.listeners, |listener| {
        vec![listener.namespace, listener.event]
    });
    print_section("connection hooks", &served.hooks, |hook| {
        vec![hook.namespace]
    });
}

/// Each in these cells, and a last one that says whose it is.
fn print_section<'a, T>(name: &str, all: &[Of<'a, T>], cells: fn(&T) -> Vec<&'a str>) {
    if all.is_empty() {
        return;
    }
    let row = |of: &Of<'a, T>| {
        let cells = cells(&of.what).into_iter().chain([of.handler]);
        cells.map(str::to_owned).collect()
    };
    let rows: Vec<_> = all.iter().map(row).collect();
    print(name);
    print_columns(&rows, 2);
}
