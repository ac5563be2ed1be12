//! The files of some folders as they are at one moment, compared with what they were before.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};

use super::identity::identity;
use super::lookups::{Lookups, Names};
use super::walk::walk;
use crate::stamp::Stamp;

/// The largest file, in bytes, whose content is compared. Larger files are compared by size and time.
const MAX_CONTENT: u64 = 16 << 20;

/// The folders and files that are followed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roots {
    /// Folders whose sources are followed.
    pub folders: BTreeSet<PathBuf>,
    /// Single files that lie elsewhere or are hidden. They do not need to exist.
    pub files: BTreeSet<PathBuf>,
    /// Folders that are left out, wherever they are.
    pub without: BTreeSet<PathBuf>,
}

/// The files of some folders, as they were seen last.
pub(super) struct Scan {
    roots: Roots,
    /// The watcher, or none if the system has no notifications.
    watcher: Option<RecommendedWatcher>,
    /// The folders that are watched, with device and inode.
    watched: HashMap<PathBuf, (u64, u64)>,
    /// The names that matter in folders of which not all sources are followed.
    sparse: Arc<RwLock<Names>>,
    seen: BTreeMap<PathBuf, Seen>,
    /// Files with a content that does not count as a change when the next scan finds it.
    accepted: BTreeMap<PathBuf, Seen>,
    /// The time that the last scan took.
    took: Duration,
}

/// A file as it was seen last.
#[derive(Clone, Copy)]
struct Seen {
    stamp: Stamp,
    /// True if the stamp was young when the content was read: another save may have left it as it is.
    was_young: bool,
    /// The hash of the content.
    content: u64,
}

impl Scan {
    /// Returns a scan that has seen nothing yet. The folders that it finds are watched by `watcher`.
    pub(super) fn new(
        roots: Roots,
        watcher: Option<RecommendedWatcher>,
        sparse: Arc<RwLock<Names>>,
    ) -> Self {
        Self {
            roots,
            watcher,
            watched: HashMap::new(),
            sparse,
            seen: BTreeMap::new(),
            accepted: BTreeMap::new(),
            took: Duration::ZERO,
        }
    }

    /// Returns the folders and files that are followed.
    pub(super) fn roots(&self) -> &Roots {
        &self.roots
    }

    /// Follows other folders and files from the next look on.
    pub(super) fn set_roots(&mut self, roots: Roots) {
        self.roots = roots;
    }

    /// Returns the time that the last look took.
    pub(super) fn took(&self) -> Duration {
        self.took
    }

    /// Returns the folders that are watched.
    #[cfg(test)]
    pub(super) fn watched(&self) -> impl Iterator<Item = &PathBuf> {
        self.watched.keys()
    }

    /// Accepts a file with its present content, which does not count as a change at the next look.
    pub(super) fn accept(&mut self, file: &Path) {
        if let Some(now) = see(file, None) {
            self.accepted.insert(file.to_owned(), now);
        }
    }

    /// Looks at all files and returns those that have changed since the last look.
    pub(super) fn look(&mut self) -> BTreeSet<PathBuf> {
        let began = Instant::now();
        let mut now = BTreeMap::new();
        // A file that was written into a new folder before the folder was watched is found by the next round.
        for _round in 0..4 {
            let (folders, files) = self.list();
            now = files;
            if !self.watch(folders) {
                break;
            }
        }
        let differs = |(path, seen): (&PathBuf, &Seen)| {
            let is_it = |was: &Seen| was.content == seen.content;
            let is_known = self.seen.get(path).is_some_and(is_it)
                || self.accepted.get(path).is_some_and(is_it);
            (!is_known).then(|| path.clone())
        };
        let mut changed: BTreeSet<PathBuf> = now.iter().filter_map(differs).collect();
        changed.extend(
            self.seen
                .keys()
                .filter(|path| !now.contains_key(*path))
                .cloned(),
        );
        self.seen = now;
        self.accepted.clear();
        self.took = began.elapsed();
        changed
    }

    /// Returns the folders to watch, and the files as they are.
    fn list(&self) -> (BTreeSet<PathBuf>, BTreeMap<PathBuf, Seen>) {
        let (mut folders, mut files) = (BTreeSet::new(), BTreeMap::new());
        let mut take = |path: PathBuf| {
            if let Some(seen) = see(&path, self.seen.get(&path)) {
                files.insert(path, seen);
            }
        };
        for root in &self.roots.folders {
            for entry in walk(root, &self.roots.without) {
                match entry.file_type() {
                    // One folder is watched under one path, because the system has one watch for it.
                    Some(kind) if kind.is_dir() => folders.extend(entry.path().canonicalize()),
                    _ => take(entry.into_path()),
                }
            }
        }
        let mut lookups = Lookups::default();
        for file in &self.roots.files {
            lookups.add(file);
            take(file.clone());
        }
        let mut sparse = lookups.into_names();
        sparse.retain(|folder, _| !folders.contains(folder));
        folders.extend(sparse.keys().cloned());
        *self.sparse.write().unwrap_or_else(PoisonError::into_inner) = sparse;
        (folders, files)
    }

    /// Watches exactly these folders. Returns true if a folder was not watched before.
    fn watch(&mut self, folders: BTreeSet<PathBuf>) -> bool {
        let Some(watcher) = &mut self.watcher else {
            return false;
        };
        let is_as_it_was = |path: &PathBuf, was: &(u64, u64)| {
            folders.contains(path) && identity(path).as_ref() == Some(was)
        };
        self.watched.retain(|path, was| {
            let stays = is_as_it_was(path, was);
            if !stays {
                // The system may have dropped it already.
                let _ = watcher.unwatch(path);
            }
            stays
        });
        let mut more = false;
        for folder in folders {
            if self.watched.contains_key(&folder) {
                continue;
            }
            let Some(is) = identity(&folder) else {
                continue;
            };
            match watcher.watch(&folder, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.watched.insert(folder, is);
                    more = true;
                }
                Err(error) => tracing::debug!("{}: not watched: {error}", folder.display()),
            }
        }
        more
    }
}

/// Returns true if a file was changed after `since`. The time that the system notes does not go back when a file is
/// copied with the times of another.
pub fn changed_after(path: &Path, since: SystemTime) -> bool {
    let since = since
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let changed = fs::metadata(path).map(|metadata| (metadata.ctime(), metadata.ctime_nsec()));
    let since = (
        since.as_secs().cast_signed(),
        i64::from(since.subsec_nanos()),
    );
    changed.is_ok_and(|changed| changed > since)
}

/// Returns a file as it is now, or none if it does not exist. The content is read unless the stamp says that it is the
/// one of `before`.
fn see(path: &Path, before: Option<&Seen>) -> Option<Seen> {
    let metadata = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    let stamp = Stamp::of(&metadata);
    if let Some(before) = before.filter(|before| before.stamp == stamp && !before.was_young) {
        return Some(*before);
    }
    // Before the content is read: a save after this makes another stamp, or finds this one young.
    let was_young = stamp.is_young();
    let mut hasher = DefaultHasher::new();
    if metadata.size() <= MAX_CONTENT {
        hasher.write(&fs::read(path).ok()?);
    } else {
        hasher.write_u64(metadata.size());
        hasher.write_i64(metadata.mtime());
        hasher.write_i64(metadata.mtime_nsec());
    }
    let content = hasher.finish();
    Some(Seen {
        stamp,
        was_young,
        content,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i11_5_two_saves_within_one_tick_of_the_file_systems_clock_are_two() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.rs");
        fs::write(&file, "new").unwrap();
        let stamp = Stamp::of(&fs::metadata(&file).unwrap());
        // What a look between the two saves has seen: the same stamp with the content of the first.
        let between = Seen {
            stamp,
            was_young: true,
            content: 0,
        };
        let now = see(&file, Some(&between)).unwrap();
        assert_ne!(now.content, between.content, "the content is read again");
        let settled = Seen {
            was_young: false,
            ..between
        };
        let known = see(&file, Some(&settled)).unwrap();
        assert_eq!(known.content, settled.content, "the stamp says enough");
    }
}
