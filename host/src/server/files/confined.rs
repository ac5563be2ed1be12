//! Opens what may be served of a folder: regular files inside it, and folders with a page.
//!
//! Symbolic links are followed only if they lead to a file inside the folder.

use std::borrow::Cow;
use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;

/// The name of the file that is served for a folder.
pub(super) const PAGE: &str = "index.html";

/// How often a path is looked up that is replaced meanwhile.
const ATTEMPTS: usize = 3;

/// Decodes a path to one below the folder; none if one of its segments is hidden or not one name.
///
/// An encoded `/` is refused because policies did not see it as a separator.
pub(super) fn decoded(path: &str) -> Option<PathBuf> {
    let segments = path.split('/').skip(1).enumerate();
    let names = segments.map(|(depth, segment)| {
        let name = percent_decode_str(segment).decode_utf8().ok()?;
        // RFC 8615 reserves this name at the root only.
        let is_hidden = name.starts_with('.') && !(depth == 0 && name == ".well-known");
        let is_name = !is_hidden && !name.contains(['/', '\\', '\0']);
        is_name.then_some(name)
    });
    let names: Option<Vec<Cow<'_, str>>> = names.collect();
    Some(names?.iter().map(AsRef::<str>::as_ref).collect())
}

/// What a path leads to.
pub(super) enum Found {
    File(fs::File),
    /// A folder with a page.
    Folder,
}

/// Opens what is at `path`, if it is inside `root`.
///
/// Between the resolution of a path and the opening of a file, a deployment may replace the links on the way. The path
/// is therefore looked up again if the file is gone.
pub(super) fn open(root: &Path, path: &Path) -> io::Result<Found> {
    let mut attempts = 1;
    loop {
        let (real, metadata) = find(root, path)?;
        if metadata.is_dir() {
            return Ok(Found::Folder);
        }
        match open_found(&real) {
            Ok(file) if file.metadata()?.is_file() => return Ok(Found::File(file)),
            Ok(_) => return Err(ErrorKind::NotFound.into()),
            Err(error) if attempts == ATTEMPTS => return Err(error),
            Err(error) if is_replaced(&error) => attempts += 1,
            Err(error) => return Err(error),
        }
    }
}

/// Returns true if a path that was there a moment ago is gone, or has become a link.
fn is_replaced(error: &io::Error) -> bool {
    error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(Errno::LOOP.raw_os_error())
}

/// Opens the file at a path that was resolved before.
///
/// The file may have been replaced in the meantime. A symbolic link is therefore not followed (`NO_SYMLINKS`),
/// and a pipe without a writer does not block (`NONBLOCK`).
fn open_found(real: &Path) -> io::Result<fs::File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOFOLLOW;
    let opened = match openat2(CWD, real, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS) {
        // Linux before 5.6 lacks openat2 (ENOSYS), and some sandboxes forbid it (EPERM). Plain `open` with
        // NOFOLLOW protects the last name of the path only.
        Err(Errno::NOSYS | Errno::PERM) => rustix::fs::open(real, flags, Mode::empty()),
        opened => opened,
    };
    Ok(opened?.into())
}

/// Returns the resolved path and the metadata of a regular file, or of a folder with a page.
///
/// Anything else is not found, for example a pipe, whose readers could block for ever.
fn find(root: &Path, path: &Path) -> io::Result<(PathBuf, Metadata)> {
    let root = root.canonicalize()?;
    let real = inside(&root, path)?;
    let metadata = real.metadata()?;
    if metadata.is_dir() {
        inside(&root, &real.join(PAGE))?;
    } else if !metadata.is_file() {
        return Err(ErrorKind::NotFound.into());
    }
    Ok((real, metadata))
}

/// Resolves the symbolic links of a path. Fails with `PermissionDenied` if they lead outside of `root`.
fn inside(root: &Path, path: &Path) -> io::Result<PathBuf> {
    let real = path.canonicalize()?;
    if real.starts_with(root) {
        return Ok(real);
    }
    let sentence = format!(
        "a link leads to {}, which is outside of {}; put the file itself there",
        real.display(),
        root.display()
    );
    Err(io::Error::new(ErrorKind::PermissionDenied, sentence))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use rustix::fs::{FileType, mknodat};

    use super::*;

    #[test]
    fn only_names_that_are_not_hidden_are_files() {
        for path in [
            "/",
            "/a",
            "/a/b.js",
            "/a%20b",
            "/%C3%BC",
            "/%252F",
            "/.well-known/x",
            "/a..b",
        ] {
            assert!(decoded(path).is_some(), "{path}");
        }
        for path in [
            "/.env",
            "/a/.git/config",
            "/%2Eenv",
            "/a%2Fb",
            "/a%2fb",
            "/%2E%2E/a",
            "/a%5Cb",
            "/a%00",
            "/a/.well-known/x",
            "/.well-known/.x",
            "/%FF",
            "/..%2Fa",
        ] {
            assert!(decoded(path).is_none(), "{path}");
        }
    }

    #[test]
    fn what_is_put_in_a_files_place_is_neither_followed_nor_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir(root.join("real")).unwrap();
        fs::write(root.join("real/file"), "x").unwrap();
        assert!(open_found(&root.join("real/file")).is_ok());

        symlink("real/file", root.join("link")).unwrap();
        symlink("real", root.join("folder")).unwrap();
        for swapped in ["link", "folder/file"] {
            assert!(open_found(&root.join(swapped)).is_err(), "{swapped}");
        }
        let pipe = root.join("pipe");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        assert!(!open_found(&pipe).unwrap().metadata().unwrap().is_file());
    }
}
