//! Logs what becomes of files, and remembers the last hundred reloads and the number of each kind for the console.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use super::builds::Build;
use super::served::Served;
use crate::lock::lock;
use crate::metrics::Count;
use crate::runtime::ContentHash;
use crate::text::visible;

/// Reloads that are remembered.
const KEPT: usize = 100;

/// The sort of a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The file is served, and was not before.
    Loaded,
    /// The file is served instead of its earlier version.
    Reloaded,
    /// The file is again the version that is served, after it had been refused.
    Restored,
    /// The file was removed.
    Removed,
    /// The file is not served as it is now.
    Refused,
}

impl What {
    /// All sorts, in the order of the enum.
    pub const ALL: [Self; 5] = [
        Self::Loaded,
        Self::Reloaded,
        Self::Restored,
        Self::Removed,
        Self::Refused,
    ];

    /// Returns its name in metrics and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Loaded => "loaded",
            Self::Reloaded => "reloaded",
            Self::Restored => "restored",
            Self::Removed => "removed",
            Self::Refused => "refused",
        }
    }
}

/// A reload of one file.
#[derive(Clone, Debug)]
pub struct Reload {
    /// The time of the reload.
    pub at: SystemTime,
    /// The path of the file below the folder.
    pub file: Arc<str>,
    /// The sort of reload.
    pub what: What,
    /// The generation that serves since then, if any does.
    pub generation: Option<u64>,
    /// The content that was loaded.
    pub hash: Option<ContentHash>,
    /// The time that building the file took, if this program built it.
    pub built: Option<Duration>,
    /// The time that compiling the file took.
    pub compiled: Option<Duration>,
    /// The reason of a refusal.
    pub error: Option<String>,
}

impl Reload {
    fn new(file: &str, what: What) -> Self {
        Self {
            at: SystemTime::now(),
            file: file.into(),
            what,
            generation: None,
            hash: None,
            built: None,
            compiled: None,
            error: None,
        }
    }
}

/// Logs reloads and remembers them.
#[derive(Debug, Default)]
pub struct Journal {
    last: Mutex<VecDeque<Reload>>,
    counts: [Count; What::ALL.len()],
}

impl Journal {
    /// Returns the last reloads, the newest first.
    pub fn last(&self) -> Vec<Reload> {
        lock(&self.last).iter().rev().cloned().collect()
    }

    /// Returns the number of reloads of a sort since the start.
    pub fn count(&self, what: What) -> u64 {
        self.counts[what as usize].total()
    }

    fn note(&self, reload: Reload) {
        self.counts[reload.what as usize].one();
        let mut last = lock(&self.last);
        if last.len() == KEPT {
            last.pop_front();
        }
        last.push_back(reload);
    }

    /// Logs a load: the file, what changed, generation, hash, build and compile time, and its declarations.
    pub(super) fn loaded(&self, handler: &Served, before: Option<&Served>, build: Option<&Build>) {
        // One that made what is served already was told then.
        let is_new = |before: &Served| before.hash() != handler.hash();
        let build = build.filter(|_| before.is_none_or(is_new));
        let saved = build.and_then(saved);
        let code = saved.as_deref().unwrap_or("its code");
        let what = match before {
            None => "loaded".to_owned(),
            Some(before) if before.hash() == handler.hash() => {
                "reloaded (its settings changed)".to_owned()
            }
            Some(before) if *before.settings == *handler.settings => {
                format!("reloaded ({code} changed)")
            }
            Some(_) => format!("reloaded ({code} and its settings changed)"),
        };
        self.note(Reload {
            generation: Some(handler.generation),
            hash: Some(handler.hash()),
            built: build.map(|build| build.time),
            compiled: Some(handler.compile_time()),
            ..Reload::new(
                &handler.name,
                before.map_or(What::Loaded, |_| What::Reloaded),
            )
        });
        tracing::info!(
            "{}: {what}, generation {}, {} ({} KiB, {}{} in {} ms): {}",
            visible(&handler.name),
            handler.generation,
            handler.hash(),
            handler.size().div_ceil(1024),
            build.map(built).unwrap_or_default(),
            handler.code_origin().verb(),
            handler.compile_time().as_millis(),
            handler.declarations
        );
        for warning in &handler.declarations.warnings {
            tracing::warn!("{}: {}", visible(&handler.name), visible(warning));
        }
    }

    /// Logs a refusal: the file, the cause, what to do, and what is served instead.
    pub(super) fn refused(&self, name: &str, cause: &str, serving: Option<&Served>) {
        self.note(Reload {
            generation: serving.map(|handler| handler.generation),
            error: Some(cause.to_owned()),
            ..Reload::new(name, What::Refused)
        });
        let (name, cause) = (visible(name), visible(cause));
        match serving {
            Some(handler) => tracing::error!(
                "{name}: refused: {cause}; still serving generation {}",
                handler.generation
            ),
            None => tracing::error!("{name}: refused: {cause}; not served"),
        }
    }

    /// Logs that a file which was refused is again the version that is served.
    pub(super) fn restored(&self, handler: &Served) {
        self.note(Reload {
            generation: Some(handler.generation),
            hash: Some(handler.hash()),
            ..Reload::new(&handler.name, What::Restored)
        });
        tracing::info!(
            "{}: is again what is served, generation {}",
            visible(&handler.name),
            handler.generation
        );
    }

    /// Logs that a file was removed.
    pub(super) fn removed(&self, name: &str) {
        self.note(Reload::new(name, What::Removed));
        tracing::info!("{}: removed", visible(name));
    }
}

/// Returns the sources that a person saved, the first three of many, or `None` if nobody saved anything.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_hundred_are_remembered_and_all_are_counted() {
        let journal = Journal::default();
        for number in 0..=KEPT {
            journal.removed(&format!("{number}.wasm"));
        }
        let last = journal.last();
        assert_eq!(last.len(), KEPT);
        assert_eq!(&*last[0].file, "100.wasm");
        assert_eq!(&*last[KEPT - 1].file, "1.wasm");
        assert_eq!(journal.count(What::Removed), 101);
        assert_eq!(journal.count(What::Refused), 0);
    }
}
