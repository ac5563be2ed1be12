//! One reload after the other: what has changed in the folder and the settings, and whether it can be served.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::arrivals::Arrivals;
use super::builds::Builds;
use super::checks::Checks;
use super::files::{Files, Verdict};
use super::folder::{self, Found};
use super::growth::Growth;
use super::journal::Journal;
use super::listing::{self, Listing, Unfit};
use super::problems::{Problems, Subject};
use super::status::{RefusedFile, Status};
use super::table::{Table, is_required};
use super::twins;
use crate::config::{Config, Sources, nearest};
use crate::names::{bare, is_script};
use crate::runtime::Runtime;
use crate::text::visible;
use crate::watch::Watch;

/// The largest number of files that are served.
const MAX_HANDLERS: usize = 256;

/// Reloads the handlers folder and the settings, again and again.
pub(super) struct Reloader {
    runtime: Arc<Runtime>,
    /// The settings that are in force.
    config: Config,
    /// The settings as they were read last: some of them wait for the next start.
    written: Config,
    sources: Sources,
    journal: Arc<Journal>,
    files: Files,
    arrivals: Arrivals,
    problems: Problems,
    /// True if a setting has changed since the last table was made.
    settings_changed: bool,
    scripts: ScriptTurn,
}

/// What becomes of scripts while the code that all of them share is not there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ScriptTurn {
    /// They are checked as other files are.
    Checked,
    /// They wait for a later reload, so that this one is not held up.
    Waiting,
    /// The code was prepared, with or without success, so they are checked in any case.
    Prepared,
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
            arrivals: Arrivals::default(),
            problems: Problems::default(),
            settings_changed: false,
            scripts: ScriptTurn::Checked,
        }
    }

    /// Waits until there is something to reload.
    pub(super) async fn wait(&mut self, watch: &mut Watch) {
        let settle = self.config.handlers.settle;
        if self.scripts != ScriptTurn::Waiting {
            return self.arrivals.wait(watch, settle).await;
        }
        tokio::select! {
            () = self.arrivals.wait(watch, settle) => {}
            () = self.runtime.scripts_prepared() => self.scripts = ScriptTurn::Prepared,
        }
    }

    /// Reads the folder for the first time. Everything that is there counts as complete. `grow` gets tables of routes
    /// that can be served before the table is complete.
    pub(super) async fn first(&mut self, grow: &(dyn Fn(Table) + Send + Sync)) -> Table {
        self.runtime.prepare_cache().await;
        self.reload_growing(grow)
            .await
            .unwrap_or_else(|| self.table())
    }

    /// Logs what a reload has put into service and what has gone, once its table is served.
    pub(super) fn report(&mut self, builds: &Builds) {
        self.files.report(builds);
    }

    /// Reads the folder and the settings. Returns a table if what is served has changed.
    pub(super) async fn reload(&mut self) -> Option<Table> {
        self.reload_growing(&|_| {}).await
    }

    async fn reload_growing(&mut self, grow: &(dyn Fn(Table) + Send + Sync)) -> Option<Table> {
        let first = self.arrivals.begin();
        if self.read_settings() {
            // Kept until they are applied, because the folder may be unreadable in this reload.
            self.settings_changed = true;
            self.files.settings_changed();
        }
        self.note_changed_secrets().await;
        self.note_changed_imports().await;
        let mut listing = self.list().await?;
        twins::leave_out(&mut listing, |name| self.files.serving_as(name).is_some());
        self.leave_out_surplus(&mut listing);
        self.report_unfit(&listing);
        self.report_absent(&listing);
        let removed = self.files.remove(&listing);
        self.prepare_for_scripts(&listing, first);
        let verdicts = self.check_all(listing.found, first, grow).await;
        self.arrivals.end();
        let changed = self
            .files
            .conclude(verdicts, &self.config.handlers.required);
        let settings_changed = std::mem::take(&mut self.settings_changed);
        (first || removed || changed || settings_changed).then(|| self.table())
    }

    /// Returns what is wrong now.
    pub(super) fn status(&self) -> Status {
        let mut status = Status {
            refused: self.files.refused().collect(),
            troubles: Vec::new(),
        };
        for (subject, cause) in self.problems.iter() {
            match subject {
                Subject::Settings => status.troubles.push(settings_trouble(cause)),
                Subject::Folder => {
                    let dir = &self.config.handlers.dir;
                    status.troubles.push(folder_trouble(dir, cause));
                }
                Subject::Subfolder(name) => status.troubles.push(subfolder_trouble(name, cause)),
                Subject::File(name) => status.refused.push(RefusedFile {
                    file: name.clone(),
                    cause: cause.to_owned(),
                    serving: self.files.generation(name),
                }),
                // Settings may come before their handler.
                Subject::Handler(_) => {}
            }
        }
        status
    }

    /// Makes the table of what is served now.
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

    /// Reads the settings again. Returns true if a setting has changed that is applied while the server runs.
    fn read_settings(&mut self) -> bool {
        if self.arrivals.is_written(&self.sources.settings_file()) {
            return false;
        }
        let newer = match Config::load(&self.sources) {
            Ok(newer) => newer,
            Err(error) => {
                let error = error.to_string();
                if self.problems.add(Subject::Settings, &error) {
                    tracing::error!("{}", settings_trouble(&error));
                }
                return false;
            }
        };
        self.problems.remove(&Subject::Settings);
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

    /// Notes which handlers have a secret in a file that has changed and rests.
    async fn note_changed_secrets(&mut self) {
        let files = self.files.secret_files();
        if files.is_empty() {
            return;
        }
        let settle = self.config.handlers.settle;
        let changed = tokio::task::spawn_blocking(move || {
            let changed = files.into_iter().filter(|(_, path, known)| {
                folder::stamp_of(path)
                    .is_none_or(|now| *known != Some(now) && now.quiet_for() >= settle)
            });
            changed.map(|(name, ..)| name).collect::<Vec<_>>()
        });
        for name in changed.await.unwrap_or_default() {
            self.files.secret_changed(&name);
        }
    }

    /// Notes which handlers import a file that has changed and is complete.
    async fn note_changed_imports(&mut self) {
        let imports = self.files.imports();
        if imports.is_empty() {
            return;
        }
        let changed = tokio::task::spawn_blocking(move || {
            let looked = imports.into_iter().map(|(name, imported)| {
                let now = folder::stamp_of(&imported.path);
                (name, imported, now)
            });
            let changed = looked.filter(|(_, imported, now)| imported.stamp != *now);
            changed.collect::<Vec<_>>()
        });
        let settle = self.config.handlers.settle;
        for (name, imported, now) in changed.await.unwrap_or_default() {
            if !now.is_some_and(|now| self.arrivals.is_changing(&imported.path, now, settle)) {
                self.files.import_changed(&name);
            }
        }
    }

    /// Lists the folder. Returns `None` if it cannot be read; then everything stays as it is.
    async fn list(&mut self) -> Option<Listing> {
        let dir = self.config.handlers.dir.clone();
        let listed = tokio::task::spawn_blocking(move || listing::list(&dir)).await;
        let dir = &self.config.handlers.dir;
        let error = match listed {
            Ok(Ok(listing)) => {
                if self.problems.remove(&Subject::Folder) {
                    tracing::info!("{}: readable again", dir.display());
                }
                return Some(listing);
            }
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        if self.problems.add(Subject::Folder, &error) {
            tracing::error!("{}", folder_trouble(dir, &error));
        }
        None
    }

    /// Takes newcomers beyond the number of handlers that are served out of the listing, so that they are not even
    /// read.
    fn leave_out_surplus(&self, listing: &mut Listing) {
        let is_known = |found: &Found| self.files.contains(&found.name);
        let known = listing.found.iter().filter(|found| is_known(found)).count();
        let mut free = MAX_HANDLERS.saturating_sub(known);
        let mut fits = |found: &Found| {
            let fits = is_known(found) || free > 0;
            free -= usize::from(fits && !is_known(found));
            fits
        };
        let (fitting, surplus): (Vec<Found>, Vec<Found>) = std::mem::take(&mut listing.found)
            .into_iter()
            .partition(|found| fits(found));
        listing.found = fitting;
        let cause = format!("there are {MAX_HANDLERS} other handlers; remove one");
        let unfit = surplus.into_iter().map(|found| Unfit {
            name: found.name,
            cause: cause.clone(),
        });
        listing.unfit.extend(unfit);
    }

    /// Logs, once, which files cannot be served whatever is in them, and which folders cannot be read.
    fn report_unfit(&mut self, listing: &Listing) {
        let is_unfit =
            |subject: &Subject| matches!(subject, Subject::File(_) | Subject::Subfolder(_));
        let files = listing.unfit.iter();
        let files = files.map(|one| (Subject::File(one.name.clone()), one.cause.clone()));
        let folders = listing.hidden.iter();
        let folders = folders.map(|one| (Subject::Subfolder(one.name.clone()), one.cause.clone()));
        for (subject, cause) in self
            .problems
            .replace(is_unfit, files.chain(folders).collect())
        {
            match subject {
                Subject::File(name) => {
                    let serving = self.files.serving_as(&name);
                    self.journal.refused(&name, &cause, serving);
                }
                Subject::Subfolder(name) => {
                    tracing::error!("{}", subfolder_trouble(&visible(&name), &cause));
                }
                Subject::Settings | Subject::Folder | Subject::Handler(_) => {}
            }
        }
    }

    /// Logs, once, which handlers have settings and no file.
    fn report_absent(&mut self, listing: &Listing) {
        let there: BTreeSet<&str> = listing.names().map(bare).collect();
        let absent = self
            .config
            .handler_sections()
            .filter(|(name, ..)| !there.contains(name) && !listing.hides(name))
            .map(|(name, section, from)| {
                let cause = format!(
                    "{from}: [{section}] is for the handler {}, which is not in the handlers folder",
                    visible(name)
                );
                (Subject::Handler(name.to_owned()), cause)
            });
        let is_absent = |subject: &Subject| matches!(subject, Subject::Handler(_));
        for (subject, cause) in self.problems.replace(is_absent, absent.collect()) {
            let Subject::Handler(name) = subject else {
                continue;
            };
            // The hint is no part of the problem, because it changes with the other files.
            let hint = match nearest(&name, there.iter().map(|name| (*name).to_owned())) {
                Some(nearest) => format!("did you mean {}?", visible(&nearest)),
                None => "it waits until it comes".to_owned(),
            };
            tracing::warn!("{cause}; {hint}");
        }
    }

    /// Begins to prepare the code that all scripts share if there are scripts. The first reload waits for it, because
    /// the server starts with all its handlers. A later one goes on without the scripts.
    fn prepare_for_scripts(&mut self, listing: &Listing, first: bool) {
        let any = listing.found.iter().any(|found| is_script(&found.name));
        if !any || self.runtime.is_ready_for_scripts() || self.scripts == ScriptTurn::Prepared {
            self.scripts = ScriptTurn::Checked;
            return;
        }
        self.runtime.prepare_scripts();
        if !first {
            self.scripts = ScriptTurn::Waiting;
        }
    }

    /// Reads and loads the files that have changed and are complete, side by side.
    async fn check_all(
        &mut self,
        found: Vec<Found>,
        first: bool,
        grow: &(dyn Fn(Table) + Send + Sync),
    ) -> Vec<(String, Verdict)> {
        let settle = self.config.handlers.settle;
        let required = &self.config.handlers.required;
        let (files, arrivals) = (&mut self.files, &mut self.arrivals);
        let scripts_wait = self.scripts == ScriptTurn::Waiting;
        let changed = found.into_iter().filter(|found| {
            let waits = scripts_wait && is_script(&found.name);
            let is_wanted = !waits && !files.is_unchanged(found);
            is_wanted && (first || !arrivals.is_settling(found, settle))
        });
        let mut changed: Vec<Found> = changed.collect();
        // Guards come first, because nothing is answered before they are ready. Of the others, scripts come last,
        // because they may wait for the code that all of them share.
        changed.sort_by_cached_key(|found| {
            let is_other = !is_required(&found.name, required);
            (is_other, is_script(&found.name), found.name.clone())
        });
        let names = changed.iter().map(|found| found.name.clone());
        let mut growth = first.then(|| Growth::new(names, required));
        let mut checks = Checks::new(&self.runtime, &self.config, changed);
        let mut verdicts = Vec::new();
        while let Some((name, verdict)) = checks.next(&mut self.files).await {
            let growing = growth.as_mut();
            if let Some(table) = growing.and_then(|growth| growth.note(&name, &verdict)) {
                grow(table);
            }
            verdicts.push((name, verdict));
        }
        // What the log says of them comes in the order of their names.
        verdicts.sort_by(|(one, _), (other, _)| one.cmp(other));
        verdicts
    }
}

// What the log says once, and the status as long as it is so.

fn settings_trouble(error: &str) -> String {
    format!("{error}; still serving with the settings as they were")
}

fn folder_trouble(dir: &Path, error: &str) -> String {
    let dir = dir.display();
    format!("{dir}: cannot be read: {error}; still serving what was loaded")
}

fn subfolder_trouble(name: &str, cause: &str) -> String {
    format!("{name}: {cause}; what was loaded from it goes on serving")
}
