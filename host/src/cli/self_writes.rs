//! Distinguishes saves from files that a build itself writes among the sources, such as a generated file or a bundle
//! with the time in it. If such a file counted as a save, each build would start the next one without end. It differs
//! from a save during a build only in that it changes in every build.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The number of consecutive builds of a handler in which a file changes before they count as its writer. Two are too
/// few, because a person may save a file during two slow builds in a row.
const MIN_BUILDS: usize = 3;
/// The number of consecutive builds of a handler that changes of a file may stop. A build that writes the file itself
/// would otherwise never end.
const MAX_STOPS: usize = 4;

/// Files that changed during the latest builds, and those that are known to be written by builds.
#[derive(Default)]
pub(super) struct SelfWrites {
    files: BTreeMap<PathBuf, BTreeMap<String, SelfWrite>>,
    /// Files that were reported. Each is reported once.
    told: BTreeSet<PathBuf>,
}

/// The consecutive builds of one handler during which one file changed.
#[derive(Default)]
struct SelfWrite {
    /// Builds that ended by themselves.
    builds: usize,
    /// Builds that were stopped because of the change.
    stops: usize,
}

impl SelfWrites {
    /// Removes from `changed` the files that builds write. `changed` holds the files that changed while `handler` was
    /// built to the end. Returns the files that became known as written by builds in this step.
    pub(super) fn separate(
        &mut self,
        changed: &mut BTreeSet<PathBuf>,
        handler: &str,
    ) -> Vec<PathBuf> {
        for (file, writes) in &mut self.files {
            writes.retain(|by, write| by != handler || write.is_known() || changed.contains(file));
        }
        self.files.retain(|_, writes| !writes.is_empty());
        for file in changed.iter() {
            self.write(file, handler).builds += 1;
        }
        let known = self.remove_known(changed);
        known
            .into_iter()
            .filter(|file| self.told.insert(file.clone()))
            .collect()
    }

    /// Removes from `changed` the files that are known to be written by builds, and returns them.
    pub(super) fn remove_known(&self, changed: &mut BTreeSet<PathBuf>) -> Vec<PathBuf> {
        let known: Vec<PathBuf> = changed
            .iter()
            .filter(|file| self.is_known(file))
            .cloned()
            .collect();
        changed.retain(|file| !self.is_known(file));
        known
    }

    /// Returns true if a build of `handler` may be stopped because of these changes.
    pub(super) fn may_stop(&self, changed: &BTreeSet<PathBuf>, handler: &str) -> bool {
        changed.iter().any(|file| {
            let write = self.files.get(file).and_then(|writes| writes.get(handler));
            write.is_none_or(|write| write.stops < MAX_STOPS)
        })
    }

    /// Counts a build of `handler` that was stopped because of these changes.
    pub(super) fn count_stop(&mut self, changed: &BTreeSet<PathBuf>, handler: &str) {
        for file in changed {
            self.write(file, handler).stops += 1;
        }
    }

    /// Forgets files that changed while nothing was built, because a person or another program changed them.
    pub(super) fn forget(&mut self, changed: &BTreeSet<PathBuf>) {
        self.files.retain(|file, _| !changed.contains(file));
    }

    /// Forgets files that builds of these handlers wrote, because the handlers are built in another way now.
    pub(super) fn forget_builds(&mut self, handlers: &BTreeSet<String>) {
        for writes in self.files.values_mut() {
            writes.retain(|handler, _| !handlers.contains(handler));
        }
        self.files.retain(|_, writes| !writes.is_empty());
    }

    fn is_known(&self, file: &Path) -> bool {
        let writes = self.files.get(file);
        writes.is_some_and(|writes| writes.values().any(SelfWrite::is_known))
    }

    fn write(&mut self, file: &Path, handler: &str) -> &mut SelfWrite {
        let writes = self.files.entry(file.to_owned()).or_default();
        writes.entry(handler.to_owned()).or_default()
    }
}

impl SelfWrite {
    /// Returns true if the builds count as the writer of the file.
    fn is_known(&self) -> bool {
        self.builds >= MIN_BUILDS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the changes that remain, and the files that became known.
    fn separate(
        self_writes: &mut SelfWrites,
        changed: &[&str],
        built: &str,
    ) -> (Vec<PathBuf>, Vec<PathBuf>) {
        let mut changed = paths(changed).into_iter().collect();
        let new = self_writes.separate(&mut changed, built);
        (changed.into_iter().collect(), new)
    }

    fn paths(paths: &[&str]) -> Vec<PathBuf> {
        paths.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn what_changes_in_every_build_is_its_doing_and_told_once() {
        let mut self_writes = SelfWrites::default();
        for _ in 1..MIN_BUILDS {
            let separated = separate(&mut self_writes, &["bundle.js"], "a");
            assert_eq!(separated, (paths(&["bundle.js"]), vec![]));
        }
        let separated = separate(&mut self_writes, &["app.js", "bundle.js"], "a");
        assert_eq!(separated, (paths(&["app.js"]), paths(&["bundle.js"])));
        assert_eq!(separate(&mut self_writes, &[], "a"), (vec![], vec![]));
        let separated = separate(&mut self_writes, &["bundle.js"], "a");
        assert_eq!(separated, (vec![], vec![]));

        self_writes.forget(&["bundle.js".into()].into());
        for _ in 1..MIN_BUILDS {
            let separated = separate(&mut self_writes, &["bundle.js"], "a");
            assert_eq!(separated, (paths(&["bundle.js"]), vec![]));
        }
        let separated = separate(&mut self_writes, &["bundle.js"], "a");
        assert_eq!(separated, (vec![], vec![]), "it is told once");
    }

    #[test]
    fn what_changes_now_and_then_or_while_others_are_built_is_a_save() {
        let mut self_writes = SelfWrites::default();
        for _ in 0..MIN_BUILDS {
            for changed in [&["app.js"][..], &[]] {
                let separated = separate(&mut self_writes, changed, "a");
                assert_eq!(separated, (paths(changed), vec![]));
            }
        }
        for built in ["a", "b", "c", "d"] {
            let separated = separate(&mut self_writes, &["lib.js"], built);
            assert_eq!(separated, (paths(&["lib.js"]), vec![]));
        }
    }

    #[test]
    fn i11_5_a_build_that_stops_itself_is_let_go_on_and_builds_of_others_reset_nothing() {
        let mut self_writes = SelfWrites::default();
        let changed: BTreeSet<PathBuf> = ["bundle.js".into()].into();
        for _ in 0..MAX_STOPS {
            assert!(self_writes.may_stop(&changed, "a"));
            self_writes.count_stop(&changed, "a");
        }
        for _ in 1..MIN_BUILDS {
            assert!(!self_writes.may_stop(&changed, "a"));
            assert!(self_writes.may_stop(&changed, "b"));
            assert_eq!(separate(&mut self_writes, &["bundle.js"], "a").0.len(), 1);
            assert_eq!(separate(&mut self_writes, &[], "b").0.len(), 0);
        }
        assert_eq!(separate(&mut self_writes, &["bundle.js"], "a").0.len(), 0);
        // A person saved it: a build without a change ends the suspicion.
        let mut self_writes = SelfWrites::default();
        (0..MAX_STOPS).for_each(|_| self_writes.count_stop(&changed, "a"));
        separate(&mut self_writes, &[], "a");
        assert!(self_writes.may_stop(&changed, "a"));
    }
}
