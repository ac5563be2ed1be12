//! `hitchy build`: builds every handler below a folder once, as it is deployed. `hitchy dev` uses the same [`Builder`].

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use clap::Args;

use super::builder::{Builder, Built};
use super::bundler::{self, Bundler};
use super::cargo::{self, Profile};
use super::error::CommandError;
use super::executor::{self, Threads};
use super::install::HandlersDir;
use super::job::Stop;
use super::output::{print, print_error};
use super::serve::Signals;
use super::shell::{RemoveOnDrop, shell};
use super::sources::Sources;
use super::{hidden_sources, job, log, settings, toolchains};
use crate::config::{self, Config, Setup};
use crate::registry::scripts;
use crate::runtime::{Bundled, instead_of, packages};
use crate::text::visible;

/// The examples at the end of `hitchy build --help`.
pub(super) const EXAMPLES: &str = "\
Examples:
  hitchy build
  hitchy build services";

#[derive(Args)]
pub(super) struct BuildArgs {
    /// The folder to look for handlers in; also where hitchy.toml and the handlers folder are
    #[arg(default_value = ".")]
    path: PathBuf,
    /// Read the settings from FILE instead of hitchy.toml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Put the .wasm files into DIR [handlers.dir]
    #[arg(long, value_name = "DIR")]
    handlers: Option<String>,
}

/// Runs `hitchy build` to its end, or until a signal stops it.
pub(super) fn main(args: BuildArgs) -> Result<(), CommandError> {
    let folder = folder(&args.path)?;
    let flags = [("handlers.dir", args.handlers, "--handlers")];
    let settings = settings::sources(args.config, Some(folder.clone()), flags);
    let config = Config::load(&settings)?;
    let _log = log::start(&config.log);
    let built = executor::runtime(Threads::Pool)?.block_on(async {
        let mut signals = Signals::new().context("signals cannot be received")?;
        tokio::select! {
            built = build(&folder, &config, &settings) => built,
            () = signals.next() => Err(anyhow!("stopped before everything was built")),
        }
    });
    Ok(built?)
}

/// Builds every handler. Failures are printed as they come; the error at the end says only how many.
async fn build(folder: &Path, config: &Config, settings: &config::Sources) -> anyhow::Result<()> {
    let (sources, mut builder) = prepare(folder, config, settings, Profile::Release).await?;
    let mut failed = sources.problems.len();
    for recipe in sources.recipes.values() {
        if let Built::Failed(error, _) = builder.build(recipe, &[], &Stop::new()).await {
            print_error(&error);
            failed += 1;
        }
    }
    builder.remove_obsolete(&sources)?;
    let (bundled, not_bundled) = bundle(&sources, &config.handlers.dir).await;
    failed += not_bundled;
    if sources.recipes.is_empty() && sources.problems.is_empty() && bundled + not_bundled == 0 {
        let dir = config.handlers.dir.display();
        print(format_args!(
            "nothing to build: {dir} has scripts, which are served as they are"
        ));
    }
    match failed {
        0 => Ok(()),
        1 => bail!("one handler was not built; the reason stands above"),
        many => bail!("{many} handlers were not built; the reasons stand above"),
    }
}

/// Makes the bundles of the scripts in the handlers folder that import packages, except of those that commands have
/// made. Failures are printed as they come. Returns how many were made, and how many were not.
async fn bundle(sources: &Sources, dir: &Path) -> (usize, usize) {
    let bundler = Bundler::new(&sources.folder);
    let (mut bundled, mut failed) = (Vec::new(), 0);
    let is_written = |name: &String| !sources.recipes.contains_key(name);
    for name in scripts(dir).into_iter().filter(is_written) {
        let content = fs::read(dir.join(&name)).unwrap_or_default();
        let Some(script) = packages(dir, &name, &content) else {
            continue;
        };
        let mut packages = script.packages.iter();
        let instead = packages.find_map(|package| Some((package, instead_of(package)?)));
        let made = match instead {
            Some((package, sentence)) => Err(anyhow!("cannot import {package:?}: {sentence}")),
            None => {
                let Bundled { made, .. } = bundler.make(&script).await;
                made.map_err(anyhow::Error::from)
            }
        };
        if let Err(error) = made {
            print_error(&error.context(format!("{}: not bundled", visible(&name))));
            failed += 1;
        }
        bundled.push(name);
    }
    for name in bundler::remove_obsolete(dir, &bundled) {
        print(format_args!(
            "removed the bundle of {}: nothing needs it any more",
            visible(&name)
        ));
    }
    (bundled.len() - failed, failed)
}

/// Returns the absolute path of the folder to look for handlers in, without links.
///
/// # Errors
/// The folder cannot be read, or its path is not UTF-8, in which settings and cargo name paths.
pub(super) fn folder(path: &Path) -> Result<PathBuf, CommandError> {
    let folder = path.canonicalize().and_then(|folder| {
        fs::read_dir(&folder)?;
        Ok(folder)
    });
    let folder = folder.map_err(|error| {
        CommandError::Usage(anyhow!(
            "{} cannot be read: {error}; name a folder",
            path.display()
        ))
    })?;
    if folder.to_str().is_none() {
        return Err(CommandError::Usage(anyhow!(
            "the path {} is not UTF-8, so that neither cargo nor settings can name what lies in it; rename the folder",
            folder.display()
        )));
    }
    Ok(folder)
}

/// Prepares builds: runs the setup, finds the sources, adds missing Rust targets, and opens the handlers folder.
///
/// # Errors
/// A step fails, or there is nothing to build.
pub(super) async fn prepare(
    folder: &Path,
    config: &Config,
    settings: &config::Sources,
    profile: Profile,
) -> anyhow::Result<(Sources, Builder)> {
    if let Some(setup) = &config.dev.setup {
        set_up(folder, setup).await?;
    }
    let sources = Sources::find(folder, config).await?;
    for problem in &sources.problems {
        print_error(problem);
    }
    let handlers = &config.handlers.dir;
    if sources.recipes.is_empty() && sources.problems.is_empty() && scripts(handlers).is_empty() {
        bail!(
            "there is no handler to build below {}: no Cargo.toml of a library with crate-type cdylib, no [dev] build in {}, and no \
             .js or .ts in {}{}",
            folder.display(),
            settings.settings_file().display(),
            handlers.display(),
            hidden_sources::explain(&sources)
        );
    }
    cargo::ensure_targets(sources.packages()).await?;
    let dir = HandlersDir::open(&config.handlers.dir)?;
    let builder = Builder::new(dir, folder.to_owned(), settings.settings_file(), profile);
    Ok((sources, builder))
}

/// Runs the setup if the path that it creates is missing. After a failure that path is removed, so that the next start
/// runs the setup again.
async fn set_up(folder: &Path, setup: &Setup) -> anyhow::Result<()> {
    let Setup { command, creates } = setup;
    let created = folder.join(creates);
    if created.exists() {
        return Ok(());
    }
    print(format_args!("{creates} is missing: running {command}"));
    let mut remove_on_drop = RemoveOnDrop(Some(created.clone()));
    let status = job::run_to_end(&mut shell(command, folder), &format!("running {command}"))
        .await
        .with_context(|| format!("the setup ({command}) cannot be run"))?;
    if !status.success() {
        if let Some(sentence) = toolchains::missing(command, status) {
            bail!("the setup failed: {sentence}");
        }
        bail!(
            "the setup failed ({command}: {status}); run it by hand in {}",
            folder.display()
        );
    }
    if !created.exists() {
        bail!("the setup ({command}) ended well but did not create {creates}; correct [dev] setup");
    }
    remove_on_drop.0 = None;
    Ok(())
}
