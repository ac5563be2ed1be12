//! Folders of sources as a stream of saves. Their content decides: a file that is written again as it was has not
//! changed.
//!
//! What belongs to them is what a person would commit: neither what `.gitignore` lists, nor hidden files, nor what
//! build tools leave (`target`, `node_modules`, whatever is tagged as a cache), nor an editor's temporary files.
//! Folders that do not belong are not watched either. A notification only says that it is time to look; to look is
//! cheap.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ignore::{DirEntry, WalkBuilder};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

use super::identity;

/// The time in which nothing may be written before the files are read, because editors write in several steps.
const QUIET: Duration = Duration::from_millis(15);
/// The longest time to wait for that.
const PATIENCE: Duration = Duration::from_millis(150);
/// Names of folders that tools fill.
const TOOLS: [&str; 2] = ["target", "node_modules"];
/// Bytes of a file whose content is looked at; of a larger one its size and time.
const MAX_CONTENT: u64 = 16 << 20;
/// Looks that find nothing may take this share of the time at most: 1 in 50.
const SHARE: u32 = 50;

/// The folders and files that are followed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roots {
    /// Folders with all that belongs to them.
    pub folders: BTreeSet<PathBuf>,
    /// Single files that lie elsewhere.
    pub files: BTreeSet<PathBuf>,
    /// Folders that do not belong, wherever they lie.
    pub without: BTreeSet<PathBuf>,
}

/// The files of some folders, as they were seen last.
pub struct Trees {
    /// Absent while a thread looks, and after it panicked.
    state: Option<State>,
    /// Changes that were found when other folders were added, and are not reported yet.
    untold: BTreeSet<PathBuf>,
    news: Arc<Notify>,
    rescan: Duration,
    next_rescan: Instant,
}

struct State {
    roots: Roots,
    /// None where the system has no notifications.
    watcher: Option<RecommendedWatcher>,
    /// The folders that are watched, with device and inode.
    watched: HashMap<PathBuf, (u64, u64)>,
    seen: BTreeMap<PathBuf, Seen>,
    /// Files as they may be found without having changed.
    accepted: BTreeMap<PathBuf, Seen>,
}

/// A file as it was seen last.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Seen {
    stamp: [u64; 6],
    content: u64,
}

impl Trees {
    /// Looks at what is there now and follows it. All is looked at again every `rescan` at most, for changes that the
    /// system did not report.
    pub async fn new(roots: Roots, rescan: Duration) -> Self {
        let news = Arc::new(Notify::new());
        let watcher = watcher(Arc::clone(&news));
        if let Err(error) = &watcher {
            tracing::debug!("no notifications of saves: {error}; looking from time to time");
        }
        let state = State {
            roots,
            watcher: watcher.ok(),
            watched: HashMap::new(),
            seen: BTreeMap::new(),
            accepted: BTreeMap::new(),
        };
        let mut trees = Self {
            state: Some(state),
            untold: BTreeSet::new(),
            news,
            rescan,
            next_rescan: Instant::now() + rescan,
        };
        trees.look().await;
        trees
    }

    /// Follows other folders. Files that are new by that have not changed; what has changed in those that were followed
    /// is not lost.
    pub async fn follow(&mut self, roots: Roots) {
        if self.state.as_ref().is_none_or(|state| state.roots == roots) {
            return;
        }
        let changed = self.look().await;
        self.untold.extend(changed);
        if let Some(state) = &mut self.state {
            state.roots = roots;
        }
        self.look().await;
    }

    /// Waits until files differ in content from what they were, came or went: which.
    pub async fn changed(&mut self) -> BTreeSet<PathBuf> {
        if !self.untold.is_empty() {
            return std::mem::take(&mut self.untold);
        }
        loop {
            self.wait().await;
            let changed = self.look().await;
            if !changed.is_empty() {
                return changed;
            }
        }
    }

    /// Returns the changes that are not reported yet.
    pub async fn now(&mut self) -> BTreeSet<PathBuf> {
        self.quiet().await;
        let mut changed = self.look().await;
        changed.append(&mut self.untold);
        changed
    }

    /// Takes these files as they are now: whoever builds wrote them.
    pub fn accept<'a>(&mut self, files: impl IntoIterator<Item = &'a PathBuf>) {
        let Some(state) = &mut self.state else { return };
        for file in files {
            if let Some(now) = see(file, None) {
                state.accepted.insert(file.clone(), now);
            }
        }
    }

    /// Waits until it is time to look.
    async fn wait(&mut self) {
        let news = tokio::time::timeout_at(self.next_rescan.into(), self.news.notified());
        if news.await.is_ok() {
            self.quiet().await;
        }
    }

    /// Waits until nothing is written any more.
    async fn quiet(&self) {
        let latest = Instant::now() + PATIENCE;
        while Instant::now() < latest
            && tokio::time::timeout(QUIET, self.news.notified())
                .await
                .is_ok()
        {}
    }

    /// Looks at everything: which files have changed since the last look.
    async fn look(&mut self) -> BTreeSet<PathBuf> {
        let Some(mut state) = self.state.take() else {
            return BTreeSet::new();
        };
        let began = Instant::now();
        let looked = tokio::task::spawn_blocking(move || {
            let changed = state.look();
            (state, changed)
        });
        let (state, changed) = match looked.await {
            Ok(looked) => looked,
            Err(error) => match error.try_into_panic() {
                // Whoever waits for saves would wait for ever.
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime shuts down.
                Err(_) => std::future::pending().await,
            },
        };
        self.state = Some(state);
        self.next_rescan = Instant::now() + self.rescan.max(began.elapsed() * SHARE);
        changed
    }
}

/// Tells `news` of every notification that may be a change.
fn watcher(news: Arc<Notify>) -> notify::Result<RecommendedWatcher> {
    notify::recommended_watcher(move |event: notify::Result<Event>| {
        if !matches!(&event, Ok(event) if matches!(event.kind, EventKind::Access(_))) {
            news.notify_one();
        }
    })
}

impl State {
    fn look(&mut self) -> BTreeSet<PathBuf> {
        let mut now = BTreeMap::new();
        // What was written into a new folder before it was watched is found by the next round.
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
        changed
    }

    /// The folders to watch, and the files as they are.
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
                    Some(kind) if kind.is_dir() => drop(folders.insert(entry.into_path())),
                    _ => take(entry.into_path()),
                }
            }
        }
        for file in &self.roots.files {
            folders.extend(file.parent().map(Path::to_owned));
            take(file.clone());
        }
        (folders, files)
    }

    /// Watches exactly these folders. Whether one is newly watched.
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

/// The files of one folder that belong to it, without what is below `without`.
pub fn files(root: &Path, without: &BTreeSet<PathBuf>) -> impl Iterator<Item = PathBuf> + use<> {
    walk(root, without)
        .filter(|entry| entry.file_type().is_some_and(|kind| kind.is_file()))
        .map(DirEntry::into_path)
}

fn walk(root: &Path, without: &BTreeSet<PathBuf>) -> impl Iterator<Item = DirEntry> + use<> {
    let without = without.clone();
    WalkBuilder::new(root)
        .require_git(false)
        .filter_entry(move |entry| entry.depth() == 0 || belongs(entry, &without))
        .build()
        .filter_map(Result::ok)
}

fn belongs(entry: &DirEntry, without: &BTreeSet<PathBuf>) -> bool {
    let name = entry.file_name().to_string_lossy();
    if entry.file_type().is_some_and(|kind| kind.is_dir()) {
        return !TOOLS.contains(&&*name)
            && !without.contains(entry.path())
            && !entry.path().join("CACHEDIR.TAG").exists();
    }
    !is_temporary(&name)
}

/// Returns true if editors make files of this name while they save: backups, locks of Emacs, Vim's test for writing,
/// copies of JetBrains.
fn is_temporary(name: &str) -> bool {
    name.ends_with('~')
        || name.starts_with('#')
        || name.ends_with(".tmp")
        || name.ends_with(".swp")
        || name.ends_with("___jb_tmp___")
        || name.ends_with("___jb_old___")
        || name == "4913"
}

/// A file as it is; none when it is not there. Its content is read only when it does not look as `before`.
fn see(path: &Path, before: Option<&Seen>) -> Option<Seen> {
    let metadata = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    let stamp = [
        metadata.ino(),
        metadata.size(),
        metadata.mtime().cast_unsigned(),
        metadata.mtime_nsec().cast_unsigned(),
        metadata.ctime().cast_unsigned(),
        metadata.ctime_nsec().cast_unsigned(),
    ];
    if let Some(before) = before.filter(|before| before.stamp == stamp) {
        return Some(*before);
    }
    let mut hasher = DefaultHasher::new();
    if metadata.size() <= MAX_CONTENT {
        hasher.write(&fs::read(path).ok()?);
    } else {
        hasher.write_u64(metadata.size());
        hasher.write_i64(metadata.mtime());
        hasher.write_i64(metadata.mtime_nsec());
    }
    let content = hasher.finish();
    Some(Seen { stamp, content })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    fn write(root: &Path, name: &str, text: &str) {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    async fn trees(root: &Path) -> Trees {
        let roots = Roots {
            folders: [root.to_owned()].into(),
            without: [root.join("handlers")].into(),
            ..Roots::default()
        };
        Trees::new(roots, Duration::from_secs(3600)).await
    }

    async fn next(trees: &mut Trees, root: &Path) -> Vec<String> {
        let changed = tokio::time::timeout(SOON, trees.changed()).await;
        let names = changed.expect("a change is seen");
        let name = |path: PathBuf| path.strip_prefix(root).unwrap().display().to_string();
        names.into_iter().map(name).collect()
    }

    #[tokio::test]
    async fn only_content_is_a_change_and_only_in_what_belongs() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        write(&root, "src/a.rs", "a");
        write(&root, ".gitignore", "dist/\n");
        let mut trees = trees(&root).await;
        for name in [
            "src/a.rs",
            "target/x",
            "node_modules/m/x.js",
            "handlers/a.wasm",
            "dist/x.js",
            "src/.a.rs.swp",
            "src/a.rs~",
            "src/4913",
        ] {
            write(&root, name, "a");
        }
        write(&root, "src/b.rs", "b");
        assert_eq!(next(&mut trees, &root).await, ["src/b.rs"]);
        let watched: Vec<_> = trees.state.as_ref().unwrap().watched.keys().collect();
        assert_eq!(watched.len(), 2, "the root and src: {watched:?}");
    }

    #[tokio::test]
    async fn new_folders_renames_and_removals_are_seen() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        write(&root, "a.rs", "a");
        let mut trees = trees(&root).await;
        write(&root, "deep/er/b.rs", "b");
        assert_eq!(next(&mut trees, &root).await, ["deep/er/b.rs"]);
        write(&root, "deep/er/b.rs", "c");
        assert_eq!(next(&mut trees, &root).await, ["deep/er/b.rs"]);
        write(&root, ".new", "d");
        fs::rename(root.join(".new"), root.join("a.rs")).unwrap();
        assert_eq!(next(&mut trees, &root).await, ["a.rs"]);
        fs::remove_dir_all(root.join("deep")).unwrap();
        assert_eq!(next(&mut trees, &root).await, ["deep/er/b.rs"]);
    }

    #[tokio::test]
    async fn a_save_while_other_folders_come_to_be_followed_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        write(&root, "mine/a.rs", "a");
        write(&root, "other/b.rs", "b");
        let mut trees = trees(&root.join("mine")).await;
        write(&root, "mine/a.rs", "saved");
        let both = [root.join("mine"), root.join("other")];
        let roots = Roots {
            folders: both.into(),
            ..Roots::default()
        };
        trees.follow(roots).await;
        assert_eq!(next(&mut trees, &root).await, ["mine/a.rs"]);
        write(&root, "other/b.rs", "saved");
        assert_eq!(next(&mut trees, &root).await, ["other/b.rs"]);
    }

    #[tokio::test]
    async fn what_a_build_wrote_is_taken_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        write(&root, "Cargo.lock", "1");
        let mut trees = trees(&root).await;
        write(&root, "Cargo.lock", "2");
        trees.accept([&root.join("Cargo.lock")]);
        write(&root, "a.rs", "a");
        assert_eq!(next(&mut trees, &root).await, ["a.rs"]);
    }
}
