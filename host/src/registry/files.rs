//! The files that could be handlers, as they were seen last: which of them are served, which wait, which were refused. Decides
//! between those that want the same route.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::builds::{Build, Builds};
use super::folder::{Found, Listing, Stamp};
use super::table::{Conflict, conflict};
use crate::runtime::{ContentHash, Handler, Limits};
use crate::text::visible;

/// All files that were seen.
#[derive(Default)]
pub(super) struct Files {
    files: BTreeMap<String, File>,
    /// Kept when a file goes, so that generations count on and calls of old code count against the same bound.
    histories: HashMap<String, History>,
    /// What was taken up and has not been told yet, with what it replaces.
    news: Vec<(Arc<Handler>, Option<Arc<Handler>>)>,
}

/// A file as it was seen last.
struct File {
    stamp: Stamp,
    sidecar: Option<Stamp>,
    /// The content that was looked at last, served or not, and the limits it was looked at with.
    looked_at: Option<(ContentHash, Limits)>,
    /// Whether it was refused for something that may pass by itself.
    again: bool,
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
pub(super) enum Verdict {
    Unchanged,
    Loaded(Arc<Handler>),
    Refused(String),
}

impl Files {
    /// Whether a file was seen before.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }

    /// What is served.
    pub(super) fn serving(&self) -> Vec<Arc<Handler>> {
        self.files
            .values()
            .filter_map(|file| file.serving.clone())
            .collect()
    }

    /// A handler of this very content, served or waiting: its code can be used again.
    pub(super) fn with_content(&self, hash: ContentHash) -> Option<Arc<Handler>> {
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

    /// Whether a file looks as it did when it was looked at last.
    pub(super) fn is_unchanged(&self, found: &Found) -> bool {
        self.files.get(&found.name).is_some_and(|file| {
            !file.again && file.stamp == found.stamp && file.sidecar == found.sidecar
        })
    }

    /// Forgets files that are gone. Whether one of them was served.
    pub(super) fn remove(&mut self, listing: &Listing) -> bool {
        let mut removed = false;
        self.files.retain(|name, file| {
            // What is there but has become something else does not take down what was loaded from it.
            let there = listing.found.iter().any(|found| found.name == *name)
                || listing.unfit.iter().any(|unfit| unfit.name == *name)
                || listing.hides(name);
            if !there {
                removed |= file.serving.is_some();
                tracing::info!("{}: removed", visible(name));
            }
            there
        });
        removed
    }

    /// Whether nothing needs to be loaded: the file is again what is served, or what was loaded or refused last.
    pub(super) fn is_known(&mut self, found: &Found, hash: ContentHash, limits: &Limits) -> bool {
        let Some(file) = self.files.get_mut(&found.name) else {
            return false;
        };
        let is_it = |handler: &&Arc<Handler>| handler.hash() == hash && *handler.limits == *limits;
        let is_served = file.serving.as_ref().filter(is_it).is_some();
        if let Some(handler) = file.serving.as_ref().filter(|_| is_served) {
            if file.refusal.take().is_some() {
                let name = visible(&found.name);
                tracing::info!(
                    "{name}: is again what is served, generation {}",
                    handler.generation
                );
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
                .is_some_and(|(known, with)| *known == hash && with == limits);
        let is_known = is_served || is_waiting || is_refused;
        if is_known {
            file.stamp = found.stamp;
            file.sidecar = found.sidecar;
            file.looked_at = Some((hash, limits.clone()));
            file.again = false;
        }
        is_known
    }

    /// The next generation of a file, and the permits that all its generations share.
    pub(super) fn history(&mut self, name: &str, concurrency: usize) -> (u64, Arc<Semaphore>) {
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

    /// Notes how a file looked, so that it is looked at again only when it changes, or when it should be tried `again`.
    pub(super) fn remember(
        &mut self,
        found: &Found,
        looked_at: Option<(ContentHash, Limits)>,
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
                serving: None,
                waiting: None,
                refusal: None,
            });
        file.stamp = found.stamp;
        file.sidecar = found.sidecar;
        file.looked_at = looked_at;
        file.again = again;
    }

    /// Tells what was taken up. Call it when it is served: who reads the line may ask at once.
    pub(super) fn report(&mut self, builds: &Builds) {
        for (handler, before) in self.news.drain(..) {
            let build = builds.take(&handler.name, handler.hash());
            report_load(&handler, before.as_deref(), build.as_ref());
        }
    }

    /// Decides which of the loaded files are served, and reports what became of each. Whether what is served has changed.
    pub(super) fn conclude(&mut self, verdicts: Vec<(String, Verdict)>) -> bool {
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
                    // What is tried again and again is told once.
                    if file.again {
                        file.refuse(&name, cause);
                    } else {
                        report_refusal(&name, &cause, file.serving.as_deref());
                        file.refusal = Some(cause);
                    }
                }
            }
        }
        let conflicts = self.conflicts();
        let mut changed = false;
        for (name, file) in &mut self.files {
            match conflicts.get(name) {
                Some(conflict) => file.refuse(name, conflict.to_string()),
                None => changed |= file.promote(name, &mut self.histories, &mut self.news),
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
    fn promote(
        &mut self,
        name: &str,
        histories: &mut HashMap<String, History>,
        news: &mut Vec<(Arc<Handler>, Option<Arc<Handler>>)>,
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

    /// Reports why the file as it is now is not served, once.
    fn refuse(&mut self, name: &str, cause: String) {
        if self.refusal.as_ref() != Some(&cause) {
            report_refusal(name, &cause, self.serving.as_deref());
        }
        self.refusal = Some(cause);
    }
}

/// The line of a load: file, what changed, generation, hash, build and compile time, what it declares.
fn report_load(handler: &Handler, before: Option<&Handler>, build: Option<&Build>) {
    let saved = build.and_then(saved);
    let code = saved.as_deref().unwrap_or("its code");
    let what = match before {
        None => "loaded".to_owned(),
        Some(before) if before.hash() == handler.hash() => {
            "reloaded (its settings changed)".to_owned()
        }
        Some(before) if *before.limits == *handler.limits => {
            format!("reloaded ({code} changed)")
        }
        Some(_) => format!("reloaded ({code} and its settings changed)"),
    };
    tracing::info!(
        "{}: {what}, generation {}, {} ({} KiB, {}compiled in {} ms): {}",
        visible(&handler.name),
        handler.generation,
        handler.hash(),
        handler.size().div_ceil(1024),
        build.map(built).unwrap_or_default(),
        handler.compile_time().as_millis(),
        handler.declarations
    );
}

/// The sources that a person saved, of many the first; none when nobody saved anything.
fn saved(build: &Build) -> Option<String> {
    let shown: Vec<_> = build
        .saved
        .iter()
        .take(3)
        .map(|path| visible(path))
        .collect();
    let more = match build.saved.len().saturating_sub(shown.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!shown.is_empty()).then(|| format!("{}{more}", shown.join(", ")))
}

fn built(build: &Build) -> String {
    format!("built in {} ms, ", build.time.as_millis())
}

/// The line of a refusal: file, cause, fix, what is served instead.
pub(super) fn report_refusal(name: &str, cause: &str, serving: Option<&Handler>) {
    let name = visible(name);
    match serving {
        Some(handler) => tracing::error!(
            "{name}: refused: {cause}; still serving generation {}",
            handler.generation
        ),
        None => tracing::error!("{name}: refused: {cause}; not served"),
    }
}
