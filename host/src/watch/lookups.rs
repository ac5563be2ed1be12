//! The names that the system looks up on its way to a file. When one of them appears, disappears or is replaced, the
//! path may lead to another file.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// The most links on the way to a file, as in the kernel.
const MAX_LINKS: usize = 40;

/// Names, keyed by the folders in which they are looked up.
pub(super) type Names = HashMap<PathBuf, HashSet<OsString>>;

/// Collects the names that are looked up for some files.
#[derive(Default)]
pub(super) struct Lookups {
    names: Names,
    /// Where paths lead, without links; none where nothing is.
    resolved: HashMap<PathBuf, Option<PathBuf>>,
}

impl Lookups {
    /// Adds the names that are looked up for `path`, which does not need to exist, including those of the links on the
    /// way.
    pub(super) fn add(&mut self, path: &Path) {
        self.resolve(path, MAX_LINKS);
    }

    /// Returns the names.
    pub(super) fn into_names(self) -> Names {
        self.names
    }

    /// Returns where an absolute path leads, or none if nothing is there.
    fn resolve(&mut self, path: &Path, links: usize) -> Option<PathBuf> {
        if let Some(known) = self.resolved.get(path) {
            return known.clone();
        }
        let resolved = self.follow(path, links);
        self.resolved.insert(path.to_owned(), resolved.clone());
        resolved
    }

    fn follow(&mut self, path: &Path, links: usize) -> Option<PathBuf> {
        let Some(parent) = path.parent() else {
            return Some(path.to_owned());
        };
        let mut folder = self.resolve(parent, links)?;
        let name = match path.components().next_back()? {
            Component::Normal(name) => name,
            Component::ParentDir => {
                folder.pop();
                return Some(folder);
            }
            _ => return Some(folder),
        };
        let there = folder.join(name);
        self.names
            .entry(folder.clone())
            .or_default()
            .insert(name.to_owned());
        if !there.symlink_metadata().ok()?.is_symlink() {
            return Some(there);
        }
        let target = folder.join(fs::read_link(&there).ok()?);
        self.resolve(&target, links.checked_sub(1)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn i11_3_each_link_and_each_missing_folder_on_the_way_is_looked_up() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("data/v1")).unwrap();
        fs::write(root.join("data/v1/text.txt"), "").unwrap();
        symlink("v1", root.join("data/..data")).unwrap();
        symlink("..data/text.txt", root.join("data/text.txt")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        let mut lookups = Lookups::default();
        for path in [
            "src/../data/text.txt",
            "data/text.txt",
            "loop/text.txt",
            "none/deep/text.txt",
        ] {
            lookups.add(&root.join(path));
        }
        let names = lookups.into_names();
        let of = |folder: &str| {
            let mut names: Vec<_> = names[&root.join(folder)]
                .iter()
                .map(|name| name.to_str().unwrap())
                .collect();
            names.sort_unstable();
            names
        };
        assert_eq!(of(""), ["data", "loop", "none", "src"]);
        assert_eq!(of("data"), ["..data", "text.txt", "v1"]);
        assert_eq!(of("data/v1"), ["text.txt"]);
        assert!(!names.contains_key(&root.join("none")));
    }
}
