//! `hitchy routes`: the table as a server would serve it. The folder is read as a server's start reads it, so that the two cannot
//! disagree.

use std::path::Path;

use clap::Args;
use serde_json::{Value, json};

use super::report::{self, Output, say_columns, say_json};
use super::{CommandError, SettingsArgs, say, serve};
use crate::config::Config;
use crate::emitter::Emitter;
use crate::registry::{RefusedFile, Standing, Survey, survey};
use crate::runtime::{Declarations, Listener, Policy, Route, Stage};
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
    let survey = super::block_on(async {
        let runtime = server::runtime(&config, Emitter::to_nobody())?;
        Ok(survey(runtime, config, sources).await)
    })?;
    match args.output {
        Output::Text => say_table(&survey, &dir),
        Output::Json => say_json(&to_json(&survey)),
    }
    say_refusals(&survey);
    let Standing { refused, troubles } = &survey.standing;
    if refused.is_empty() && troubles.is_empty() && survey.table.missing.is_empty() {
        return Ok(());
    }
    Err(CommandError::Told(1))
}

/// What is not served, on standard error, in the words of the log.
#[allow(clippy::print_stderr)]
fn say_refusals(survey: &Survey) {
    for RefusedFile { file, cause, .. } in refused(survey) {
        eprintln!("{}: refused: {}", visible(file), visible(cause));
    }
    for trouble in &survey.standing.troubles {
        eprintln!("{}", visible(trouble));
    }
    for name in &survey.table.missing {
        eprintln!(
            "{}.wasm is required (handlers.required) and is not served: nothing would be answered",
            visible(name)
        );
    }
}

/// By name.
fn refused(survey: &Survey) -> Vec<&RefusedFile> {
    let mut refused: Vec<_> = survey.standing.refused.iter().collect();
    refused.sort_by_key(|refused| &refused.file);
    refused
}

/// Every declaration of one kind, in the order of the files, with the name of its file.
fn each<'a, T: 'a>(
    survey: &'a Survey,
    of: impl Fn(&'a Declarations) -> &'a Vec<T> + 'a,
) -> impl Iterator<Item = (&'a T, &'a str)> {
    let handlers = survey.table.handlers.iter();
    handlers.flat_map(move |handler| {
        of(&handler.declarations)
            .iter()
            .map(|one| (one, &*handler.name))
    })
}

/// By path, then by method.
fn routes(survey: &Survey) -> Vec<(&Route, &str)> {
    let mut routes: Vec<_> = each(survey, |declared| &declared.routes).collect();
    routes.sort_by_key(|(route, _)| (&route.path, report::method(route.method.as_ref())));
    routes
}

/// In the order in which they run.
fn policies(survey: &Survey) -> impl Iterator<Item = (&Policy, &str)> {
    let of = |stage: Stage| {
        let all = each(survey, |declared| &declared.policies);
        all.filter(move |(policy, _)| policy.stage == stage)
    };
    of(Stage::Before).chain(of(Stage::After))
}

/// By namespace and event; those of one event in the order in which they run.
fn listeners(survey: &Survey) -> Vec<(&Listener, &str)> {
    let mut listeners: Vec<_> = each(survey, |declared| &declared.listeners).collect();
    listeners.sort_by_key(|(listener, _)| (&listener.namespace, &listener.event));
    listeners
}

fn hooks(survey: &Survey) -> Vec<(&String, &str)> {
    let mut hooks: Vec<_> = each(survey, |declared| &declared.connections).collect();
    hooks.sort_by_key(|(namespace, _)| *namespace);
    hooks
}

fn say_table(survey: &Survey, dir: &Path) {
    if survey.table.handlers.is_empty() {
        say(format_args!("no handlers in {}", dir.display()));
        return;
    }
    let row = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect();
    let routes = routes(survey).into_iter();
    say_section(
        "routes",
        routes
            .map(|(route, file)| row(&[report::method(route.method.as_ref()), &route.path, file])),
    );
    say_section(
        "policies",
        policies(survey).map(|(policy, file)| {
            row(&[
                policy.stage.name(),
                report::method(policy.method.as_ref()),
                &policy.prefix,
                file,
            ])
        }),
    );
    let listeners = listeners(survey).into_iter();
    say_section(
        "listeners",
        listeners.map(|(listener, file)| row(&[&listener.namespace, &listener.event, file])),
    );
    let hooks = hooks(survey).into_iter();
    say_section(
        "connection hooks",
        hooks.map(|(namespace, file)| row(&[namespace, file])),
    );
}

fn say_section(name: &str, rows: impl Iterator<Item = Vec<String>>) {
    let rows: Vec<_> = rows.collect();
    if !rows.is_empty() {
        say(name);
        say_columns(&rows, 2);
    }
}

fn to_json(survey: &Survey) -> Value {
    let routes = routes(survey).into_iter().map(|(route, file)| {
        json!({
            "method": report::method(route.method.as_ref()),
            "path": route.path,
            "handler": file,
        })
    });
    let policies = policies(survey).map(|(policy, file)| {
        let mut policy = report::policy_json(policy);
        policy["handler"] = file.into();
        policy
    });
    let listeners = listeners(survey).into_iter().map(|(listener, file)| {
        json!({
            "namespace": listener.namespace,
            "event": listener.event,
            "handler": file,
        })
    });
    let hooks = hooks(survey).into_iter().map(|(namespace, file)| {
        json!({
            "namespace": namespace,
            "handler": file,
        })
    });
    let refused = refused(survey).into_iter().map(|refused| {
        json!({
            "file": refused.file,
            "cause": refused.cause,
        })
    });
    json!({
        "routes": routes.collect::<Value>(),
        "policies": policies.collect::<Value>(),
        "listeners": listeners.collect::<Value>(),
        "connections": hooks.collect::<Value>(),
        "refused": refused.collect::<Value>(),
        "troubles": survey.standing.troubles,
        "missing": survey.table.missing,
    })
}
