//! Distinguishes saves from files that a build itself writes among the sources, such as a generated file or a bundle
//! with the time in it. If such a file counted as a save, each build would start the next one without end. It differs
//! from a save during a build only in that it changes in every build.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// The number of consecutive builds in which a file changes before the builds count as its writer. Two are too few,
/// because a person may save a file during two slow builds in a row.
const MIN_BUILDS: usize = 3;

/// Files that changed during the latest builds, and those that are known to be written by builds.
#[derive(Default)]
pub(super) struct SelfWrites(BTreeMap<PathBuf, SelfWrite>);

/// The consecutive builds during which one file changed.
struct SelfWrite {
    builds: usize,
    /// The handlers that were built in each of them.
    handlers: BTreeSet<String>,
}

impl SelfWrites {
    /// Removes from `changed` the files that builds write. `changed` holds the files that changed while the handlers in
    /// `built` were built. Returns the files that became known as written by builds in this step.
    pub(super) fn separate(
        &mut self,
        changed: &mut BTreeSet<PathBuf>,
        built: &BTreeSet<String>,
    ) -> Vec<PathBuf> {
        self.0
            .retain(|file, self_write| self_write.is_known() || changed.contains(file));
        let mut new = Vec::new();
        changed.retain(|file| {
            let self_write = self.0.entry(file.clone()).or_insert_with(|| SelfWrite {
                builds: 0,
                handlers: built.clone(),
            });
            let was_known = self_write.is_known();
            self_write.count(built);
            if self_write.is_known() && !was_known {
                new.push(file.clone());
            }
            !self_write.is_known()
        });
        new
    }

    /// Forgets files that changed while nothing was built, because a person or another program changed them.
    pub(super) fn forget(&mut self, changed: &BTreeSet<PathBuf>) {
        self.0.retain(|file, _| !changed.contains(file));
    }

    /// Forgets files that builds of these handlers wrote, because the handlers are built in another way now.
    pub(super) fn forget_builds(&mut self, files: &BTreeSet<String>) {
        self.0
            .retain(|_, self_write| self_write.handlers.is_disjoint(files));
    }
}

impl SelfWrite {
    /// Returns true if the builds count as the writer of the file.
    fn is_known(&self) -> bool {
        self.builds >= MIN_BUILDS
    }

    /// Counts another build during which the file changed. The handlers that are common to all builds in a row stay;
    /// without a common one, counting begins anew.
    fn count(&mut self, built: &BTreeSet<String>) {
        let common: BTreeSet<String> = self.handlers.intersection(built).cloned().collect();
        if common.is_empty() {
            self.builds = 0;
            self.handlers.clone_from(built);
        } else if !self.is_known() {
            self.handlers = common;
        }
        self.builds += 1;
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
        let mut changed = changed.iter().map(PathBuf::from).collect();
        let new = self_writes.separate(&mut changed, &[built.to_owned()].into());
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
        assert_eq!(
            separate(&mut self_writes, &["bundle.js"], "a"),
            (vec![], vec![])
        );

        self_writes.forget(&["bundle.js".into()].into());
        let separated = separate(&mut self_writes, &["bundle.js"], "a");
        assert_eq!(separated, (paths(&["bundle.js"]), vec![]));
    }

    #[test]
    fn what_changes_now_and_then_or_while_others_are_built_is_a_save() {
        let mut self_writes = SelfWrites::default();
        for _ in 0..MIN_BUILDS {
            for changed in [&["app.js"][..], &[]] {
                let separated = separate(&mut self_writes, changed, "a");
                assert_eq!(separated, (paths(changed), vec![]));
            }
            for built in ["a", "b"] {
                let separated = separate(&mut self_writes, &["lib.js"], built);
                assert_eq!(separated, (paths(&["lib.js"]), vec![]));
            }
        }
    }
}
