//! A folder as a stream of changes; `trees` turns folders of sources into a stream of saves. Nothing here depends on
//! handlers.
//!
//! The system's notifications are prompt but not certain: queues overflow, folders are replaced, and some file systems
//! have none. The complete folder is therefore also read from time to time, and watched again if it was replaced.

mod identity;
mod lookups;
mod scan;
mod trees;
mod walk;

pub use self::scan::{Roots, changed_after};
pub use self::trees::Trees;
pub use self::walk::{Hidden, files, hidden};

use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::event::{ModifyKind, RenameMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior, interval};

use self::identity::identity;

/// The most changes that wait. Further changes are dropped, and the next rescan covers them.
const QUEUE: usize = 1024;

/// A change that may have happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A file is being written, or was created: more may follow.
    Written(PathBuf),
    /// A file appeared or disappeared in one step, by a rename or by its removal.
    Moved(PathBuf),
    /// Anything may have changed.
    Everything,
}

/// A watch on a folder with everything below it, and on one file elsewhere.
pub struct Watch {
    folder: PathBuf,
    file: PathBuf,
    sender: mpsc::Sender<Change>,
    changes: mpsc::Receiver<Change>,
    rescan: Interval,
    watcher: Option<RecommendedWatcher>,
    /// Device and inode of the folder that is watched.
    watched: Option<(u64, u64)>,
}

impl Watch {
    /// Watches `folder` and `file`, neither of which needs to exist; [`Change::Everything`] comes every `rescan`.
    pub fn new(folder: PathBuf, file: PathBuf, rescan: Duration) -> Self {
        let (sender, changes) = mpsc::channel(QUEUE);
        let mut rescan = interval(rescan);
        rescan.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut watch = Self {
            folder,
            file,
            sender,
            changes,
            rescan,
            watcher: None,
            watched: None,
        };
        watch.arm();
        watch
    }

    /// Waits for the next change. The future can be dropped at any time without losing a change.
    pub async fn next(&mut self) -> Change {
        tokio::select! {
            Some(change) = self.changes.recv() => change,
            _ = self.rescan.tick() => {
                self.arm();
                Change::Everything
            }
        }
    }

    /// Returns a change that has arrived already.
    pub fn try_next(&mut self) -> Option<Change> {
        self.changes.try_recv().ok()
    }

    /// Watches the folder, unless it is watched already and was not replaced.
    fn arm(&mut self) {
        let there = identity(&self.folder);
        if there == self.watched && self.watcher.is_some() {
            return;
        }
        self.watched = there;
        self.watcher = match self.start() {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                tracing::debug!(
                    "no notifications of changes in {}: {error}; looking at it from time to time",
                    self.folder.display()
                );
                None
            }
        };
    }

    fn start(&self) -> notify::Result<RecommendedWatcher> {
        let (folder, file, sender) = (self.folder.clone(), self.file.clone(), self.sender.clone());
        let mut watcher = notify::recommended_watcher(move |event| {
            for change in changes(event, &folder, &file) {
                // With a full queue the receiver is behind. The next rescan covers the changes that are dropped here.
                let _ = sender.try_send(change);
            }
        })?;
        watcher.watch(&self.folder, RecursiveMode::Recursive)?;
        if let Some(parent) = self.file.parent().filter(|parent| parent.is_dir()) {
            watcher.watch(parent, RecursiveMode::NonRecursive)?;
        }
        Ok(watcher)
    }
}

/// Returns the changes that a notification means. Reading is not a change.
fn changes(event: notify::Result<Event>, folder: &Path, file: &Path) -> Vec<Change> {
    let Ok(event) = event else {
        return vec![Change::Everything];
    };
    if event.need_rescan() {
        return vec![Change::Everything];
    }
    let change: fn(PathBuf) -> Change = match event.kind {
        EventKind::Access(_) => return Vec::new(),
        EventKind::Modify(ModifyKind::Name(
            RenameMode::From | RenameMode::To | RenameMode::Both,
        ))
        | EventKind::Remove(_) => Change::Moved,
        _ => Change::Written,
    };
    let concerned = event
        .paths
        .into_iter()
        .filter(|path| path.starts_with(folder) || path == file);
    concerned.map(change).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    async fn wait_for(watch: &mut Watch, wanted: Change) {
        let seen = async { while watch.next().await != wanted {} };
        tokio::time::timeout(Duration::from_secs(10), seen)
            .await
            .expect("the change is seen");
    }

    #[tokio::test]
    async fn a_rename_is_told_from_a_write() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let mut watch = Watch::new(
            root.clone(),
            root.join("none.toml"),
            Duration::from_secs(60),
        );
        fs::write(root.join("a.part"), "x").unwrap();
        wait_for(&mut watch, Change::Written(root.join("a.part"))).await;
        fs::rename(root.join("a.part"), root.join("a.wasm")).unwrap();
        wait_for(&mut watch, Change::Moved(root.join("a.wasm"))).await;
    }

    #[tokio::test]
    async fn l08_a_folder_that_comes_back_is_watched_again() {
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().canonicalize().unwrap().join("handlers");
        let mut watch = Watch::new(
            root.clone(),
            root.join("none.toml"),
            Duration::from_millis(20),
        );
        fs::create_dir(&root).unwrap();
        wait_for(&mut watch, Change::Everything).await;
        let armed = async {
            while watch.watched.is_none() {
                watch.next().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), armed)
            .await
            .expect("it is watched");
        fs::write(root.join("a.wasm"), "x").unwrap();
        wait_for(&mut watch, Change::Written(root.join("a.wasm"))).await;
    }
}
