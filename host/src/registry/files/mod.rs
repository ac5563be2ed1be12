//! The files that could be handlers, as they were seen last: the ones that are served, that wait, and that were
//! refused.

mod imports;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::registry::builds::Builds;
use crate::registry::calls::Calls;
use crate::registry::conflicts::{Conflict, Contender, conflicts};
use crate::registry::folder::Found;
use crate::registry::journal::Journal;
use crate::registry::listing::Listing;
use crate::registry::refusal::FileRefusal;
use crate::registry::served::Served;
use crate::registry::status::RefusedFile;
use crate::registry::table::is_required;
use crate::runtime::kinds::route::Route;
use crate::runtime::{ContentHash, HandlerSettings, ImportedFile};
use crate::stamp::Stamp;

/// All files that were seen.
pub(super) struct Files {
    files: BTreeMap<String, File>,
    /// Kept when a file is removed, so that generations count on and calls of old code count against the same bound.
    histories: HashMap<String, History>,
    /// Handlers that were put into service and not logged yet, each with its predecessor.
    news: Vec<(Arc<Served>, Option<Arc<Served>>)>,
    /// Files that were removed and not logged yet.
    gone: Vec<String>,
    journal: Arc<Journal>,
}

/// A file as it was seen last.
struct File {
    stamp: Stamp,
    sidecar: Option<Stamp>,
    /// The content that was checked last, served or not, and the settings with which it was checked.
    looked_at: Option<(ContentHash, HandlerSettings)>,
    /// True if the file was refused for a reason that may pass by itself.
    again: bool,
    /// True if a setting has changed since the file was checked last.
    with_old_settings: bool,
    /// The files that it imported, or looked for, when it was checked last.
    imports: Vec<ImportedFile>,
    /// True if one of them has changed since then.
    with_old_imports: bool,
    serving: Option<Arc<Served>>,
    /// Loaded, but not served because of a conflict, which may end.
    waiting: Option<Arc<Served>>,
    /// The refusal that was logged last, as long as it holds.
    refusal: Option<FileRefusal>,
}

/// The part of a file that stays from one generation to the next.
struct History {
    generation: u64,
    permits: Arc<Semaphore>,
    concurrency: usize,
    calls: Arc<Calls>,
}

/// The result of checking a file.
pub(super) enum Verdict {
    Unchanged,
    Loaded(Arc<Served>),
    Refused(FileRefusal),
}

impl Files {
    /// Makes an empty list, which logs what becomes of files through `journal`.
    pub(super) fn new(journal: Arc<Journal>) -> Self {
        Self {
            files: BTreeMap::new(),
            histories: HashMap::new(),
            news: Vec::new(),
            gone: Vec::new(),
            journal,
        }
    }

    /// Returns true if a file was seen before.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }

    /// Returns the handlers that are served.
    pub(super) fn serving(&self) -> Vec<Arc<Served>> {
        self.files
            .values()
            .filter_map(|file| file.serving.clone())
            .collect()
    }

    /// Returns the handler of a file that is served.
    pub(super) fn serving_as(&self, name: &str) -> Option<&Served> {
        self.files.get(name)?.serving.as_deref()
    }

    /// Returns the generation of a file that is served.
    pub(super) fn generation(&self, name: &str) -> Option<u64> {
        self.serving_as(name).map(|handler| handler.generation)
    }

    /// Returns the files that are not served as they are now.
    pub(super) fn refused(&self) -> impl Iterator<Item = RefusedFile> {
        self.files.iter().filter_map(|(name, file)| {
            Some(RefusedFile {
                file: name.clone(),
                cause: file.refusal.as_ref()?.to_string(),
                serving: file.serving.as_ref().map(|handler| handler.generation),
            })
        })
    }

    /// Returns a handler of this content, served or waiting, whose code can be used again.
    pub(super) fn with_content(&self, hash: ContentHash) -> Option<Arc<Served>> {
        let loaded = self
            .files
            .values()
            .flat_map(|file| [&file.serving, &file.waiting])
            .flatten();
        loaded
            .into_iter()
            .find(|handler| handler.hash() == hash)
            .cloned()
    }

    /// Notes that a setting has changed, so that every file is checked again. A file that is still settling is checked
    /// by a later reload.
    pub(super) fn settings_changed(&mut self) {
        for file in self.files.values_mut() {
            file.with_old_settings = true;
        }
    }

    /// Returns the files that hold secrets of handlers: the handler, the path, and the stamp with which the file was
    /// read.
    pub(super) fn secret_files(&self) -> Vec<(String, PathBuf, Option<Stamp>)> {
        let checked = self.files.iter().filter_map(|(name, file)| {
            let (_, settings) = file.looked_at.as_ref()?;
            Some(
                settings
                    .secrets
                    .files()
                    .map(|(path, stamp)| (name.clone(), path.to_owned(), stamp)),
            )
        });
        checked.flatten().collect()
    }

    /// Notes that a secret of a handler may have changed, so that its file is checked again.
    pub(super) fn secret_changed(&mut self, name: &str) {
        if let Some(file) = self.files.get_mut(name) {
            file.with_old_settings = true;
        }
    }

    /// Returns true if a file looks as it did when it was checked last, and the settings are the same.
    pub(super) fn is_unchanged(&self, found: &Found) -> bool {
        self.files.get(&found.name).is_some_and(|file| {
            !file.again
                && !file.with_old_settings
                && !file.with_old_imports
                && file.stamp == found.stamp
                && file.sidecar == found.sidecar
        })
    }

    /// Forgets files that were removed. Returns true if one of them was served.
    pub(super) fn remove(&mut self, listing: &Listing) -> bool {
        let mut removed = false;
        self.files.retain(|name, file| {
            // What is there but has become something else does not take down what was loaded from it.
            let there = listing.found.iter().any(|found| found.name == *name)
                || listing.unfit.iter().any(|unfit| unfit.name == *name)
                || listing.hides(name);
            if !there {
                removed |= file.serving.is_some();
                self.gone.push(name.clone());
            }
            there
        });
        removed
    }

    /// Returns true if nothing needs to be loaded, because the file is again the one that is served, or the one that
    /// was loaded or refused last.
    pub(super) fn is_known(
        &mut self,
        found: &Found,
        hash: ContentHash,
        settings: &HandlerSettings,
    ) -> bool {
        let Some(file) = self.files.get_mut(&found.name) else {
            return false;
        };
        if file.with_old_imports {
            return false;
        }
        let is_it =
            |handler: &&Arc<Served>| handler.hash() == hash && *handler.settings == *settings;
        let is_served = file.serving.as_ref().filter(is_it).is_some();
        if let Some(handler) = file.serving.as_ref().filter(|_| is_served) {
            if file.refusal.take().is_some() {
                self.journal.restored(handler);
            }
            file.waiting = None;
        }
        let is_waiting = file.waiting.as_ref().filter(is_it).is_some();
        let is_refused = file.refusal.is_some()
            && file.waiting.is_none()
            && !file.again
            && file.stamp == found.stamp
            && file
                .looked_at
                .as_ref()
                .is_some_and(|(known, with)| *known == hash && with == settings);
        let is_known = is_served || is_waiting || is_refused;
        if is_known {
            file.stamp = found.stamp;
            file.sidecar = found.sidecar;
            file.looked_at = Some((hash, settings.clone()));
            file.again = false;
            file.with_old_settings = false;
        }
        is_known
    }

    /// Returns the next generation of a file, and what all its generations share: permits, and the counts of calls.
    pub(super) fn history(
        &mut self,
        name: &str,
        concurrency: usize,
    ) -> (u64, Arc<Semaphore>, Arc<Calls>) {
        let fresh = || History {
            generation: 0,
            permits: Arc::new(Semaphore::new(concurrency)),
            concurrency,
            calls: Arc::default(),
        };
        let history = self.histories.entry(name.to_owned()).or_insert_with(fresh);
        if history.concurrency != concurrency {
            *history = History {
                generation: history.generation,
                calls: Arc::clone(&history.calls),
                ..fresh()
            };
        }
        (
            history.generation + 1,
            Arc::clone(&history.permits),
            Arc::clone(&history.calls),
        )
    }

    /// Notes how a file looked, so that it is checked again only when it changes, or when it should be tried `again`.
    pub(super) fn remember(
        &mut self,
        found: &Found,
        looked_at: Option<(ContentHash, HandlerSettings)>,
        again: bool,
    ) {
        let file = self
            .files
            .entry(found.name.clone())
            .or_insert_with(|| File {
                stamp: found.stamp,
                sidecar: None,
                looked_at: None,
                again,
                with_old_settings: false,
                imports: Vec::new(),
                with_old_imports: false,
                serving: None,
                waiting: None,
                refusal: None,
            });
        file.stamp = found.stamp;
        file.sidecar = found.sidecar;
        file.looked_at = looked_at;
        file.again = again;
        file.with_old_settings = false;
        file.with_old_imports = false;
    }

    /// Logs the files that were removed and the handlers that were put into service. It is called once the new table is
    /// served, because whoever reads the line may send a request at once.
    pub(super) fn report(&mut self, builds: &Builds) {
        for name in self.gone.drain(..) {
            self.journal.removed(&name);
        }
        for (handler, before) in self.news.drain(..) {
            let build = builds.take(&handler.name, handler.hash());
            self.journal
                .loaded(&handler, before.as_deref(), build.as_ref());
        }
    }

    /// Decides which of the loaded files are served, and logs what became of each. Returns true if the served handlers
    /// have changed.
    pub(super) fn conclude(
        &mut self,
        verdicts: Vec<(String, Verdict)>,
        required: &[String],
    ) -> bool {
        let imported = self.imported();
        for (name, verdict) in verdicts {
            let Some(file) = self.files.get_mut(&name) else {
                if let Verdict::Refused(refusal) = verdict {
                    self.journal.refused(&name, &refusal.to_string(), None);
                }
                continue;
            };
            match verdict {
                Verdict::Unchanged => {}
                Verdict::Loaded(handler) => {
                    file.waiting = Some(handler);
                    file.refusal = None;
                }
                Verdict::Refused(refusal) => {
                    file.waiting = None;
                    // What is tried again and again is logged once, what has changed is logged in any case.
                    if !file.again {
                        file.refusal = None;
                    }
                    if !file.is_only_for_others(&refusal, imported.contains(&name)) {
                        file.refuse(&name, refusal, &self.journal);
                    }
                }
            }
        }
        self.forgive(&imported);
        let mut conflicts = self.conflicts(required);
        let mut changed = false;
        for (name, file) in &mut self.files {
            match conflicts.remove(name) {
                Some(conflict) => file.refuse(name, conflict.into(), &self.journal),
                None => changed |= file.promote(name, &mut self.histories, &mut self.news),
            }
        }
        changed
    }

    /// Returns the files whose waiting version cannot be served, because others serve its routes.
    fn conflicts(&self, required: &[String]) -> HashMap<String, Conflict> {
        let contenders: Vec<_> = self
            .files
            .iter()
            .map(|(name, file)| Contender {
                name,
                is_required: is_required(name, required),
                serving: file.serving.as_deref().map(routes_of),
                waiting: file.waiting.as_deref().map(routes_of),
            })
            .collect();
        conflicts(contenders)
    }
}

fn routes_of(handler: &Served) -> &[Route] {
    &handler.declarations.routes
}

impl File {
    /// Puts the waiting version into service. Returns true if there was one.
    fn promote(
        &mut self,
        name: &str,
        histories: &mut HashMap<String, History>,
        news: &mut Vec<(Arc<Served>, Option<Arc<Served>>)>,
    ) -> bool {
        let Some(handler) = self.waiting.take() else {
            return false;
        };
        if let Some(history) = histories.get_mut(name) {
            history.generation = handler.generation;
        }
        news.push((Arc::clone(&handler), self.serving.take()));
        self.refusal = None;
        self.serving = Some(handler);
        true
    }

    /// Logs, once, why the file as it is now is not served.
    fn refuse(&mut self, name: &str, refusal: FileRefusal, journal: &Journal) {
        let cause = refusal.to_string();
        let before = self.refusal.replace(refusal);
        if before.is_none_or(|before| before.to_string() != cause) {
            journal.refused(name, &cause, self.serving.as_deref());
        }
    }
}
