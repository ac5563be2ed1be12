//! Folders of sources as a stream of saves. The content decides: a file that is written again with the same content has
//! not changed.
//!
//! `walk` says what belongs to the sources of a folder; other folders are not watched. A notification only starts a
//! scan of the files, which is cheap.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use notify::{Event, EventKind, RecommendedWatcher};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::lookups::Names;
use super::scan::{Roots, Scan, changed_after};

/// The time in which nothing may be written before the files are read, because editors write in several steps.
const QUIET: Duration = Duration::from_millis(15);
/// The longest time to wait until nothing is written.
const PATIENCE: Duration = Duration::from_millis(150);
/// The shortest time between two rescans, in multiples of the time that a scan takes.
const SHARE: u32 = 50;

/// The files of some folders, as they were seen last.
pub struct Trees {
    /// The state, which is absent while a thread scans.
    state: Option<Scan>,
    /// The scan of a call that was dropped before the scan ended. The next call waits for it.
    scan: Option<JoinHandle<(Scan, BTreeSet<PathBuf>)>>,
    /// Changes that were found when other folders were added, and are not reported yet.
    untold: BTreeSet<PathBuf>,
    /// A notification came and no scan has begun after it.
    notified: bool,
    signal: Arc<Notify>,
    rescan: Duration,
    next_rescan: Instant,
}

impl Trees {
    /// Scans the files as they are now and follows them. A scan without a notification follows after `rescan`, or later
    /// if scans are slow, for changes that the system did not report.
    pub async fn new(roots: Roots, rescan: Duration) -> Self {
        let (signal, sparse) = (Arc::new(Notify::new()), Arc::default());
        let watcher = watcher(Arc::clone(&signal), Arc::clone(&sparse));
        if let Err(error) = &watcher {
            tracing::debug!("no notifications of saves: {error}; looking from time to time");
        }
        let state = Scan::new(roots, watcher.ok(), sparse);
        let mut trees = Self {
            state: Some(state),
            scan: None,
            untold: BTreeSet::new(),
            notified: false,
            signal,
            rescan,
            next_rescan: Instant::now() + rescan,
        };
        trees.look().await;
        trees
    }

    /// Follows other folders. Files of folders that are added do not count as changed, unless they changed after
    /// `since`. Changes in folders that were followed before are kept for the next report.
    pub async fn follow(&mut self, roots: Roots, since: Option<SystemTime>) {
        self.finish_scan().await;
        if self
            .state
            .as_ref()
            .is_none_or(|state| *state.roots() == roots)
        {
            return;
        }
        let changed = self.look().await;
        self.untold.extend(changed);
        if let Some(state) = &mut self.state {
            state.set_roots(roots);
        }
        let mut added = self.look().await;
        added.retain(|path| since.is_some_and(|since| changed_after(path, since)));
        self.untold.extend(added);
    }

    /// Waits until files are changed in content, added or removed, and returns them. The future can be dropped at any
    /// time without losing a change.
    pub async fn changed(&mut self) -> BTreeSet<PathBuf> {
        loop {
            self.finish_scan().await;
            if !self.untold.is_empty() {
                return std::mem::take(&mut self.untold);
            }
            self.wait().await;
            let changed = self.look().await;
            if !changed.is_empty() {
                return changed;
            }
        }
    }

    /// Returns the changes that are not reported yet.
    pub async fn now(&mut self) -> BTreeSet<PathBuf> {
        self.notified = true;
        self.quiet().await;
        self.finish_scan().await;
        let mut changed = self.look().await;
        changed.append(&mut self.untold);
        changed
    }

    /// Accepts these files with their present content, because a build wrote them.
    pub async fn accept<'a>(&mut self, files: impl IntoIterator<Item = &'a PathBuf>) {
        self.finish_scan().await;
        let Some(state) = &mut self.state else { return };
        for file in files {
            state.accept(file);
        }
    }

    /// Waits for a notification and the quiet after it, or for the next rescan.
    async fn wait(&mut self) {
        if !self.notified {
            let signalled =
                tokio::time::timeout_at(self.next_rescan.into(), self.signal.notified());
            self.notified = signalled.await.is_ok();
        }
        if self.notified {
            self.quiet().await;
        }
    }

    /// Waits until nothing has been written for 15 ms, for at most 150 ms.
    async fn quiet(&self) {
        let latest = Instant::now() + PATIENCE;
        while Instant::now() < latest
            && tokio::time::timeout(QUIET, self.signal.notified())
                .await
                .is_ok()
        {}
    }

    /// Scans everything and returns the files that have changed since the last scan.
    async fn look(&mut self) -> BTreeSet<PathBuf> {
        if let Some(mut state) = self.state.take() {
            self.notified = false;
            self.scan = Some(tokio::task::spawn_blocking(move || {
                let changed = state.look();
                (state, changed)
            }));
        }
        self.end_scan().await
    }

    /// Waits for the scan of a call that was dropped, and keeps what it found.
    async fn finish_scan(&mut self) {
        let changed = self.end_scan().await;
        self.untold.extend(changed);
    }

    /// Waits for the scan that runs, if there is one, and returns what it found.
    async fn end_scan(&mut self) -> BTreeSet<PathBuf> {
        let Some(scan) = &mut self.scan else {
            return BTreeSet::new();
        };
        let (state, changed) = match scan.await {
            Ok(looked) => looked,
            Err(error) => match error.try_into_panic() {
                // A caller that waits for saves would otherwise wait for ever.
                Ok(panic) => std::panic::resume_unwind(panic),
                // The task was cancelled because the runtime shuts down.
                Err(_) => std::future::pending().await,
            },
        };
        self.scan = None;
        self.next_rescan = Instant::now() + self.rescan.max(state.took() * SHARE);
        self.state = Some(state);
        changed
    }
}

/// Makes a watcher that signals `signal` on every notification that may be a change. In folders of `sparse` only the
/// names there matter.
fn watcher(signal: Arc<Notify>, sparse: Arc<RwLock<Names>>) -> notify::Result<RecommendedWatcher> {
    notify::recommended_watcher(move |event: notify::Result<Event>| {
        let matters = match &event {
            Ok(event) if matches!(event.kind, EventKind::Access(_)) => false,
            Ok(event) if event.need_rescan() || event.paths.is_empty() => true,
            Ok(event) => {
                let sparse = sparse.read().unwrap_or_else(PoisonError::into_inner);
                event.paths.iter().any(|path| matters(path, &sparse))
            }
            Err(_) => true,
        };
        if matters {
            signal.notify_one();
        }
    })
}

/// Returns true unless the path lies in a sparse folder and its name does not matter there.
fn matters(path: &Path, sparse: &Names) -> bool {
    let Some((folder, name)) = path.parent().zip(path.file_name()) else {
        return true;
    };
    sparse.contains_key(path) || sparse.get(folder).is_none_or(|names| names.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

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
        let watched: Vec<_> = trees.state.as_ref().unwrap().watched().collect();
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
        trees.follow(roots, None).await;
        assert_eq!(next(&mut trees, &root).await, ["mine/a.rs"]);
        write(&root, "other/b.rs", "saved");
        assert_eq!(next(&mut trees, &root).await, ["other/b.rs"]);
    }

    #[tokio::test]
    async fn i11_3_what_links_lead_to_is_followed_and_so_are_the_links() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        write(&root, "linked/mod.rs", "a");
        write(&root, "next/mod.rs", "b");
        write(&root, "data/v1/text.txt", "1");
        write(&root, "data/v2/text.txt", "2");
        write(&root, "project/a.rs", "a");
        let link = |target: &str, name: &str| {
            let (link, new) = (root.join(name), root.join("new"));
            std::os::unix::fs::symlink(target, &new).unwrap();
            fs::rename(new, link).unwrap();
        };
        link("../linked", "project/src");
        link("v1", "data/current");
        let text = root.join("project/../data/current/text.txt");
        let missing = root.join("later/deep/x.txt");
        let roots = Roots {
            folders: [root.join("project")].into(),
            files: [text.clone(), missing].into(),
            ..Roots::default()
        };
        let mut trees = Trees::new(roots, Duration::from_secs(3600)).await;
        write(&root, "linked/mod.rs", "saved");
        assert_eq!(next(&mut trees, &root).await, ["project/src/mod.rs"]);
        write(&root, "linked/new.rs", "new");
        assert_eq!(next(&mut trees, &root).await, ["project/src/new.rs"]);
        link("v2", "data/current");
        assert_eq!(
            next(&mut trees, &root).await,
            ["project/../data/current/text.txt"]
        );
        write(&root, "later/deep/x.txt", "appears");
        assert_eq!(next(&mut trees, &root).await, ["later/deep/x.txt"]);
        fs::remove_file(root.join("linked/new.rs")).unwrap();
        link("../next", "project/src");
        let changed = next(&mut trees, &root).await;
        assert_eq!(changed, ["project/src/mod.rs", "project/src/new.rs"]);
    }

    #[tokio::test]
    async fn i11_5_a_wait_that_is_dropped_loses_no_save() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        write(&root, "a.rs", "0");
        let mut trees = trees(&root).await;
        for round in 0..50_u64 {
            write(&root, "a.rs", &format!("{round}!"));
            let short = Duration::from_micros(round * 1000);
            let early = tokio::time::timeout(short, trees.changed()).await;
            if early.is_err() {
                assert_eq!(next(&mut trees, &root).await, ["a.rs"], "{round}");
            }
        }
    }

    #[tokio::test]
    async fn what_a_build_wrote_is_taken_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        write(&root, "Cargo.lock", "1");
        let mut trees = trees(&root).await;
        write(&root, "Cargo.lock", "2");
        trees.accept([&root.join("Cargo.lock")]).await;
        write(&root, "a.rs", "a");
        assert_eq!(next(&mut trees, &root).await, ["a.rs"]);
    }
}
