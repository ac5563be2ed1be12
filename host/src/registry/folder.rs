//! Files of the handlers folder: how they look, and their content.
//!
//! Nothing here waits for what is not a regular file.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::names;
use crate::runtime::{LoadError, MAX_FILE, MAX_SCRIPT, ScriptError};
use crate::stamp::Stamp;

/// The largest sidecar, in bytes.
const MAX_SIDECAR: u64 = 64 << 10;

/// A file that could be a handler.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// Below the folder, with `/`.
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) stamp: Stamp,
    /// The stamp of `NAME.toml` beside it.
    pub(super) sidecar: Option<Stamp>,
}

impl Found {
    pub(super) fn sidecar_path(&self) -> PathBuf {
        self.path.with_extension("toml")
    }
}

/// Finds one file by itself, wherever it lies. Its name is the one below `root`, or the name of the file alone if it
/// lies elsewhere.
pub(super) fn found(path: &Path, root: &Path) -> std::io::Result<Found> {
    let path = path.canonicalize()?;
    let metadata = fs::metadata(&path)?;
    if metadata.is_dir() {
        return Err(std::io::ErrorKind::IsADirectory.into());
    }
    let root = root.canonicalize().unwrap_or_default();
    let below = path.strip_prefix(&root).unwrap_or(&path);
    let name = if below.is_absolute() {
        path.file_name().unwrap_or_default().as_ref()
    } else {
        below
    };
    Ok(Found {
        name: name.to_string_lossy().into_owned(),
        stamp: Stamp::of(&metadata),
        // Beside NAME.toml itself there is none.
        sidecar: sidecar_of(&path).filter(|_| path.extension().is_some_and(|kind| kind != "toml")),
        path,
    })
}

/// Returns the stamp of `NAME.toml` beside `NAME.wasm`, if there is one.
pub(super) fn sidecar_of(path: &Path) -> Option<Stamp> {
    let sidecar = fs::metadata(path.with_extension("toml")).ok();
    sidecar
        .filter(Metadata::is_file)
        .map(|metadata| Stamp::of(&metadata))
}

/// Returns the stamp of a file, or `None` if there is no file.
pub(super) fn stamp_of(path: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(path).ok().filter(Metadata::is_file);
    metadata.map(|metadata| Stamp::of(&metadata))
}

/// Reads the content of a handler's file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, ReadError> {
    if !names::is_script(&path.to_string_lossy()) {
        return read_at_most(path, MAX_FILE);
    }
    read_at_most(path, MAX_SCRIPT).map_err(|error| match error {
        ReadError::Load(LoadError::TooLarge { size, max }) => {
            LoadError::from(ScriptError::TooLarge { size, max }).into()
        }
        error => error,
    })
}

/// Reads the text of a sidecar.
pub(super) fn read_sidecar(path: &Path) -> Result<String, ReadError> {
    let text = match read_at_most(path, MAX_SIDECAR) {
        Err(ReadError::Load(_)) => Err(format!("it has more than {MAX_SIDECAR} bytes; shorten it")),
        Err(error) => Err(error.to_string()),
        Ok(bytes) => {
            String::from_utf8(bytes).map_err(|_| "it is not UTF-8; write it anew".to_owned())
        }
    };
    text.map_err(|cause| ReadError::Unreadable(format!("{}: {cause}", path.display())))
}

/// The reason for which a file was not read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("{0}")]
    Unreadable(String),
}

fn read_at_most(path: &Path, max: u64) -> Result<Vec<u8>, ReadError> {
    let unreadable = |error: std::io::Error| {
        ReadError::Unreadable(format!("it cannot be read: {error}; check its permissions"))
    };
    // A pipe without a writer would block an ordinary open.
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
    let file: File = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)
        .map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(ReadError::Unreadable(
            "it is not a regular file; remove it".to_owned(),
        ));
    }
    if metadata.size() > max {
        return Err(LoadError::TooLarge {
            size: metadata.size(),
            max,
        }
        .into());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.size()).unwrap_or(0));
    file.take(max).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}
