//! One reload after the other: what has changed in the folder and the settings, and whether it can be served.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::builds::Builds;
use super::check_file::{read, settings};
use super::files::{Files, Verdict};
use super::folder::{self, Found, Listing, Unfit};
use super::journal::Journal;
use super::served::Served;
use super::status::{RefusedFile, Status};
use super::table::{Table, bare};
use crate::config::{Config, Sources, nearest};
use crate::runtime::{Candidate, ContentHash, HandlerSettings, Runtime};
use crate::text::visible;
use crate::watch::{Change, Watch};

/// Time between the beginnings of two passes: a storm of changes is compiled ten times a second at most.
const SPACING: Duration = Duration::from_millis(100);
/// Files that are served.
const MAX_HANDLERS: usize = 256;

/// The state of reloading.
pub(super) struct Reloader {
    runtime: Arc<Runtime>,
    /// The settings in force.
    config: Config,
    /// The settings as they were read last: some of them wait for the next start.
    written: Config,
    sources: Sources,
    journal: Arc<Journal>,
    files: Files,
    /// Files that were written a moment ago, and when they count as complete.
    settling: HashMap<PathBuf, Instant>,
    /// Files that came by a rename since the last pass: they are complete.
    moved: HashSet<PathBuf>,
    unfit: Vec<Unfit>,
    settings_error: Option<String>,
    folder_error: Option<String>,
    /// Handlers that have settings and no file, as it was told last.
    absent: BTreeSet<String>,
    last_pass: Option<Instant>,
}

impl Reloader {
    pub(super) fn new(
        runtime: Arc<Runtime>,
        config: Config,
        sources: Sources,
        journal: Arc<Journal>,
    ) -> Self {
        Self {
            runtime,
            written: config.clone(),
            config,
            sources,
            files: Files::new(Arc::clone(&journal)),
            journal,
            settling: HashMap::new(),
            moved: HashSet::new(),
            unfit: Vec::new(),
            settings_error: None,
            folder_error: None,
            absent: BTreeSet::new(),
            last_pass: None,
        }
    }

    /// Waits until something should be looked at.
    pub(super) async fn wait(&mut self, watch: &mut Watch) {
        let mut look = false;
        while !look {
            match self.settling.values().min().copied() {
                Some(due) => match tokio::time::timeout_at(due.into(), watch.next()).await {
                    Ok(change) => look |= self.note(change),
                    Err(_) => look = true,
                },
                None => look |= self.note(watch.next().await),
            }
        }
        if let Some(last) = self.last_pass {
            tokio::time::sleep_until((last + SPACING).into()).await;
        }
        while let Some(change) = watch.try_next() {
            self.note(change);
        }
    }

    /// Whether a change is worth a look now. A file that is being written is not, until it has been left alone for a while.
    fn note(&mut self, change: Change) -> bool {
        match change {
            Change::Written(path) => {
                self.settling
                    .insert(path, Instant::now() + self.config.handlers.settle);
                false
            }
            Change::Moved(path) => {
                self.settling.remove(&path);
                self.moved.insert(path);
                true
            }
            Change::Everything => true,
        }
    }

    /// The first pass: everything that is there counts as complete.
    pub(super) async fn first(&mut self) -> Table {
        self.reload().await.unwrap_or_else(|| self.table())
    }

    /// Tells what a pass has taken up and what has gone, once its table is served.
    pub(super) fn report(&mut self, builds: &Builds) {
        self.files.report(builds);
    }

    /// Looks at the folder and at the settings. A table, if what is served has changed.
    pub(super) async fn reload(&mut self) -> Option<Table> {
        let first = self.last_pass.is_none();
        self.last_pass = Some(Instant::now());
        let now = Instant::now();
        self.settling.retain(|_, due| *due > now);
        let settings_changed = self.read_settings();
        let mut listing = self.list().await?;
        self.leave_out_surplus(&mut listing);
        self.report_unfit(&listing);
        self.report_absent(&listing);
        let removed = self.files.remove(&listing);
        let mut verdicts = Vec::new();
        for found in listing.found {
            let verdict = self.look_at(&found, settings_changed, first).await;
            verdicts.push((found.name, verdict));
        }
        self.moved.clear();
        let changed = self.files.conclude(verdicts);
        (first || removed || changed || settings_changed).then(|| self.table())
    }

    /// What is not as it should be.
    pub(super) fn status(&self) -> Status {
        let (hidden, unfit): (Vec<_>, Vec<_>) = self.unfit.iter().partition(|one| one.is_folder());
        let unfit = unfit.into_iter().map(|one| RefusedFile {
            file: one.name.clone(),
            cause: one.cause.clone(),
            serving: self.files.generation(&one.name),
        });
        let dir = &self.config.handlers.dir;
        let folder = self.folder_error.iter();
        let folder = folder.map(|error| folder_trouble(dir, error));
        let hidden = hidden.into_iter();
        let hidden = hidden.map(|one| hidden_trouble(&one.name, &one.cause));
        let settings = self.settings_error.iter();
        let settings = settings.map(|error| settings_trouble(error));
        Status {
            refused: self.files.refused().chain(unfit).collect(),
            troubles: settings.chain(folder).chain(hidden).collect(),
        }
    }

    /// The table of what is served now.
    fn table(&self) -> Table {
        let table = Table::new(self.files.serving(), &self.config.handlers.required);
        for name in &table.missing {
            tracing::error!(
                "{name}.wasm is required (handlers.required) and is not served: every request is answered 503 and every connect \
                 refused until it is"
            );
        }
        table
    }

    /// Reads the settings again. Whether what is served is affected.
    fn read_settings(&mut self) -> bool {
        if self.settling.contains_key(&self.sources.settings_file()) {
            return false;
        }
        let newer = match Config::load(&self.sources) {
            Ok(newer) => newer,
            Err(error) => {
                let error = error.to_string();
                if self.settings_error.as_ref() != Some(&error) {
                    tracing::error!("{}", settings_trouble(&error));
                }
                self.settings_error = Some(error);
                return false;
            }
        };
        self.settings_error = None;
        let changes = self.written.changes(&newer);
        if changes.is_empty() {
            return false;
        }
        if !changes.live.is_empty() {
            tracing::info!("settings changed: {}", changes.live.join(", "));
        }
        if !changes.restart.is_empty() {
            tracing::warn!(
                "settings changed that need a restart to take effect: {}",
                changes.restart.join(", ")
            );
        }
        self.config = self.config.with_live(&newer);
        self.written = newer;
        !changes.live.is_empty()
    }

    /// What is in the folder; none if it cannot be read, and everything stays as it is.
    async fn list(&mut self) -> Option<Listing> {
        let dir = self.config.handlers.dir.clone();
        let listed = tokio::task::spawn_blocking(move || folder::list(&dir)).await;
        let error = match listed {
            Ok(Ok(listing)) => {
                if self.folder_error.take().is_some() {
                    tracing::info!("{}: readable again", self.config.handlers.dir.display());
                }
                return Some(listing);
            }
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        if self.folder_error.as_ref() != Some(&error) {
            let dir = &self.config.handlers.dir;
            tracing::error!("{}", folder_trouble(dir, &error));
        }
        self.folder_error = Some(error);
        None
    }

    /// Newcomers beyond the number of handlers that are served are not even read.
    fn leave_out_surplus(&self, listing: &mut Listing) {
        let is_known = |found: &Found| self.files.contains(&found.name);
        let known = listing.found.iter().filter(|found| is_known(found)).count();
        let mut room = MAX_HANDLERS.saturating_sub(known);
        let mut fits = |found: &Found| {
            let fits = is_known(found) || room > 0;
            room -= usize::from(fits && !is_known(found));
            fits
        };
        let (found, surplus) = std::mem::take(&mut listing.found)
            .into_iter()
            .partition(|found| fits(found));
        listing.found = found;
        let surplus: Vec<Found> = surplus;
        let cause = format!("there are {MAX_HANDLERS} other .wasm files; remove one");
        let unfit = surplus.into_iter().map(|found| Unfit {
            name: found.name,
            cause: cause.clone(),
        });
        listing.unfit.extend(unfit);
    }

    /// Tells, once, what cannot be served whatever is in it, and what cannot be seen.
    fn report_unfit(&mut self, listing: &Listing) {
        for one in listing.unfit.iter().filter(|one| !self.unfit.contains(one)) {
            self.journal.refused(&one.name, &one.cause, None);
        }
        for folder in listing
            .hidden
            .iter()
            .filter(|folder| !self.unfit.contains(folder))
        {
            let trouble = hidden_trouble(&visible(&folder.name), &folder.cause);
            tracing::error!("{trouble}");
        }
        self.unfit = listing
            .unfit
            .iter()
            .chain(&listing.hidden)
            .cloned()
            .collect();
    }

    /// Tells, once, which handlers have settings and no file.
    fn report_absent(&mut self, listing: &Listing) {
        let there: BTreeSet<&str> = listing.names().map(bare).collect();
        let mut absent = BTreeSet::new();
        for (name, section, from) in self.config.handler_sections() {
            if there.contains(name) || listing.hides(name) {
                continue;
            }
            if !self.absent.contains(name) {
                let nearest = nearest(name, there.iter().map(|name| (*name).to_owned()));
                let hint = match nearest {
                    Some(nearest) => format!("did you mean {}?", visible(&nearest)),
                    None => "it waits until it comes".to_owned(),
                };
                tracing::warn!(
                    "{from}: [{section}] is for {}.wasm, which is not in the handlers folder; {hint}",
                    visible(name)
                );
            }
            absent.insert(name.to_owned());
        }
        self.absent = absent;
    }

    /// Looks at a file: reads and loads it, if it changed and is complete.
    async fn look_at(&mut self, found: &Found, settings_changed: bool, first: bool) -> Verdict {
        let unchanged = self.files.is_unchanged(found) && !settings_changed;
        if unchanged || self.is_settling(found, first) {
            return Verdict::Unchanged;
        }
        let settings = match settings(&self.config, found).await {
            Ok(settings) => settings,
            Err(cause) => {
                self.files.remember(found, None, false);
                return Verdict::Refused(cause);
            }
        };
        let wasm = match read(found.path.clone()).await {
            Ok(wasm) => wasm,
            Err(cause) => {
                self.files.remember(found, None, true);
                return Verdict::Refused(cause);
            }
        };
        let hash = ContentHash::of(&wasm);
        if self.files.is_known(found, hash, &settings) {
            return Verdict::Unchanged;
        }
        self.load(found, wasm, hash, settings).await
    }

    /// Whether a file was written a moment ago. Where no notification told so, its time does.
    fn is_settling(&mut self, found: &Found, first: bool) -> bool {
        if self.settling.contains_key(&found.path)
            || self.settling.contains_key(&found.sidecar_path())
        {
            return true;
        }
        let (settle, quiet) = (self.config.handlers.settle, found.stamp.quiet_for());
        if first || quiet >= settle || self.moved.contains(&found.path) {
            return false;
        }
        self.settling
            .insert(found.path.clone(), Instant::now() + (settle - quiet));
        true
    }

    async fn load(
        &mut self,
        found: &Found,
        wasm: Bytes,
        hash: ContentHash,
        settings: HandlerSettings,
    ) -> Verdict {
        let name: Arc<str> = found.name.as_str().into();
        let looked_at = Some((hash, settings.clone()));
        let (generation, permits, calls) = self.files.history(&found.name, settings.concurrency);
        let candidate = Candidate {
            name,
            wasm,
            hash,
            settings,
        };
        let known = self.files.with_content(hash);
        match self
            .runtime
            .load(candidate, known.as_deref().map(|known| &**known))
            .await
        {
            Ok(handler) => {
                self.files.remember(found, looked_at, false);
                let served = Served::new(handler, generation, permits, calls);
                Verdict::Loaded(Arc::new(served))
            }
            Err(error) => {
                self.files.remember(found, looked_at, error.is_transient());
                Verdict::Refused(error.to_string())
            }
        }
    }
}

// What the log tells once, and the standing as long as it is so.

fn settings_trouble(error: &str) -> String {
    format!("{error}; still serving with the settings as they were")
}

fn folder_trouble(dir: &Path, error: &str) -> String {
    let dir = dir.display();
    format!("{dir}: cannot be read: {error}; still serving what was loaded")
}

/// Of a folder in the folder.
fn hidden_trouble(name: &str, cause: &str) -> String {
    format!("{name}: cannot be read: {cause}; what was loaded from it goes on serving")
}
