//! `hitchy dev`: builds the handlers below a folder, serves them, and rebuilds the handlers that a saved source
//! belongs to.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use clap::Args;

use super::build::{self, Builder};
use super::cargo::{self, Package, Profile};
use super::error::CommandError;
use super::log;
use super::output::print;
use super::self_writes::SelfWrites;
use super::serve::{self, Signals};
use super::settings::SettingsArgs;
use super::sources::{Recipe, Sources, is_manifest, relative};
use crate::config::{self, Config};
use crate::registry::Registry;
use crate::watch::Trees;

/// The examples at the end of `hitchy dev --help`.
pub(super) const EXAMPLES: &str = "\
Examples:
  hitchy dev
  hitchy dev examples/hello --listen localhost:8080";

#[derive(Args)]
pub(super) struct DevArgs {
    /// The folder to look for handlers in; also where hitchy.toml and the handlers folder are
    #[arg(default_value = ".")]
    path: PathBuf,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Runs `hitchy dev` until a signal ends the process.
pub(super) fn main(args: DevArgs) -> Result<(), CommandError> {
    let folder = build::folder(&args.path)?;
    let settings = args.settings.sources(Some(folder.clone()));
    let config = Config::load(&settings)?;
    let _log = log::start(&config.log);
    Ok(serve::block_on(dev(folder, config, settings))?)
}

async fn dev(folder: PathBuf, config: Config, settings: config::Sources) -> anyhow::Result<()> {
    let mut signals = Signals::new().context("signals cannot be received")?;
    // The port is opened before the first build, so that a port in use is reported at once.
    let listening = serve::Listening::open(&config).await?;
    let rebuilder = tokio::select! {
        rebuilder = Rebuilder::open(folder.clone(), &config, &settings) => rebuilder?,
        () = signals.next() => {
            print("stopped");
            return Ok(());
        }
    };
    let note = format!("watching {}", folder.display());
    let background = |registry| rebuilder.follow(registry);
    serve::serve(config, settings, listening, signals, Some(note), background).await
}

/// The handlers below a folder, with their sources, rebuilt after each save.
struct Rebuilder {
    folder: PathBuf,
    settings: config::Sources,
    config: Config,
    sources: Sources,
    builder: Builder,
    trees: Trees,
    /// Files whose last build failed; each save tries them again.
    failed: BTreeSet<String>,
    /// The files of the last build, until the changes during it are separated into saves and writes of the build.
    built: BTreeSet<String>,
    self_writes: SelfWrites,
}

impl Rebuilder {
    /// Builds everything once. A handler that cannot be built is tried again after the next save.
    ///
    /// # Errors
    /// The setup fails, there is nothing to build, or the handlers folder cannot be written.
    async fn open(
        folder: PathBuf,
        config: &Config,
        settings: &config::Sources,
    ) -> anyhow::Result<Self> {
        let (sources, builder) = build::prepare(&folder, config, settings, Profile::Dev).await?;
        let roots = sources.roots(settings.settings_file());
        let mut rebuilder = Self {
            folder,
            settings: settings.clone(),
            config: config.clone(),
            // Watching begins before the build, so that a save during the build leads to another.
            trees: Trees::new(roots, config.handlers.rescan).await,
            sources,
            builder,
            failed: BTreeSet::new(),
            built: BTreeSet::new(),
            self_writes: SelfWrites::default(),
        };
        rebuilder.builder.remove_obsolete(&rebuilder.sources)?;
        let all = rebuilder.sources.recipes.keys().cloned().collect();
        rebuilder.build(all, &[], None).await;
        Ok(rebuilder)
    }

    /// Builds after each save, for ever. Dropping the future ends the programs that it runs.
    async fn follow(mut self, registry: Arc<Registry>) {
        self.builder.announce_to(registry.builds());
        loop {
            let changed = self.saved().await;
            tracing::debug!("saved: {changed:?}");
            let mut affected = self.sources.affected(&changed);
            if self.may_change_recipes(&changed) {
                let new = self.find_again().await;
                self.self_writes.forget_builds(&new);
                affected.extend(new);
                affected.extend(self.sources.affected(&changed));
            }
            affected.extend(self.failed.iter().cloned());
            let saved: Vec<String> = changed
                .iter()
                .map(|path| relative(path, &self.folder))
                .collect();
            self.build(affected, &saved, Some(&registry)).await;
        }
    }

    /// Waits for saves. Returns the changed files, without the files that every build changes.
    async fn saved(&mut self) -> BTreeSet<PathBuf> {
        let built = std::mem::take(&mut self.built);
        if !built.is_empty() {
            let mut meanwhile = self.trees.now().await;
            for file in self.self_writes.separate(&mut meanwhile, &built) {
                self.warn_of(&file);
            }
            if !meanwhile.is_empty() {
                return meanwhile;
            }
        }
        let changed = self.trees.changed().await;
        self.self_writes.forget(&changed);
        changed
    }

    /// Logs that changes of a file during builds are ignored from now on.
    fn warn_of(&self, file: &Path) {
        tracing::warn!(
            "{} changes whenever handlers are built, so its changes during builds do not start another; list it in .gitignore",
            relative(file, &self.folder)
        );
    }

    /// Returns true if the changes may add handlers, remove handlers or change how they are built.
    fn may_change_recipes(&self, changed: &BTreeSet<PathBuf>) -> bool {
        let settings = self.settings.settings_file();
        !self.sources.problems.is_empty()
            || changed
                .iter()
                .any(|path| is_manifest(path) || *path == settings)
    }

    /// Looks again for handlers to build. Returns the files that are new or are built in another way than before.
    async fn find_again(&mut self) -> BTreeSet<String> {
        // The server reports wrong settings; until they are corrected the former build commands stay.
        if let Ok(config) = Config::load(&self.settings) {
            self.config.dev = config.dev;
        }
        let found = match Sources::find(&self.folder, &self.config).await {
            Ok(found) => found,
            Err(error) => {
                tracing::error!("{error:#}");
                return BTreeSet::new();
            }
        };
        let before = std::mem::replace(&mut self.sources, found);
        for problem in &self.sources.problems {
            tracing::error!("{problem:#}");
        }
        if !self.sources.problems.is_empty() {
            self.sources.keep_missing(before.recipes.clone());
        }
        if let Err(error) = self.builder.remove_obsolete(&self.sources) {
            tracing::error!("{error:#}");
        }
        let known: BTreeSet<&Package> = before.packages().collect();
        let added = self
            .sources
            .packages()
            .filter(|package| !known.contains(package));
        if let Err(error) = cargo::ensure_targets(added).await {
            tracing::error!("{error:#}");
        }
        self.failed
            .retain(|file| self.sources.recipes.contains_key(file));
        let roots = self.sources.roots(self.settings.settings_file());
        self.trees.follow(roots).await;
        let is_new = |recipe: &&Recipe| before.recipes.get(&recipe.file) != Some(recipe);
        self.sources
            .recipes
            .values()
            .filter(is_new)
            .map(|recipe| recipe.file.clone())
            .collect()
    }

    /// Builds the files one after the other. For each failure it logs what is served instead.
    async fn build(
        &mut self,
        files: BTreeSet<String>,
        saved: &[String],
        registry: Option<&Registry>,
    ) {
        for file in &files {
            let Some(recipe) = self.sources.recipes.get(file) else {
                continue;
            };
            match self.builder.build(recipe, saved).await {
                Ok(()) => drop(self.failed.remove(file)),
                Err(error) => {
                    tracing::error!("{error:#}; {}", served_instead(file, registry));
                    self.failed.insert(file.clone());
                }
            }
        }
        let written = self.builder.written(&self.sources);
        self.trees.accept(&written).await;
        self.built = files;
    }
}

/// Returns the words that say what is served while a file cannot be built.
fn served_instead(file: &str, registry: Option<&Registry>) -> String {
    let Some(registry) = registry else {
        return "waiting for a change".to_owned();
    };
    let table = registry.table();
    let serving = table.handlers.iter().find(|handler| *handler.name == *file);
    match serving {
        Some(handler) => format!("still serving generation {}", handler.generation),
        None => "not served until it builds".to_owned(),
    }
}
