//! A folder as a stream of changes; `trees` turns folders of sources into a stream of saves. Nothing here depends on
//! handlers.
//!
//! The system's notifications are prompt but not certain: queues overflow, folders are replaced, and some file systems
//! have none. The complete folder is therefore also read from time to time, and watched again if it was replaced.

mod identity;
mod links;
mod lookups;
mod scan;
mod trees;
mod walk;

pub use self::scan::{Roots, changed_after};
pub use self::trees::Trees;
pub use self::walk::{Hidden, files, hidden};

use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, ModifyKind, RenameMode};
use notify::{Config, Event, EventHandler, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior, interval};

use self::identity::identity;
use self::links::{Resolved, resolve};

/// The most changes that wait. Further changes are dropped, and the next rescan covers them.
const QUEUE: usize = 1024;

/// A change that may have happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A file is being written, or was created: more may follow.
    Written(PathBuf),
    /// Whoever wrote a file has closed it. Only Linux reports this.
    Closed(PathBuf),
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
    /// What is watched.
    watched: Watched,
}

/// What the paths of a watch lead to. If this changes, other folders have to be watched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Watched {
    /// Device and inode of the folder.
    identity: Option<(u64, u64)>,
    folder: Resolved,
    file: Resolved,
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
            watched: Watched::default(),
        };
        watch.arm();
        watch
    }

    /// Waits for the next change. The future can be dropped at any time without losing a change.
    pub async fn next(&mut self) -> Change {
        tokio::select! {
            Some(change) = self.changes.recv() => self.seen(change),
            _ = self.rescan.tick() => {
                self.arm();
                Change::Everything
            }
        }
    }

    /// Returns a change that has arrived already.
    pub fn try_next(&mut self) -> Option<Change> {
        let change = self.changes.try_recv().ok()?;
        Some(self.seen(change))
    }

    /// Watches other folders if the paths of the watch may lead elsewhere now.
    fn seen(&mut self, change: Change) -> Change {
        if change == Change::Everything {
            self.arm();
        }
        change
    }

    /// Watches the folder and the file, unless they are watched already and lead to the same as before.
    fn arm(&mut self) {
        let there = Watched {
            identity: identity(&self.folder),
            folder: resolve(&self.folder),
            file: resolve(&self.file),
        };
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
        let places = WatchedPaths {
            folder: self.folder.clone(),
            file: self.file.clone(),
            watched: self.watched.clone(),
        };
        let sender = self.sender.clone();
        let mut watcher = unlinked_watcher(move |event| {
            for change in places.changes(event) {
                // With a full queue the receiver is behind. The next rescan covers the changes that are dropped here.
                let _ = sender.try_send(change);
            }
        })?;
        let Watched { folder, file, .. } = &self.watched;
        watcher.watch(&folder.real, RecursiveMode::Recursive)?;
        for parent in folder.parents().chain(file.parents()) {
            // A folder that is not there yet is watched after the next rescan.
            if parent.is_dir() {
                watcher.watch(parent, RecursiveMode::NonRecursive)?;
            }
        }
        Ok(watcher)
    }
}

/// Makes a watcher that follows no links below the folders that it watches.
///
/// Whatever links in the handlers folder may lead to lies in this folder and is watched there. notify 8 would watch the
/// same folder by two names, and would watch it no longer when one of them is removed.
fn unlinked_watcher(handler: impl EventHandler) -> notify::Result<RecommendedWatcher> {
    let config = Config::default().with_follow_symlinks(false);
    RecommendedWatcher::new(handler, config)
}

/// The places whose changes matter.
struct WatchedPaths {
    folder: PathBuf,
    file: PathBuf,
    watched: Watched,
}

impl WatchedPaths {
    /// Returns the changes that a notification means. Reading is not a change.
    fn changes(&self, event: notify::Result<Event>) -> Vec<Change> {
        let Ok(event) = event else {
            return vec![Change::Everything];
        };
        if event.need_rescan() {
            return vec![Change::Everything];
        }
        let change: fn(PathBuf) -> Change = match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => Change::Closed,
            EventKind::Access(_) => return Vec::new(),
            EventKind::Modify(ModifyKind::Name(
                RenameMode::From | RenameMode::To | RenameMode::Both,
            ))
            | EventKind::Remove(_) => Change::Moved,
            _ => Change::Written,
        };
        let paths = event.paths.iter();
        paths.filter_map(|path| self.change(path, change)).collect()
    }

    /// Returns the change of a path, if it matters. Paths are named as the watch was told to name them, without regard
    /// to links on the way to the folder and to the file.
    fn change(&self, path: &Path, change: fn(PathBuf) -> Change) -> Option<Change> {
        let Watched { folder, file, .. } = &self.watched;
        if folder.is_way(path) || (file.is_way(path) && *path != file.real) {
            return Some(Change::Everything);
        }
        if *path == file.real {
            return Some(change(self.file.clone()));
        }
        let below = path.strip_prefix(&folder.real).ok()?;
        Some(change(self.folder.join(below)))
    }
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
        #[cfg(target_os = "linux")]
        wait_for(&mut watch, Change::Closed(root.join("a.part"))).await;
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
            while watch.watched.identity.is_none() {
                watch.next().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), armed)
            .await
            .expect("it is watched");
        fs::write(root.join("a.wasm"), "x").unwrap();
        wait_for(&mut watch, Change::Written(root.join("a.wasm"))).await;
    }

    #[tokio::test]
    async fn i11_16_links_on_the_way_are_watched() {
        use std::os::unix::fs::symlink;
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().canonicalize().unwrap();
        for release in ["1", "2"] {
            fs::create_dir_all(root.join(format!("releases/{release}/handlers"))).unwrap();
            fs::write(root.join(format!("releases/{release}/h.toml")), "").unwrap();
        }
        symlink("releases/1", root.join("now")).unwrap();
        symlink("now", root.join("current")).unwrap();
        let folder = root.join("current/handlers");
        let file = root.join("current/h.toml");
        let mut watch = Watch::new(folder.clone(), file.clone(), Duration::from_secs(3600));
        // The first tick of the rescan comes at once.
        wait_for(&mut watch, Change::Everything).await;
        fs::write(root.join("releases/1/handlers/a.wasm"), "x").unwrap();
        wait_for(&mut watch, Change::Written(folder.join("a.wasm"))).await;
        fs::write(root.join("releases/1/h.toml"), "x").unwrap();
        wait_for(&mut watch, Change::Written(file.clone())).await;
        for release in ["2", "1", "2"] {
            symlink(format!("releases/{release}"), root.join("next")).unwrap();
            fs::rename(root.join("next"), root.join("now")).unwrap();
            wait_for(&mut watch, Change::Everything).await;
            let name = format!("b{release}.wasm");
            fs::write(
                root.join(format!("releases/{release}/handlers/{name}")),
                "x",
            )
            .unwrap();
            wait_for(&mut watch, Change::Written(folder.join(name))).await;
            fs::write(root.join(format!("releases/{release}/h.toml")), "y").unwrap();
            wait_for(&mut watch, Change::Written(file.clone())).await;
        }
    }
}
