//! The files that scripts import: where they are found, and which were looked for.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::text::is_importable;
use crate::lock::lock;
use crate::runtime::script_error::ImportError;
use crate::stamp::Stamp;

/// Files that are listed at most, to find one that was meant.
const MAX_LISTED: usize = 2000;
/// Folders in folders that are searched for them.
const MAX_DEPTH: usize = 8;

/// A file that the import of a handler names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedFile {
    /// Its path below the folder of handlers.
    pub name: String,
    /// Its absolute path, or its path from the folder in which the server runs.
    pub path: PathBuf,
    /// How it looked when it was read. `None` if it was not there.
    pub stamp: Option<Stamp>,
}

/// The files that one handler may import, and a record of those that were looked for. Clones share the record.
#[derive(Clone, Debug, Default)]
pub struct Modules {
    /// `None` if there are no files beside the handler.
    root: Option<PathBuf>,
    seen: Arc<Mutex<Vec<ImportedFile>>>,
}

impl Modules {
    /// Finds files below a folder.
    pub fn below(root: &Path) -> Self {
        Self {
            root: Some(root.to_owned()),
            seen: Arc::default(),
        }
    }

    /// Returns the files that were looked for, whether they were there or not.
    pub fn seen(&self) -> Vec<ImportedFile> {
        lock(&self.seen).clone()
    }

    /// Notes how a file looked the last time.
    fn note(&self, file: ImportedFile) {
        let mut seen = lock(&self.seen);
        match seen.iter_mut().find(|known| known.name == file.name) {
            Some(known) => *known = file,
            None => seen.push(file),
        }
    }

    /// Notes that a file elsewhere was read, how it looks now.
    pub(super) fn note_elsewhere(&self, path: PathBuf) {
        let metadata = fs::metadata(&path).ok().filter(fs::Metadata::is_file);
        self.note(ImportedFile {
            name: path.display().to_string(),
            stamp: metadata.as_ref().map(Stamp::of),
            path,
        });
    }

    /// Returns the folder in which files are found.
    pub(super) fn root(&self) -> Option<&Path> {
        self.root.as_deref()
    }

    /// Reads a file of at most `max` bytes that scripts can import. Returns `None` if there is no such file.
    pub(super) fn read(&self, name: &str, max: u64) -> Result<Option<Vec<u8>>, ImportError> {
        self.read_if(is_importable, name, max)
    }

    /// Reads a file of any kind, of at most `max` bytes. Returns `None` if there is no such file.
    pub(super) fn read_any(&self, name: &str, max: u64) -> Result<Option<Vec<u8>>, ImportError> {
        self.read_if(|_| true, name, max)
    }

    fn read_if(
        &self,
        is_readable: impl FnOnce(&str) -> bool,
        name: &str,
        max: u64,
    ) -> Result<Option<Vec<u8>>, ImportError> {
        let Some(root) = &self.root else {
            return Ok(None);
        };
        let path = root.join(name);
        // The stamp comes first: a change between the two is noticed by the next reload.
        let metadata = match fs::metadata(&path) {
            Ok(metadata) => Some(metadata).filter(fs::Metadata::is_file),
            Err(error) if is_absent(&error) => None,
            Err(error) => return Err(ImportError::Unreadable(error.to_string())),
        };
        self.note(ImportedFile {
            name: name.to_owned(),
            path: path.clone(),
            stamp: metadata.as_ref().map(Stamp::of),
        });
        let Some(metadata) = metadata else {
            return Ok(None);
        };
        if !is_readable(name) {
            return Err(ImportError::Kind);
        }
        let unreadable = |error: std::io::Error| ImportError::Unreadable(error.to_string());
        let real = path.canonicalize().map_err(unreadable)?;
        if !real.starts_with(root.canonicalize().map_err(unreadable)?) {
            return Err(ImportError::Outside);
        }
        let size = metadata.len();
        if size > max {
            return Err(ImportError::TooLarge { size, max });
        }
        let mut bytes = Vec::new();
        let file = File::open(&real).map_err(unreadable)?;
        file.take(max + 1)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        let size = bytes.len() as u64;
        if size > max {
            return Err(ImportError::TooLarge { size, max });
        }
        Ok(Some(bytes))
    }

    /// Returns the names of files that could be imported, to find one that was meant.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        if let Some(root) = &self.root {
            list(root, "", 0, &mut names);
        }
        names
    }
}

/// Returns true if an error says that there is no such file.
fn is_absent(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{InvalidFilename, InvalidInput, NotADirectory, NotFound};
    matches!(
        error.kind(),
        NotFound | NotADirectory | InvalidFilename | InvalidInput
    )
}

fn list(folder: &Path, prefix: &str, depth: usize, names: &mut Vec<String>) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries {
        let base = entry.file_name().to_string_lossy().into_owned();
        if base.starts_with('.') || base == "node_modules" || names.len() >= MAX_LISTED {
            continue;
        }
        let name = format!("{prefix}{base}");
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder && depth < MAX_DEPTH {
            list(&entry.path(), &format!("{name}/"), depth + 1, names);
        } else if is_importable(&name) {
            names.push(name);
        }
    }
}
