//! The handlers folder as the target of builds. A file is replaced by a rename, only if its content is new, and removed
//! when its sources no longer exist. A small record in the folder lists the files that builds put there, so that files
//! of people are never removed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::runtime::ContentHash;

/// The name of the record. The server ignores names that begin with a dot.
const RECORD: &str = ".hitchy-built.json";

/// The handlers folder with its record of built files.
pub(super) struct HandlersDir {
    dir: PathBuf,
    /// Built files, keyed by their paths relative to the folder.
    record: BTreeMap<String, Built>,
}

/// The record of a file that a build put into the folder.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Built {
    /// The beginning of the hash of its content. A file with another hash was put there by other means and is not
    /// removed.
    hash: String,
    /// The manifest or settings file that describes the build.
    by: PathBuf,
}

impl HandlersDir {
    /// Opens the folder, and makes it if it does not exist.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub(super) fn open(dir: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(dir)
            .with_context(|| format!("the handlers folder {} cannot be made", dir.display()))?;
        // Without a readable record no file counts as built, and none is removed.
        let text = fs::read(dir.join(RECORD)).ok();
        let record = text.and_then(|text| serde_json::from_slice(&text).ok());
        Ok(Self {
            dir: dir.to_owned(),
            record: record.unwrap_or_default(),
        })
    }

    /// Returns the path at which the server looks for `file`.
    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.dir.join(file)
    }

    /// Returns the path at which a command writes the content of `file`. It is hidden and in the same folder, so that a
    /// rename replaces the file.
    pub(super) fn part(&self, file: &str) -> PathBuf {
        let path = self.path(file);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        path.with_file_name(format!(".{name}.part"))
    }

    /// Puts `content` into the folder as `file`, unless the file has that content already. `by` is the manifest or
    /// settings file that describes the build.
    ///
    /// # Errors
    /// The file or the record cannot be written.
    pub(super) fn put(&mut self, file: &str, content: &[u8], by: &Path) -> anyhow::Result<()> {
        let path = self.path(file);
        if fs::read(&path).map_or(true, |existing| existing != content) {
            let part = self.part(file);
            let put = fs::write(&part, content).and_then(|()| fs::rename(&part, &path));
            if put.is_err() {
                let _ = fs::remove_file(&part);
            }
            put.with_context(|| format!("{} cannot be written", path.display()))?;
        }
        let built = Built {
            hash: ContentHash::of(content).to_string(),
            by: by.to_owned(),
        };
        if self.record.get(file) != Some(&built) {
            self.record.insert(file.to_owned(), built);
            self.save()?;
        }
        Ok(())
    }

    /// Removes built files that are not among `current`, if their build was described below `folder` or in the file
    /// `settings` and if their content is still as it was built. Returns their names.
    ///
    /// # Errors
    /// A file cannot be removed, or the record cannot be written.
    pub(super) fn remove_obsolete(
        &mut self,
        current: &BTreeSet<String>,
        folder: &Path,
        settings: &Path,
    ) -> anyhow::Result<Vec<String>> {
        let is_obsolete = |(file, built): &(&String, &Built)| {
            let is_ours = built.by.starts_with(folder) || built.by == settings;
            is_ours && !current.contains(*file)
        };
        let obsolete: Vec<_> = self
            .record
            .iter()
            .filter(is_obsolete)
            .map(|(file, built)| (file.clone(), built.hash.clone()))
            .collect();
        let mut removed = Vec::new();
        for (file, hash) in obsolete {
            let path = self.path(&file);
            let content = fs::read(&path).ok();
            if content.is_some_and(|content| ContentHash::of(&content).to_string() == hash) {
                let done = fs::remove_file(&path).or_else(ignore_missing);
                done.with_context(|| format!("{} cannot be removed", path.display()))?;
                removed.push(file.clone());
            }
            self.record.remove(&file);
            self.save()?;
        }
        Ok(removed)
    }

    /// Writes the record, by a rename.
    fn save(&self) -> anyhow::Result<()> {
        let (path, part) = (self.path(RECORD), self.part(RECORD));
        let text = serde_json::to_vec_pretty(&self.record)?;
        let saved = fs::write(&part, text).and_then(|()| fs::rename(&part, &path));
        saved.with_context(|| format!("{} cannot be written", path.display()))
    }
}

/// Turns the error of a missing file into success.
fn ignore_missing(error: std::io::Error) -> std::io::Result<()> {
    match error.kind() {
        ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_built_here_and_is_as_it_was_goes() {
        let folder = tempfile::tempdir().unwrap();
        let (root, dir) = (folder.path(), folder.path().join("handlers"));
        let mut handlers = HandlersDir::open(&dir).unwrap();
        for (file, by) in [
            ("a.wasm", &root.join("a/Cargo.toml")),
            ("b.wasm", &root.join("b/Cargo.toml")),
            ("c.wasm", &PathBuf::from("/elsewhere/Cargo.toml")),
            ("d.wasm", &root.join("d/Cargo.toml")),
            ("f.wasm", &PathBuf::from("/settings/hitchy.toml")),
        ] {
            handlers.put(file, file.as_bytes(), by).unwrap();
        }
        fs::write(dir.join("b.wasm"), "by hand").unwrap();
        fs::write(dir.join("e.wasm"), "by hand").unwrap();

        // As after a restart.
        let mut handlers = HandlersDir::open(&dir).unwrap();
        let (made, settings) = (
            ["d.wasm".to_owned()].into(),
            Path::new("/settings/hitchy.toml"),
        );
        let removed = handlers.remove_obsolete(&made, root, settings).unwrap();
        assert_eq!(removed, ["a.wasm", "f.wasm"]);
        for stays in ["b.wasm", "c.wasm", "d.wasm", "e.wasm"] {
            assert!(dir.join(stays).exists(), "{stays}");
        }
        assert!(
            handlers
                .remove_obsolete(&made, root, settings)
                .unwrap()
                .is_empty()
        );
    }
}
