//! The handlers folder on disk: which files could be handlers, and their content.
//!
//! The folder is searched recursively. Names that begin with a dot are left alone, and so is everything that does not
//! end in `.wasm`. A symbolic link to a file must lead to somewhere inside the folder. Nothing here waits for what is
//! not a regular file.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::runtime::{LoadError, MAX_FILE};
use crate::stamp::Stamp;

/// The largest sidecar, in bytes.
const MAX_SIDECAR: u64 = 64 << 10;
/// The deepest nesting of folders that is searched.
const MAX_NESTING: usize = 16;

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

/// A file that cannot be a handler, whatever is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unfit {
    pub(super) name: String,
    pub(super) cause: String,
}

/// The content of the folder, sorted by name.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) found: Vec<Found>,
    pub(super) unfit: Vec<Unfit>,
    /// Folders that are there but could not be read, each with a `/` at its end, and why.
    pub(super) hidden: Vec<Unfit>,
}

impl Listing {
    /// Returns the names of all files, also of those that cannot be handlers.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let found = self.found.iter().map(|found| found.name.as_str());
        found.chain(self.unfit.iter().map(|unfit| unfit.name.as_str()))
    }

    /// Returns true if a file may exist without being seen, because its folder cannot be read.
    pub(super) fn hides(&self, name: &str) -> bool {
        self.hidden
            .iter()
            .any(|folder| name.starts_with(&folder.name))
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
        sidecar: sidecar_of(&path).filter(|_| path.extension().is_some_and(|kind| kind == "wasm")),
        path,
    })
}

/// Returns the stamp of `NAME.toml` beside `NAME.wasm`, if there is one.
fn sidecar_of(path: &Path) -> Option<Stamp> {
    let sidecar = fs::metadata(path.with_extension("toml")).ok();
    sidecar
        .filter(Metadata::is_file)
        .map(|metadata| Stamp::of(&metadata))
}

/// Lists the folder. Fails only if the folder itself cannot be read.
pub(super) fn list(root: &Path) -> std::io::Result<Listing> {
    let real_root = root.canonicalize()?;
    let mut listing = Listing::default();
    list_into(root, &real_root, "", 0, &mut listing)?;
    listing.found.sort_by(|a, b| a.name.cmp(&b.name));
    listing.unfit.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(listing)
}

fn list_into(
    folder: &Path,
    root: &Path,
    prefix: &str,
    depth: usize,
    listing: &mut Listing,
) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let file_name = entry.file_name();
        let Some(base) = file_name.to_str() else {
            if file_name.as_encoded_bytes().ends_with(b".wasm") {
                let name = format!("{prefix}{}", file_name.to_string_lossy());
                listing.unfit.push(Unfit {
                    name,
                    cause: "its name is not UTF-8; rename it".to_owned(),
                });
            }
            continue;
        };
        if base.starts_with('.') {
            continue;
        }
        let (path, name) = (entry.path(), format!("{prefix}{base}"));
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder && !base.ends_with(".wasm") {
            if depth < MAX_NESTING {
                let prefix = format!("{name}/");
                let listed = list_into(&path, root, &prefix, depth + 1, listing);
                if let Err(error) = listed.or_else(gone_is_empty) {
                    listing.hidden.push(Unfit {
                        name: prefix,
                        cause: error.to_string(),
                    });
                }
            }
        } else if base.ends_with(".wasm") {
            match inspect(&path, root) {
                Ok(Some(stamp)) => {
                    listing.found.push(Found {
                        sidecar: sidecar_of(&path),
                        name,
                        path,
                        stamp,
                    });
                }
                Ok(None) => {}
                Err(cause) => listing.unfit.push(Unfit { name, cause }),
            }
        }
    }
    Ok(())
}

/// Treats a folder that vanishes while it is listed as empty.
fn gone_is_empty(error: std::io::Error) -> std::io::Result<()> {
    match error.kind() {
        std::io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    }
}

/// Returns the stamp of a file that could be a handler, or `None` if it has just been removed.
fn inspect(path: &Path, root: &Path) -> Result<Option<Stamp>, String> {
    let Ok(link) = fs::symlink_metadata(path) else {
        return Ok(None);
    };
    if link.is_symlink() {
        match path.canonicalize() {
            Ok(real) if real.starts_with(root) => {}
            Ok(_) => {
                return Err(
                    "it is a link to outside the handlers folder; copy the file here instead"
                        .to_owned(),
                );
            }
            Err(error) => {
                return Err(format!(
                    "it is a link that leads nowhere ({error}); remove it, or copy the file here"
                ));
            }
        }
    }
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(Some(Stamp::of(&metadata))),
        Ok(metadata) if metadata.is_dir() => {
            Err("it is a folder; give it a name that does not end in .wasm".to_owned())
        }
        Ok(_) => Err("it is not a regular file (a pipe, socket or device); remove it".to_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("it cannot be looked at: {error}")),
    }
}

/// Reads the content of a handler's file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, ReadError> {
    read_at_most(path, MAX_FILE)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l17_hidden_and_other_files_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            ".x.wasm", "x.wasm~", "x.part", "x.toml", "b.wasm", "a b.wasm",
        ] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        fs::create_dir_all(folder.path().join("api")).unwrap();
        fs::write(folder.path().join("api/shop.wasm"), "x").unwrap();
        let listing = list(folder.path()).unwrap();
        let names: Vec<_> = listing
            .found
            .iter()
            .map(|found| found.name.as_str())
            .collect();
        assert_eq!(names, ["a b.wasm", "api/shop.wasm", "b.wasm"]);
    }

    #[test]
    fn l09_what_is_no_file_inside_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let link = |target: &str, name: &str| {
            std::os::unix::fs::symlink(target, folder.path().join(name)).unwrap()
        };
        link("/etc/hostname", "out.wasm");
        link("/dev/zero", "zero.wasm");
        link("loop.wasm", "loop.wasm");
        link("nowhere", "dangling.wasm");
        fs::create_dir(folder.path().join("dir.wasm")).unwrap();
        let _socket =
            std::os::unix::net::UnixListener::bind(folder.path().join("socket.wasm")).unwrap();
        let listing = list(folder.path()).unwrap();
        let names: Vec<_> = listing
            .unfit
            .iter()
            .map(|unfit| unfit.name.as_str())
            .collect();
        assert_eq!(
            names,
            [
                "dangling.wasm",
                "dir.wasm",
                "loop.wasm",
                "out.wasm",
                "socket.wasm",
                "zero.wasm"
            ]
        );
        assert!(listing.found.is_empty());
    }

    #[test]
    fn l07_a_link_inside_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("..data")).unwrap();
        fs::write(folder.path().join("..data/a.wasm"), "x").unwrap();
        std::os::unix::fs::symlink("..data/a.wasm", folder.path().join("a.wasm")).unwrap();
        assert_eq!(list(folder.path()).unwrap().found.len(), 1);
    }
}
