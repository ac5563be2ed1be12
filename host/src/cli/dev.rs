//! `hitchy dev`: builds the handlers below a folder, serves them, and builds again what is made of a source that was
//! saved.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;

use super::build::{self, Builder};
use super::cargo::{self, Package, Profile};
use super::self_writes::SelfWrites;
use super::serve::{self, Signals};
use super::sources::{Recipe, Sources, is_manifest, shown};
use super::{CommandError, DevArgs, log, print};
use crate::config::{self, Config};
use crate::registry::Registry;
use crate::watch::Trees;

/// For `--help`.
pub(super) const EXAMPLES: &str = "\
Examples:
  hitchy dev
  hitchy dev examples/hello --listen localhost:8080";

/// Runs `hitchy dev`.
pub(super) fn main(args: DevArgs) -> Result<(), CommandError> {
    let folder = build::folder(&args.path)?;
    let settings = args.settings.sources(Some(folder.clone()));
    let config = Config::load(&settings)?;
    log::start(&config.log);
    Ok(serve::block_on(dev(folder, config, settings))?)
}

async fn dev(folder: PathBuf, config: Config, settings: config::Sources) -> anyhow::Result<()> {
    let mut signals = Signals::new().context("signals cannot be received")?;
    // First, so that nobody waits for a build to read that the port is in use.
    let listening = serve::Listening::open(&config).await?;
    let workshop = tokio::select! {
        workshop = Workshop::open(folder.clone(), &config, &settings) => workshop?,
        () = signals.next() => {
            print("stopped");
            return Ok(());
        }
    };
    let note = format!("watching {}", folder.display());
    let beside = |registry| workshop.follow(registry);
    serve::serve(config, settings, listening, signals, Some(note), beside).await
}

/// Follows the sources and builds.
struct Workshop {
    folder: PathBuf,
    settings: config::Sources,
    config: Config,
    sources: Sources,
    builder: Builder,
    trees: Trees,
    /// Handlers whose last build failed.
    failed: BTreeSet<String>,
    /// The files that were built since the sources were read last.
    built: BTreeSet<String>,
    self_writes: SelfWrites,
}

impl Workshop {
    /// Builds everything once. A handler that cannot be built waits for its mending.
    async fn open(
        folder: PathBuf,
        config: &Config,
        settings: &config::Sources,
    ) -> anyhow::Result<Self> {
        let (sources, builder) = build::prepare(&folder, config, settings, Profile::Dev).await?;
        let roots = sources.roots(settings.settings_file());
        let mut workshop = Self {
            folder,
            settings: settings.clone(),
            config: config.clone(),
            // Before the build: what is saved meanwhile is built afterwards.
            trees: Trees::new(roots, config.handlers.rescan).await,
            sources,
            builder,
            failed: BTreeSet::new(),
            built: BTreeSet::new(),
            self_writes: SelfWrites::default(),
        };
        workshop.builder.remove_but(&workshop.sources)?;
        let all = workshop.sources.recipes.keys().cloned().collect();
        workshop.build(all, &[], None).await;
        Ok(workshop)
    }

    /// Builds after saves. Ends when it is dropped, and what it runs with it.
    async fn follow(mut self, registry: Arc<Registry>) {
        self.builder.announce_to(registry.builds());
        loop {
            let changed = self.saved().await;
            tracing::debug!("saved: {changed:?}");
            let mut concerned = self.sources.concerned(&changed);
            if self.is_about_what_is_built(&changed) {
                let new = self.find_again().await;
                self.self_writes.forget_builds(&new);
                concerned.extend(new);
                concerned.extend(self.sources.concerned(&changed));
            }
            concerned.extend(self.failed.iter().cloned());
            let saved: Vec<String> = changed
                .iter()
                .map(|path| shown(path, &self.folder))
                .collect();
            self.build(concerned, &saved, Some(&registry)).await;
        }
    }

    /// Waits for saves: what changed, without what building itself changes every time.
    async fn saved(&mut self) -> BTreeSet<PathBuf> {
        let built = std::mem::take(&mut self.built);
        if !built.is_empty() {
            let mut meanwhile = self.trees.now().await;
            for file in self.self_writes.hear(&mut meanwhile, &built) {
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

    fn warn_of(&self, file: &Path) {
        tracing::warn!(
            "{} changes whenever handlers are built, so its changes during builds do not start another; list it in .gitignore",
            shown(file, &self.folder)
        );
    }

    fn is_about_what_is_built(&self, changed: &BTreeSet<PathBuf>) -> bool {
        let settings = self.settings.settings_file();
        !self.sources.problems.is_empty()
            || changed
                .iter()
                .any(|path| is_manifest(path) || *path == settings)
    }

    /// Looks again for what there is to build: the files that are new or made in another way.
    async fn find_again(&mut self) -> BTreeSet<String> {
        // What is wrong with the settings the server says; what there was to build still is.
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
            self.sources.keep(before.recipes.clone());
        }
        if let Err(error) = self.builder.remove_but(&self.sources) {
            tracing::error!("{error:#}");
        }
        let known: BTreeSet<&Package> = before.packages().collect();
        let new = self.sources.packages().filter(|it| !known.contains(it));
        if let Err(error) = cargo::ensure_targets(new).await {
            tracing::error!("{error:#}");
        }
        self.failed
            .retain(|file| self.sources.recipes.contains_key(file));
        let roots = self.sources.roots(self.settings.settings_file());
        self.trees.follow(roots).await;
        let is_new = |recipe: &&Recipe| before.recipes.get(&recipe.file) != Some(recipe);
        let new = self.sources.recipes.values().filter(is_new);
        new.map(|recipe| recipe.file.clone()).collect()
    }

    /// Builds these, one after the other, and says of each that fails what is served instead.
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
                    tracing::error!("{error:#}; {}", instead(file, registry));
                    self.failed.insert(file.clone());
                }
            }
        }
        let written = self.builder.written(&self.sources);
        self.trees.accept(&written);
        self.built = files;
    }
}

/// Says what is served while a file cannot be built.
fn instead(file: &str, registry: Option<&Registry>) -> String {
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
