//! Which files have arrived completely: a rename is complete, and what is written in place must rest for a while.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::folder::Found;
use crate::stamp::Stamp;
use crate::watch::{Change, Watch};

/// Time between the beginnings of two reloads: a storm of changes is compiled ten times a second at most.
const SPACING: Duration = Duration::from_millis(100);

/// The part of the time to rest that is left when the writer has closed the file. A shell may open it again at once, to
/// append more.
const REST_AFTER_CLOSE: u32 = 5;

/// The changes of the folder since the last reload.
#[derive(Default)]
pub(super) struct Arrivals {
    /// Files that were written a moment ago, and when they count as complete.
    settling: HashMap<PathBuf, Instant>,
    /// Files that came by a rename since the last reload, so that they are complete.
    moved: HashSet<PathBuf>,
    /// Files that were closed by their writer a moment ago, and until when they would count as incomplete without that.
    closed: HashMap<PathBuf, Instant>,
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
                self.closed.remove(&path);
                self.settling.insert(path, Instant::now() + settle);
                false
            }
            Change::Closed(path) => {
                let now = Instant::now();
                self.closed.insert(path.clone(), now + settle);
                self.settling.insert(path, now + settle / REST_AFTER_CLOSE);
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
        let now = Instant::now();
        self.closed.retain(|_, until| *until > now);
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
        if quiet >= settle || self.moved.contains(path) || self.closed.contains_key(path) {
            return false;
        }
        let due = Instant::now() + (settle - quiet);
        self.settling.insert(path.to_owned(), due);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTLE: Duration = Duration::from_secs(5);

    /// Returns a stamp of a file that was written a moment ago, and its path.
    fn written() -> (tempfile::NamedTempFile, PathBuf, Stamp) {
        let file = tempfile::NamedTempFile::new().expect("a file can be made");
        let path = file.path().to_owned();
        let stamp = Stamp::of(&file.as_file().metadata().expect("it is there"));
        (file, path, stamp)
    }

    #[test]
    fn i14_a_file_that_its_writer_has_closed_rests_for_a_fifth() {
        let (_file, path, stamp) = written();
        let mut arrivals = Arrivals::default();
        let rest = |arrivals: &Arrivals| arrivals.settling[&path].duration_since(Instant::now());

        assert!(!arrivals.note(Change::Written(path.clone()), SETTLE));
        assert!(rest(&arrivals) > SETTLE / 5);
        assert!(!arrivals.note(Change::Closed(path.clone()), SETTLE));
        assert!(rest(&arrivals) <= SETTLE / 5);
        assert!(arrivals.is_changing(&path, stamp, SETTLE));
        // A reload that another file has caused leaves it where it is.
        arrivals.begin();
        arrivals.end();
        assert!(arrivals.is_changing(&path, stamp, SETTLE));

        arrivals.settling.clear();
        assert!(!arrivals.is_changing(&path, stamp, SETTLE), "it is closed");
    }

    #[test]
    fn i14_a_closed_file_that_is_written_again_rests_anew() {
        let (_file, path, stamp) = written();
        let mut arrivals = Arrivals::default();
        arrivals.note(Change::Closed(path.clone()), SETTLE);
        arrivals.note(Change::Written(path.clone()), SETTLE);
        arrivals.settling.clear();
        assert!(arrivals.is_changing(&path, stamp, SETTLE));
    }
}
