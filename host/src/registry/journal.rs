//! What became of files: told in the log, and remembered for the console. The last hundred reloads, and how many there were.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use super::builds::Build;
use super::served::Served;
use crate::lock::lock;
use crate::metrics::Count;
use crate::runtime::ContentHash;
use crate::text::visible;

/// Reloader that are remembered.
const KEPT: usize = 100;

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// It is served, and was not before.
    Loaded,
    /// It is served instead of what it was before.
    Reloaded,
    /// It is again what is served, after it had been refused.
    Restored,
    /// It is gone.
    Removed,
    /// It is not served as it is now.
    Refused,
}

impl What {
    /// All of them, in the order of the enum.
    pub const ALL: [Self; 5] = [
        Self::Loaded,
        Self::Reloaded,
        Self::Restored,
        Self::Removed,
        Self::Refused,
    ];

    /// Its name in metrics and in JSON.
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

/// Something that became of a file.
#[derive(Clone, Debug)]
pub struct Reload {
    /// When.
    pub at: SystemTime,
    /// The file, below the folder.
    pub file: Arc<str>,
    /// What.
    pub what: What,
    /// The generation that serves since then, if any does.
    pub generation: Option<u64>,
    /// The content that was loaded.
    pub hash: Option<ContentHash>,
    /// How long building it took, when this program built it.
    pub built: Option<Duration>,
    /// How long compiling it took.
    pub compiled: Option<Duration>,
    /// Why it was refused.
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

/// Tells and remembers.
#[derive(Debug, Default)]
pub struct Journal {
    last: Mutex<VecDeque<Reload>>,
    counts: [Count; What::ALL.len()],
}

impl Journal {
    /// The last reloads, the newest first.
    pub fn last(&self) -> Vec<Reload> {
        lock(&self.last).iter().rev().cloned().collect()
    }

    /// How often something became of a file.
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

    /// The line of a load: file, what changed, generation, hash, build and compile time, what it declares.
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
            "{}: {what}, generation {}, {} ({} KiB, {}compiled in {} ms): {}",
            visible(&handler.name),
            handler.generation,
            handler.hash(),
            handler.size().div_ceil(1024),
            build.map(built).unwrap_or_default(),
            handler.compile_time().as_millis(),
            handler.declarations
        );
        for warning in &handler.declarations.warnings {
            tracing::warn!("{}: {}", visible(&handler.name), visible(warning));
        }
    }

    /// The line of a refusal: file, cause, fix, what is served instead.
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

    /// A file that was refused is what is served again.
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

    /// A file is gone.
    pub(super) fn removed(&self, name: &str) {
        self.note(Reload::new(name, What::Removed));
        tracing::info!("{}: removed", visible(name));
    }
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
