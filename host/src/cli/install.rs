//! The handlers folder as builds fill it: a file comes as a whole, only when its content is new, and goes when what it
//! was made of has gone. A small record in the folder tells what was put there by builds from what people put there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::runtime::ContentHash;

/// The record; the server leaves names that begin with a dot alone.
const RECORD: &str = ".hitchy-built.json";

/// The handlers folder.
pub(super) struct HandlersDir {
    dir: PathBuf,
    /// By the file's path below the folder.
    record: BTreeMap<String, Built>,
}

/// A file that a build put there.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Built {
    /// The beginning of the hash of its content: whoever replaced it since keeps their file.
    hash: String,
    /// The manifest or settings file that it was built by.
    by: PathBuf,
}

impl HandlersDir {
    /// The folder, made when it is not there.
    pub(super) fn open(dir: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(dir)
            .with_context(|| format!("the handlers folder {} cannot be made", dir.display()))?;
        // Without a record nothing counts as built, and nothing is removed.
        let record = fs::read(dir.join(RECORD)).ok();
        let record = record.and_then(|text| serde_json::from_slice(&text).ok());
        Ok(Self {
            dir: dir.to_owned(),
            record: record.unwrap_or_default(),
        })
    }

    /// Returns the path at which the server looks for `file`.
    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.dir.join(file)
    }

    /// Returns a path at which a command may write what becomes `file`: in the same folder, so that a rename is enough,
    /// and hidden.
    pub(super) fn part(&self, file: &str) -> PathBuf {
        let path = self.path(file);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        path.with_file_name(format!(".{name}.part"))
    }

    /// Puts `content` into the folder as `file`, unless it is there already.
    pub(super) fn put(&mut self, file: &str, content: &[u8], by: &Path) -> anyhow::Result<()> {
        let path = self.path(file);
        if fs::read(&path).map_or(true, |there| there != content) {
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

    /// Removes what was built by something below `folder` or by these `settings`, wherever they lie, is not made any
    /// more and is still as it was built: its names.
    pub(super) fn remove_but(
        &mut self,
        made: &BTreeSet<String>,
        folder: &Path,
        settings: &Path,
    ) -> anyhow::Result<Vec<String>> {
        let is_gone = |(file, built): &(&String, &Built)| {
            let is_ours = built.by.starts_with(folder) || built.by == settings;
            is_ours && !made.contains(*file)
        };
        let gone: Vec<_> = self
            .record
            .iter()
            .filter(is_gone)
            .map(|(file, built)| (file.clone(), built.hash.clone()))
            .collect();
        let mut removed = Vec::new();
        for (file, hash) in gone {
            let path = self.path(&file);
            let there = fs::read(&path).ok();
            if there.is_some_and(|there| ContentHash::of(&there).to_string() == hash) {
                let done = fs::remove_file(&path).or_else(gone_is_fine);
                done.with_context(|| format!("{} cannot be removed", path.display()))?;
                removed.push(file.clone());
            }
            self.record.remove(&file);
            self.save()?;
        }
        Ok(removed)
    }

    fn save(&self) -> anyhow::Result<()> {
        let (path, part) = (self.path(RECORD), self.part(RECORD));
        let text = serde_json::to_vec_pretty(&self.record)?;
        let saved = fs::write(&part, text).and_then(|()| fs::rename(&part, &path));
        saved.with_context(|| format!("{} cannot be written", path.display()))
    }
}

fn gone_is_fine(error: std::io::Error) -> std::io::Result<()> {
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
        let mut place = HandlersDir::open(&dir).unwrap();
        for (file, by) in [
            ("a.wasm", &root.join("a/Cargo.toml")),
            ("b.wasm", &root.join("b/Cargo.toml")),
            ("c.wasm", &PathBuf::from("/elsewhere/Cargo.toml")),
            ("d.wasm", &root.join("d/Cargo.toml")),
            ("f.wasm", &PathBuf::from("/settings/hitchy.toml")),
        ] {
            place.put(file, file.as_bytes(), by).unwrap();
        }
        fs::write(dir.join("b.wasm"), "by hand").unwrap();
        fs::write(dir.join("e.wasm"), "by hand").unwrap();

        // As after a restart.
        let mut place = HandlersDir::open(&dir).unwrap();
        let (made, settings) = (
            ["d.wasm".to_owned()].into(),
            Path::new("/settings/hitchy.toml"),
        );
        let removed = place.remove_but(&made, root, settings).unwrap();
        assert_eq!(removed, ["a.wasm", "f.wasm"]);
        for stays in ["b.wasm", "c.wasm", "d.wasm", "e.wasm"] {
            assert!(dir.join(stays).exists(), "{stays}");
        }
        assert!(place.remove_but(&made, root, settings).unwrap().is_empty());
    }
}
