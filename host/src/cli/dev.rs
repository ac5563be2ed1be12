//! `hitchy dev`: builds the handlers below a folder, serves them, and rebuilds the handlers that a saved source
//! belongs to.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context;
use clap::Args;

use super::build;
use super::builder::{Builder, Built};
use super::bundler::Bundler;
use super::cargo::{self, Package, Profile};
use super::error::CommandError;
use super::inputs::Inputs;
use super::inputs::own_output::OwnOutput;
use super::job::Stop;
use super::log;
use super::output::print;
use super::self_writes::SelfWrites;
use super::serve::{self, Signals};
use super::settings::SettingsArgs;
use super::sources::{BuildMethod, Recipe, Sources, is_manifest, relative};
use crate::config::{self, Config};
use crate::registry::Registry;
use crate::runtime::BundlerBackend;
use crate::watch::{self, Trees};

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
    let mut config = Config::load(&settings)?;
    config.tells_details = true;
    config.bundler = Some(BundlerBackend(Arc::new(Bundler::new(&folder))));
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
    /// What the latest builds read, keyed by the files that they make.
    inputs: BTreeMap<String, Inputs>,
    /// The files to build, in this order.
    queue: VecDeque<String>,
    /// The saved sources because of which the files of the queue are built.
    saved: BTreeMap<String, BTreeSet<String>>,
    /// Files whose last build failed; each save tries them again.
    failed: BTreeSet<String>,
    self_writes: SelfWrites,
    own_output: OwnOutput,
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
        let inputs = BTreeMap::new();
        let roots = sources.roots(settings.settings_file(), &inputs);
        let mut rebuilder = Self {
            folder,
            settings: settings.clone(),
            config: config.clone(),
            // Watching begins before the build, so that a save during the build leads to another.
            trees: Trees::new(roots, config.handlers.rescan).await,
            queue: sources.recipes.keys().cloned().collect(),
            sources,
            builder,
            inputs,
            saved: BTreeMap::new(),
            failed: BTreeSet::new(),
            self_writes: SelfWrites::default(),
            own_output: OwnOutput::of_this_process(),
        };
        rebuilder.builder.remove_obsolete(&rebuilder.sources)?;
        while let Some(file) = rebuilder.queue.pop_front() {
            let changed = rebuilder.build(&file, None).await;
            rebuilder.plan(&changed).await;
        }
        Ok(rebuilder)
    }

    /// Builds after each save, for ever. Dropping the future ends the programs that it runs.
    async fn follow(mut self, registry: Arc<Registry>) {
        self.builder.announce_to(registry.builds());
        loop {
            let changed = match self.queue.pop_front() {
                Some(file) => self.build(&file, Some(&registry)).await,
                None => self.next_saves().await,
            };
            self.plan(&changed).await;
        }
    }

    /// Waits for saves while nothing is built.
    async fn next_saves(&mut self) -> BTreeSet<PathBuf> {
        loop {
            let mut changed = self.trees.changed().await;
            self.remove_own(&mut changed);
            if !changed.is_empty() {
                self.self_writes.forget(&changed);
                return changed;
            }
        }
    }

    /// Removes what this process writes itself: its output, and the handlers.
    fn remove_own(&mut self, changed: &mut BTreeSet<PathBuf>) {
        let made = self.sources.recipes.keys();
        let made: BTreeSet<PathBuf> = made.map(|file| self.builder.path(file)).collect();
        changed.retain(|path| !made.contains(path));
        self.own_output.remove_from(changed);
    }

    /// Puts what these saves affect into the queue.
    async fn plan(&mut self, changed: &BTreeSet<PathBuf>) {
        if changed.is_empty() {
            return;
        }
        tracing::debug!("saved: {changed:?}");
        let mut affected = self.sources.affected(changed, &self.inputs);
        if self.may_change_recipes(changed) {
            let new = self.find_again().await;
            self.self_writes.forget_builds(&new);
            affected.extend(new);
            affected.extend(self.sources.affected(changed, &self.inputs));
        }
        affected.extend(self.failed.iter().cloned());
        let saved: BTreeSet<String> = changed
            .iter()
            .map(|path| relative(path, &self.folder))
            .collect();
        for file in affected {
            self.enqueue(file, &saved);
        }
    }

    /// Puts a file at the end of the queue, unless it is there already.
    fn enqueue(&mut self, file: String, saved: &BTreeSet<String>) {
        let because = self.saved.entry(file.clone()).or_default();
        because.extend(saved.iter().cloned());
        if !self.queue.contains(&file) {
            self.queue.push_back(file);
        }
    }

    /// Builds a file. A save of what the build reads ends the build, and another takes its place in the queue. Returns
    /// the saves that came meanwhile. For a failure it logs what is served instead.
    async fn build(&mut self, file: &str, registry: Option<&Registry>) -> BTreeSet<PathBuf> {
        let saved = self.saved.remove(file).unwrap_or_default();
        let Some(recipe) = self.sources.recipes.get(file).cloned() else {
            return BTreeSet::new();
        };
        let began = SystemTime::now();
        let (built, mut changed) = self.build_until_stale(&recipe, &saved).await;
        let is_stopped = matches!(built, Built::Stopped);
        match built {
            Built::Stopped => self.enqueue(file.to_owned(), &saved),
            Built::Made(line, inputs) => {
                self.own_output.printed(line);
                self.failed.remove(file);
                self.inputs.insert(file.to_owned(), inputs);
            }
            Built::Failed(error, mut inputs) => {
                let line = format!("{error:#}; {}", served_instead(file, registry));
                tracing::error!("{line}");
                self.own_output.printed(line);
                self.failed.insert(file.to_owned());
                inputs.is_known = false;
                if let Some(before) = self.inputs.get(file) {
                    inputs.extend(before);
                }
                self.inputs.insert(file.to_owned(), inputs);
            }
        }
        let locks = self.sources.locks();
        self.trees.accept(&locks).await;
        let roots = self
            .sources
            .roots(self.settings.settings_file(), &self.inputs);
        self.trees.follow(roots, Some(began)).await;
        changed.extend(self.trees.now().await);
        changed.retain(|path| !locks.contains(path));
        self.remove_own(&mut changed);
        if !is_stopped {
            self.remove_self_writes(&mut changed, file);
        }
        changed
    }

    /// Removes what the last build wrote among the sources, as far as that is known after some builds.
    fn remove_self_writes(&mut self, changed: &mut BTreeSet<PathBuf>, file: &str) {
        if !self.may_write_sources(file) {
            return;
        }
        let ended = self.builder.ended();
        let is_later = |path: &PathBuf| watch::changed_after(path, ended);
        let later: BTreeSet<PathBuf> = changed.extract_if(.., |path| is_later(path)).collect();
        for file in self.self_writes.separate(changed, file) {
            self.warn_of(&file);
        }
        changed.extend(later);
    }

    /// Returns true unless it is known that builds of this file run no programs that may write among the sources.
    fn may_write_sources(&self, file: &str) -> bool {
        let inputs = self.inputs.get(file);
        inputs.is_none_or(|inputs| inputs.may_write_sources)
    }

    /// Builds a recipe until a save of what it reads makes it stale. Returns the changes that came meanwhile.
    async fn build_until_stale(
        &mut self,
        recipe: &Recipe,
        saved: &BTreeSet<String>,
    ) -> (Built, BTreeSet<PathBuf>) {
        let (stop, mut all) = (Stop::new(), BTreeSet::new());
        let saved: Vec<String> = saved.iter().cloned().collect();
        let made: BTreeSet<PathBuf> = self
            .sources
            .recipes
            .keys()
            .map(|file| self.builder.path(file))
            .chain(self.sources.locks())
            .collect();
        let settings = self.settings.settings_file();
        let is_command = matches!(recipe.method, BuildMethod::Command(_));
        let may_write = self.may_write_sources(&recipe.file);
        let build = self.builder.build(recipe, &saved, &stop);
        tokio::pin!(build);
        loop {
            let mut changed = tokio::select! {
                built = &mut build => return (built, all),
                changed = self.trees.changed(), if !stop.is_cancelled() => changed,
            };
            changed.retain(|path| !made.contains(path));
            self.own_output.remove_from(&mut changed);
            self.self_writes.remove_known(&mut changed);
            let affected = self.sources.affected(&changed, &self.inputs);
            let is_stale =
                affected.contains(&recipe.file) || is_command && changed.contains(&settings);
            let may_stop = || self.self_writes.may_stop(&changed, &recipe.file);
            if is_stale && (!may_write || may_stop()) {
                self.self_writes.count_stop(&changed, &recipe.file);
                stop.cancel();
            }
            all.extend(changed);
        }
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
        self.inputs
            .retain(|file, _| self.sources.recipes.contains_key(file));
        let roots = self
            .sources
            .roots(self.settings.settings_file(), &self.inputs);
        self.trees.follow(roots, None).await;
        let is_new = |recipe: &&Recipe| before.recipes.get(&recipe.file) != Some(recipe);
        self.sources
            .recipes
            .values()
            .filter(is_new)
            .map(|recipe| recipe.file.clone())
            .collect()
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
