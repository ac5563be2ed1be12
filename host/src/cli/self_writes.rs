//! Tells saves from files that a build itself writes among the sources: a bundle with the time in it, a generated file.
//! A file that was taken for a save would be built for ever. The only difference to a save that comes during a build is
//! that such a file changes in every build.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// In so many builds in a row a file changes before that counts as their doing. Somebody who saves a file during two
/// slow builds in a row is not unheard of.
const ENOUGH: usize = 3;

/// Files that changed during builds.
#[derive(Default)]
pub(super) struct SelfWrites(BTreeMap<PathBuf, SelfWrite>);

struct SelfWrite {
    /// Builds in a row.
    builds: usize,
    /// The files that were built in each of them.
    of: BTreeSet<String>,
}

impl SelfWrites {
    /// Takes out of what `changed` while these were `built` what building them changes every time. Which files came to
    /// be known as that.
    pub(super) fn hear(
        &mut self,
        changed: &mut BTreeSet<PathBuf>,
        built: &BTreeSet<String>,
    ) -> Vec<PathBuf> {
        self.0
            .retain(|file, echo| echo.is_known() || changed.contains(file));
        let mut new = Vec::new();
        changed.retain(|file| {
            let echo = self.0.entry(file.clone()).or_insert_with(|| SelfWrite {
                builds: 0,
                of: built.clone(),
            });
            let was_known = echo.is_known();
            echo.count(built);
            if echo.is_known() && !was_known {
                new.push(file.clone());
            }
            !echo.is_known()
        });
        new
    }

    /// These files changed while nothing was built, so it is people who change them.
    pub(super) fn forget(&mut self, changed: &BTreeSet<PathBuf>) {
        self.0.retain(|file, _| !changed.contains(file));
    }

    /// These handlers are made in another way now.
    pub(super) fn forget_builds(&mut self, files: &BTreeSet<String>) {
        self.0.retain(|_, echo| echo.of.is_disjoint(files));
    }
}

impl SelfWrite {
    fn is_known(&self) -> bool {
        self.builds >= ENOUGH
    }

    fn count(&mut self, built: &BTreeSet<String>) {
        let of: BTreeSet<String> = self.of.intersection(built).cloned().collect();
        if of.is_empty() {
            self.builds = 0;
            self.of.clone_from(built);
        } else if !self.is_known() {
            self.of = of;
        }
        self.builds += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is left of these changes, and what came to be known.
    fn hear(
        self_writes: &mut SelfWrites,
        changed: &[&str],
        built: &str,
    ) -> (Vec<PathBuf>, Vec<PathBuf>) {
        let mut changed = changed.iter().map(PathBuf::from).collect();
        let new = self_writes.hear(&mut changed, &[built.to_owned()].into());
        (changed.into_iter().collect(), new)
    }

    fn paths(paths: &[&str]) -> Vec<PathBuf> {
        paths.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn what_changes_in_every_build_is_its_doing_and_told_once() {
        let mut self_writes = SelfWrites::default();
        for _ in 1..ENOUGH {
            let heard = hear(&mut self_writes, &["bundle.js"], "a");
            assert_eq!(heard, (paths(&["bundle.js"]), vec![]));
        }
        let heard = hear(&mut self_writes, &["app.js", "bundle.js"], "a");
        assert_eq!(heard, (paths(&["app.js"]), paths(&["bundle.js"])));
        assert_eq!(hear(&mut self_writes, &[], "a"), (vec![], vec![]));
        assert_eq!(
            hear(&mut self_writes, &["bundle.js"], "a"),
            (vec![], vec![])
        );

        self_writes.forget(&["bundle.js".into()].into());
        let heard = hear(&mut self_writes, &["bundle.js"], "a");
        assert_eq!(heard, (paths(&["bundle.js"]), vec![]));
    }

    #[test]
    fn what_changes_now_and_then_or_while_others_are_built_is_a_save() {
        let mut self_writes = SelfWrites::default();
        for _ in 0..ENOUGH {
            for changed in [&["app.js"][..], &[]] {
                let heard = hear(&mut self_writes, changed, "a");
                assert_eq!(heard, (paths(changed), vec![]));
            }
            for built in ["a", "b"] {
                let heard = hear(&mut self_writes, &["lib.js"], built);
                assert_eq!(heard, (paths(&["lib.js"]), vec![]));
            }
        }
    }
}
