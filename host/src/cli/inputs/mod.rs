//! What a build reads. The compiler, build scripts and cargo say it after a build; for a command of `[dev] build`, its
//! words do.

pub(super) mod build_script;
pub(super) mod cargo_files;
pub(super) mod dep_info;
pub(super) mod named;
pub(super) mod own_output;

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

/// The files and folders that a build reads. They do not need to exist: a build may wait for a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Inputs {
    pub(super) files: BTreeSet<PathBuf>,
    /// Folders of which every source counts.
    pub(super) folders: BTreeSet<PathBuf>,
    /// Nothing else is read. False after a build that failed, because it may have read more than it reported.
    pub(super) is_known: bool,
    /// The build runs programs that may write among the sources: build scripts, or a command.
    pub(super) may_write_sources: bool,
    /// Folders that the build itself fills.
    outputs: BTreeSet<PathBuf>,
}

impl Inputs {
    /// Returns no inputs, of a build that writes into the folders `outputs`.
    pub(super) fn new(outputs: &BTreeSet<PathBuf>) -> Self {
        Self {
            is_known: true,
            outputs: outputs.clone(),
            ..Self::default()
        }
    }

    /// Adds paths. Those that are relative belong to the first of `bases` in which they exist.
    pub(super) fn add_all(&mut self, paths: impl IntoIterator<Item = PathBuf>, bases: &[&Path]) {
        for path in paths {
            let there = bases
                .iter()
                .map(|base| base.join(&path))
                .find(|path| path.exists());
            self.add(&there.unwrap_or(path));
        }
    }

    /// Adds the absolute path of a file or a folder.
    pub(super) fn add(&mut self, path: &Path) {
        let path = without_parents(path);
        if !path.is_absolute() || self.outputs.iter().any(|output| path.starts_with(output)) {
            return;
        }
        if path.is_dir() {
            self.folders.insert(path);
        } else {
            self.files.insert(path);
        }
    }

    /// Adds the inputs of an earlier build.
    pub(super) fn extend(&mut self, other: &Self) {
        self.files.extend(other.files.iter().cloned());
        self.folders.extend(other.folders.iter().cloned());
        self.may_write_sources |= other.may_write_sources;
    }

    /// Returns true if the build reads this file.
    pub(super) fn contains(&self, path: &Path) -> bool {
        self.files.contains(path) || path.ancestors().any(|folder| self.folders.contains(folder))
    }
}

/// Returns a path without `..`, as the system resolves it.
fn without_parents(path: &Path) -> PathBuf {
    let mut whole = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                // After a link, the parent is that of the folder to which the link leads.
                if let Ok(real) = whole.canonicalize() {
                    whole = real;
                }
                whole.pop();
            }
            Component::CurDir => {}
            part => whole.push(part),
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn i11_2_a_path_with_parents_is_the_file_that_it_leads_to() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        for name in ["pkg/src", "shared", "else/linked", "target"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        std::os::unix::fs::symlink(root.join("else/linked"), root.join("pkg/link")).unwrap();
        let mut inputs = Inputs::new(&[root.join("target")].into());
        for path in [
            "pkg/src/../../shared/a",
            "pkg/link/../b",
            "none/../c",
            "target/gen.rs",
            "pkg/src",
            "./pkg/./d",
        ] {
            inputs.add(&root.join(path));
        }
        inputs.add_all(
            ["src/e".into(), "shared".into()],
            &[&root.join("pkg"), &root],
        );
        let files = ["shared/a", "else/b", "c", "pkg/d"].map(|name| root.join(name));
        assert_eq!(inputs.files, files.into());
        assert_eq!(
            inputs.folders,
            [root.join("pkg/src"), root.join("shared")].into()
        );
        assert!(inputs.contains(&root.join("pkg/src/deep/x.rs")));
        assert!(!inputs.contains(&root.join("pkg/x.rs")));
    }
}
