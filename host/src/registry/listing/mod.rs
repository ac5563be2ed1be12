//! The list of the handlers folder: which files could be handlers.
//!
//! The folder is searched recursively. Names that begin with a dot are left alone, and so is everything that does not
//! end in `.wasm`, `.js`, `.mjs`, `.ts` or `.mts`. Of scripts, tests and what lies below a name with `_` at its
//! beginning are left alone too, because such files are for others to import. Packages of npm (`node_modules`) are not
//! searched. A symbolic link, to a file or to a folder, must lead to somewhere inside the handlers folder.

use std::fs::{self, DirEntry};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::names;
use crate::registry::folder::{Found, sidecar_of};
use crate::stamp::Stamp;

/// The deepest nesting of folders that is searched.
const MAX_NESTING: usize = 16;
/// The largest number of links to folders that are followed. Links between folders multiply the paths to a file.
const MAX_LINKS: usize = 1000;

/// The folder in which npm installs packages.
const PACKAGES: &str = "node_modules";

/// Returns true if a file could be a handler by its name below the handlers folder.
fn is_handler(name: &str) -> bool {
    name.ends_with(names::WASM)
        || names::is_script(name)
            && !name.split('/').any(|part| part.starts_with('_'))
            && !names::bare(name).ends_with(".test")
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

/// Returns the names of the scripts in the folder and below it that could be handlers.
pub fn scripts(root: &Path) -> Vec<String> {
    let listing = list(root).unwrap_or_default();
    let names = listing.found.into_iter().map(|found| found.name);
    names.filter(|name| names::is_script(name)).collect()
}

/// Lists the folder. Fails only if the folder itself cannot be read.
pub(super) fn list(root: &Path) -> io::Result<Listing> {
    let real_root = root.canonicalize()?;
    let mut search = Search {
        root: &real_root,
        above: vec![real_root.clone()],
        links: 0,
        listing: Listing::default(),
    };
    search.list(root, "")?;
    let mut listing = search.listing;
    listing.found.sort_by(|a, b| a.name.cmp(&b.name));
    listing.unfit.sort_by(|a, b| a.name.cmp(&b.name));
    listing.hidden.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(listing)
}

/// A search through the folder.
struct Search<'a> {
    /// The handlers folder without links on the way to it.
    root: &'a Path,
    /// The folders that are being listed, from the handlers folder down, without links on the way to them.
    above: Vec<PathBuf>,
    /// The number of links to folders that were followed.
    links: usize,
    listing: Listing,
}

impl Search<'_> {
    /// Adds the content of a folder. `prefix` is its name below the handlers folder, with a `/` at its end.
    fn list(&mut self, folder: &Path, prefix: &str) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let file_name = entry.file_name();
            match file_name.to_str() {
                Some(base) if base.starts_with('.') => {}
                Some(base) => self.add(&entry, base, format!("{prefix}{base}")),
                None => {
                    let name = format!("{prefix}{}", file_name.to_string_lossy());
                    self.add_unreadable_name(&entry, name);
                }
            }
        }
        Ok(())
    }

    /// Adds one entry of a folder.
    fn add(&mut self, entry: &DirEntry, base: &str, name: String) {
        let path = entry.path();
        if is_handler(&name) {
            match inspect(&path, self.root) {
                Ok(Some(stamp)) => self.listing.found.push(Found {
                    sidecar: sidecar_of(&path),
                    name,
                    path,
                    stamp,
                }),
                Ok(None) => {}
                Err(cause) => self.listing.unfit.push(Unfit { name, cause }),
            }
            return;
        }
        if base == PACKAGES {
            return;
        }
        let prefix = format!("{name}/");
        let Ok(kind) = entry.file_type() else {
            return;
        };
        let listed = if kind.is_dir() {
            self.above_of(entry)
                .and_then(|real| self.list_below(&path, real, &prefix))
        } else if kind.is_symlink() {
            self.list_linked(&path, base, &prefix)
        } else {
            return;
        };
        if let Err(cause) = listed {
            self.listing.hidden.push(Unfit {
                name: prefix,
                cause,
            });
        }
    }

    /// Returns the path of an entry of the folder that is being listed, without links on the way to it.
    fn above_of(&self, entry: &DirEntry) -> Result<PathBuf, String> {
        let folder = self.above.last().map_or(self.root, PathBuf::as_path);
        Ok(folder.join(entry.file_name()))
    }

    /// Lists the folder to which a link leads. A link to a file that is no handler is left alone.
    fn list_linked(&mut self, link: &Path, base: &str, prefix: &str) -> Result<(), String> {
        let real = match link.canonicalize() {
            Ok(real) => real,
            // The name of a folder has no extension, and other files are none of our business.
            Err(_) if base.contains('.') => return Ok(()),
            Err(error) => {
                return Err(format!(
                    "it is a link that leads nowhere ({error}); remove it, or copy the folder here"
                ));
            }
        };
        if !real.is_dir() {
            return Ok(());
        }
        if !real.starts_with(self.root) {
            return Err(
                "it is a link to outside the handlers folder; copy the folder here instead"
                    .to_owned(),
            );
        }
        if self.above.contains(&real) {
            return Err("it is a link to a folder in which it lies itself; remove it".to_owned());
        }
        if self.links == MAX_LINKS {
            return Err(format!(
                "{MAX_LINKS} other links to folders are followed; remove some"
            ));
        }
        self.links += 1;
        self.list_below(link, real, prefix)
    }

    /// Lists a folder in the one that is being listed. `real` is its path without links on the way to it.
    fn list_below(&mut self, folder: &Path, real: PathBuf, prefix: &str) -> Result<(), String> {
        if self.above.len() > MAX_NESTING {
            return Err(format!(
                "it lies more than {MAX_NESTING} folders deep; move it up"
            ));
        }
        self.above.push(real);
        let listed = self.list(folder, prefix).or_else(gone_is_empty);
        self.above.pop();
        listed.map_err(|error| format!("cannot be read: {error}"))
    }

    /// Adds a handler or a folder whose name is not UTF-8.
    fn add_unreadable_name(&mut self, entry: &DirEntry, name: String) {
        let cause = "its name is not UTF-8; rename it".to_owned();
        if is_handler(&name) {
            self.listing.unfit.push(Unfit { name, cause });
        } else if entry.path().is_dir() {
            let name = format!("{name}/");
            self.listing.hidden.push(Unfit { name, cause });
        }
    }
}

/// Treats a folder that vanishes while it is listed as empty.
fn gone_is_empty(error: io::Error) -> io::Result<()> {
    match error.kind() {
        ErrorKind::NotFound => Ok(()),
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
            Err("it is a folder; give it a name without an extension".to_owned())
        }
        Ok(_) => Err("it is not a regular file (a pipe, socket or device); remove it".to_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("it cannot be looked at: {error}")),
    }
}

#[cfg(test)]
mod tests;
