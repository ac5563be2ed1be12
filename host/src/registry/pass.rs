//! One reload after the other: which files changed, whether they can be served, and which of two that want the same route.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::Semaphore;

use super::folder::{self, Found, Listing, Stamp, Unfit};
use super::table::{Conflict, Table, bare, conflict};
use crate::config::{Config, Sources};
use crate::runtime::{Candidate, ContentHash, Handler, Limits, Runtime};
use crate::text::visible;
use crate::watch::{Change, Watch};

/// Time between the beginnings of two passes: a storm of changes is compiled ten times a second at most.
const SPACING: Duration = Duration::from_millis(100);
/// Files that are served.
const MAX_HANDLERS: usize = 256;

/// The state of reloading.
pub(super) struct Reloads {
    runtime: Arc<Runtime>,
    config: Config,
    sources: Sources,
    files: BTreeMap<String, File>,
    /// Kept when a file goes, so that generations count on and calls of old code count against the same bound.
    histories: HashMap<String, History>,
    /// Files that were written a moment ago, and when they count as complete.
    settling: HashMap<PathBuf, Instant>,
    /// Files that came by a rename since the last pass: they are complete.
    moved: HashSet<PathBuf>,
    unfit: Vec<Unfit>,
    settings_error: Option<String>,
    folder_error: Option<String>,
    last_pass: Option<Instant>,
}

/// A file as it was seen last.
struct File {
    stamp: Stamp,
    sidecar: Option<Stamp>,
    /// Of the content that was looked at last, served or not.
    hash: Option<ContentHash>,
    serving: Option<Arc<Handler>>,
    /// Loaded, but not served for a conflict, which may end.
    waiting: Option<Arc<Handler>>,
    refusal: Option<String>,
}

struct History {
    generation: u64,
    permits: Arc<Semaphore>,
    concurrency: usize,
}

/// What became of a file in this pass.
enum Verdict {
    Unchanged,
    Loaded(Arc<Handler>),
    Refused(String),
}

impl Reloads {
    pub(super) fn new(runtime: Arc<Runtime>, config: Config, sources: Sources) -> Self {
        Self {
            runtime,
            config,
            sources,
            files: BTreeMap::new(),
            histories: HashMap::new(),
            settling: HashMap::new(),
            moved: HashSet::new(),
            unfit: Vec::new(),
            settings_error: None,
            folder_error: None,
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
        self.pass().await.unwrap_or_else(|| self.table())
    }

    /// Looks at the folder and at the settings. A table, if what is served has changed.
    pub(super) async fn pass(&mut self) -> Option<Table> {
        let first = self.last_pass.is_none();
        self.last_pass = Some(Instant::now());
        let now = Instant::now();
        self.settling.retain(|_, due| *due > now);
        let settings_changed = self.read_settings();
        let listing = self.list().await?;
        self.report_unfit(&listing.unfit);
        let removed = self.remove(&listing);
        let mut verdicts = Vec::new();
        for found in listing.found {
            let verdict = self.look_at(&found, settings_changed, first).await;
            verdicts.push((found.name, verdict));
        }
        self.moved.clear();
        let changed = self.conclude(verdicts);
        (first || removed || changed || settings_changed).then(|| self.table())
    }

    /// The table of what is served now.
    fn table(&self) -> Table {
        let serving = self
            .files
            .values()
            .filter_map(|file| file.serving.clone())
            .collect();
        let table = Table::new(serving, &self.config.handlers.required);
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
                    tracing::error!("{error}; still serving with the settings as they were");
                }
                self.settings_error = Some(error);
                return false;
            }
        };
        self.settings_error = None;
        let changes = self.config.changes(&newer);
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
        let affected = !changes.live.is_empty();
        self.config = newer;
        affected
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
            tracing::error!(
                "{}: cannot be read: {error}; still serving what was loaded",
                self.config.handlers.dir.display()
            );
        }
        self.folder_error = Some(error);
        None
    }

    fn report_unfit(&mut self, unfit: &[Unfit]) {
        for one in unfit.iter().filter(|one| !self.unfit.contains(one)) {
            report_refusal(&one.name, &one.cause, None);
        }
        self.unfit = unfit.to_vec();
    }

    /// Forgets files that are gone. Whether one of them was served.
    fn remove(&mut self, listing: &Listing) -> bool {
        let mut removed = false;
        self.files.retain(|name, file| {
            let there = listing.found.iter().any(|found| found.name == *name);
            if !there {
                removed |= file.serving.is_some();
                tracing::info!("{}: removed", visible(&name));
            }
            there
        });
        removed
    }

    /// Looks at a file: reads and loads it, if it changed and is complete.
    async fn look_at(&mut self, found: &Found, settings_changed: bool, first: bool) -> Verdict {
        let known = self.files.get(&found.name);
        let same =
            known.is_some_and(|file| file.stamp == found.stamp && file.sidecar == found.sidecar);
        if (same && !settings_changed) || self.is_settling(found, first) {
            return Verdict::Unchanged;
        }
        let limits = match self.limits(found) {
            Ok(limits) => limits,
            Err(cause) => return self.refuse(found, None, cause),
        };
        let path = found.path.clone();
        let read = tokio::task::spawn_blocking(move || folder::read(&path)).await;
        let wasm = match read {
            Ok(Ok(wasm)) => Bytes::from(wasm),
            Ok(Err(error)) => return self.refuse(found, None, error.to_string()),
            Err(error) => return self.refuse(found, None, error.to_string()),
        };
        let hash = ContentHash::of(&wasm);
        if self.is_known(found, hash, &limits) {
            return Verdict::Unchanged;
        }
        if !self.files.contains_key(&found.name) && self.files.len() >= MAX_HANDLERS {
            return Verdict::Refused(format!(
                "there are {MAX_HANDLERS} handlers already; remove one"
            ));
        }
        self.load(found, wasm, hash, limits).await
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

    /// Whether a file has the content and the limits that were looked at last. Its stamp is brought up to date.
    fn is_known(&mut self, found: &Found, hash: ContentHash, limits: &Limits) -> bool {
        let Some(file) = self.files.get_mut(&found.name) else {
            return false;
        };
        let loaded = file.waiting.as_ref().or(file.serving.as_ref());
        let same_limits = loaded.is_none_or(|handler| *handler.limits == *limits);
        let known = file.hash == Some(hash)
            && same_limits
            && (file.refusal.is_none() || file.sidecar == found.sidecar);
        if known {
            file.stamp = found.stamp;
            file.sidecar = found.sidecar;
        }
        known
    }

    async fn load(
        &mut self,
        found: &Found,
        wasm: Bytes,
        hash: ContentHash,
        limits: Limits,
    ) -> Verdict {
        let name: Arc<str> = found.name.as_str().into();
        let (generation, permits) = self.history(&found.name, limits.concurrency);
        let candidate = Candidate {
            name,
            wasm,
            hash,
            generation,
            limits,
            permits,
        };
        let with_code = |handler: &&Arc<Handler>| handler.hash() == hash;
        let loaded = self
            .files
            .values()
            .flat_map(|file| [&file.serving, &file.waiting])
            .flatten();
        let known = loaded.into_iter().find(with_code).cloned();
        match self.runtime.load(candidate, known.as_deref()).await {
            Ok(handler) => {
                let handler = Arc::new(handler);
                self.remember(found, Some(hash));
                Verdict::Loaded(handler)
            }
            Err(error) => self.refuse(found, Some(hash), error.to_string()),
        }
    }

    /// The next generation of a file, and the permits that all its generations share.
    fn history(&mut self, name: &str, concurrency: usize) -> (u64, Arc<Semaphore>) {
        let fresh = || History {
            generation: 0,
            permits: Arc::new(Semaphore::new(concurrency)),
            concurrency,
        };
        let history = self.histories.entry(name.to_owned()).or_insert_with(fresh);
        if history.concurrency != concurrency {
            *history = History {
                generation: history.generation,
                ..fresh()
            };
        }
        (history.generation + 1, Arc::clone(&history.permits))
    }

    /// What a call of a file may use, by its sidecar and the settings.
    fn limits(&self, found: &Found) -> Result<Limits, String> {
        let path = found.sidecar_path();
        let text = found
            .sidecar
            .map(|_| folder::read_sidecar(&path))
            .transpose()
            .map_err(|error| error.to_string())?;
        let sidecar = text.as_deref().map(|text| (path.as_path(), text));
        let own = self
            .config
            .handler_limits(bare(&found.name), sidecar)
            .map_err(|error| error.to_string())?;
        Ok(Limits {
            memory: own.memory,
            deadline: own.deadline,
            cpu: own.cpu,
            concurrency: own.concurrency,
            emits: u32::try_from(own.emits_per_call).unwrap_or(u32::MAX),
            emit_bytes: own.emit_bytes_per_call,
            dispatches: u32::try_from(own.dispatches_per_call).unwrap_or(u32::MAX),
            payload: self.config.server.body_limit,
            answer: self.config.server.answer_limit,
        })
    }

    fn refuse(&mut self, found: &Found, hash: Option<ContentHash>, cause: String) -> Verdict {
        self.remember(found, hash);
        Verdict::Refused(cause)
    }

    /// Notes how a file looked, so that it is looked at again only when it changes.
    fn remember(&mut self, found: &Found, hash: Option<ContentHash>) {
        let fresh = || File {
            stamp: found.stamp,
            sidecar: None,
            hash: None,
            serving: None,
            waiting: None,
            refusal: None,
        };
        let file = self.files.entry(found.name.clone()).or_insert_with(fresh);
        file.stamp = found.stamp;
        file.sidecar = found.sidecar;
        file.hash = hash;
    }

    /// Decides which of the loaded files are served, and reports what became of each. Whether what is served has changed.
    fn conclude(&mut self, verdicts: Vec<(String, Verdict)>) -> bool {
        for (name, verdict) in verdicts {
            let Some(file) = self.files.get_mut(&name) else {
                if let Verdict::Refused(cause) = verdict {
                    report_refusal(&name, &cause, None);
                }
                continue;
            };
            match verdict {
                Verdict::Unchanged => {}
                Verdict::Loaded(handler) => {
                    file.waiting = Some(handler);
                    file.refusal = None;
                }
                Verdict::Refused(cause) => {
                    file.waiting = None;
                    report_refusal(&name, &cause, file.serving.as_deref());
                    file.refusal = Some(cause);
                }
            }
        }
        let conflicts = self.conflicts();
        let mut changed = false;
        for (name, file) in &mut self.files {
            match conflicts.get(name) {
                Some(conflict) => file.refuse(name, conflict.to_string()),
                None => changed |= file.promote(name, &mut self.histories),
            }
        }
        changed
    }

    /// Which of the files that wait to be served cannot be, because others serve their routes. Those that are served keep what
    /// they have; among newcomers the order of names decides.
    fn conflicts(&self) -> HashMap<String, Conflict> {
        let mut conflicts: HashMap<String, Conflict> = HashMap::new();
        'again: loop {
            let keeps =
                |name: &str, file: &File| file.waiting.is_none() || conflicts.contains_key(name);
            let kept = self.files.iter().filter(|(name, file)| keeps(name, file));
            let mut accepted: Vec<&Arc<Handler>> =
                kept.filter_map(|(_, file)| file.serving.as_ref()).collect();
            // New versions of what is served go before newcomers.
            for newcomers in [false, true] {
                for (name, file) in &self.files {
                    let Some(waiting) = file.waiting.as_ref().filter(|_| {
                        file.serving.is_none() == newcomers && !conflicts.contains_key(name)
                    }) else {
                        continue;
                    };
                    if let Some(conflict) = conflict(waiting, accepted.iter().copied()) {
                        conflicts.insert(name.clone(), conflict);
                        // Its old version stays, which may stand in the way of others: judge again.
                        continue 'again;
                    }
                    accepted.push(waiting);
                }
            }
            return conflicts;
        }
    }
}

impl File {
    /// Serves what waits to be served. Whether there was something.
    fn promote(&mut self, name: &str, histories: &mut HashMap<String, History>) -> bool {
        let Some(handler) = self.waiting.take() else {
            return false;
        };
        if let Some(history) = histories.get_mut(name) {
            history.generation = handler.generation;
        }
        report_load(&handler, self.serving.as_deref());
        self.refusal = None;
        self.serving = Some(handler);
        true
    }

    /// Reports why the file as it is now is not served, once.
    fn refuse(&mut self, name: &str, cause: String) {
        if self.refusal.as_ref() != Some(&cause) {
            report_refusal(name, &cause, self.serving.as_deref());
        }
        self.refusal = Some(cause);
    }
}

/// The line of a load: file, what changed, generation, hash, compile time, what it declares.
fn report_load(handler: &Handler, before: Option<&Handler>) {
    let what = match before {
        None => "loaded".to_owned(),
        Some(before) if before.hash() == handler.hash() => {
            "reloaded (its settings changed)".to_owned()
        }
        Some(before) if *before.limits == *handler.limits => {
            "reloaded (its code changed)".to_owned()
        }
        Some(_) => "reloaded (its code and settings changed)".to_owned(),
    };
    tracing::info!(
        "{}: {what}, generation {}, {} ({} KiB, compiled in {} ms): {}",
        visible(&handler.name),
        handler.generation,
        handler.hash(),
        handler.size().div_ceil(1024),
        handler.compile_time().as_millis(),
        handler.declarations
    );
}

/// The line of a refusal: file, cause, fix, what is served instead.
fn report_refusal(name: &str, cause: &str, serving: Option<&Handler>) {
    let name = visible(&name);
    match serving {
        Some(handler) => tracing::error!(
            "{name}: refused: {cause}; still serving generation {}",
            handler.generation
        ),
        None => tracing::error!("{name}: refused: {cause}; not served"),
    }
}
