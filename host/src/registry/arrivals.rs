//! Which files have arrived completely: a rename is complete, and what is written in place must rest for a while.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::folder::Found;
use crate::stamp::Stamp;
use crate::watch::{Change, Watch};

/// Time between the beginnings of two reloads: a storm of changes is compiled ten times a second at most.
const SPACING: Duration = Duration::from_millis(100);

/// The changes of the folder since the last reload.
#[derive(Default)]
pub(super) struct Arrivals {
    /// Files that were written a moment ago, and when they count as complete.
    settling: HashMap<PathBuf, Instant>,
    /// Files that came by a rename since the last reload, so that they are complete.
    moved: HashSet<PathBuf>,
    last_reload: Option<Instant>,
}

impl Arrivals {
    /// Waits until there is something to reload. A file that is written in place must rest for `settle`.
    pub(super) async fn wait(&mut self, watch: &mut Watch, settle: Duration) {
        let mut is_due = false;
        while !is_due {
            is_due = match self.settling.values().min().copied() {
                Some(due) => match tokio::time::timeout_at(due.into(), watch.next()).await {
                    Ok(change) => self.note(change, settle),
                    Err(_) => true,
                },
                None => self.note(watch.next().await, settle),
            };
        }
        if let Some(last) = self.last_reload {
            tokio::time::sleep_until((last + SPACING).into()).await;
        }
        while let Some(change) = watch.try_next() {
            self.note(change, settle);
        }
    }

    /// Notes a change. Returns true if it is worth a reload now.
    fn note(&mut self, change: Change, settle: Duration) -> bool {
        match change {
            Change::Written(path) => {
                self.settling.insert(path, Instant::now() + settle);
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

    /// Begins a reload. Returns true if it is the first, in which everything that is there counts as complete.
    pub(super) fn begin(&mut self) -> bool {
        let now = Instant::now();
        self.settling.retain(|_, due| *due > now);
        self.last_reload.replace(now).is_none()
    }

    /// Ends a reload that has looked at every file.
    pub(super) fn end(&mut self) {
        self.moved.clear();
    }

    /// Returns true if this very file was written a moment ago.
    pub(super) fn is_written(&self, path: &Path) -> bool {
        self.settling.contains_key(path)
    }

    /// Returns true if a handler's file or its sidecar was written a moment ago. Where no notification said so, the
    /// time of its last change does.
    pub(super) fn is_settling(&mut self, found: &Found, settle: Duration) -> bool {
        self.is_written(&found.sidecar_path()) || self.is_changing(&found.path, found.stamp, settle)
    }

    /// Returns true if a file that looks like this was written a moment ago.
    pub(super) fn is_changing(&mut self, path: &Path, stamp: Stamp, settle: Duration) -> bool {
        if self.is_written(path) {
            return true;
        }
        let quiet = stamp.quiet_for();
        if quiet >= settle || self.moved.contains(path) {
            return false;
        }
        let due = Instant::now() + (settle - quiet);
        self.settling.insert(path.to_owned(), due);
        true
    }
}
