//! A backend for tower-http that confines a served folder to regular files inside it, and to folders with a page.
//!
//! Symbolic links are followed only if they lead to a file inside the folder.

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind, SeekFrom};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::{BoxFuture, Ready, ready};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use tokio::io::{AsyncRead, AsyncSeek, ReadBuf};
use tower_http::services::fs::{Backend, File};

/// The name of the file that is served for a folder.
const PAGE: &str = "index.html";

/// A file system that is confined to one folder, by its path.
#[derive(Clone)]
pub(super) struct Confined(Arc<Path>);

/// An open file with its metadata.
pub(super) struct OpenFile {
    file: tokio::fs::File,
    metadata: Metadata,
}

impl Confined {
    /// Confines to the folder `dir`, which need not exist yet.
    pub(super) fn new(dir: &Path) -> Self {
        Self(Arc::from(dir))
    }

    /// Runs `operation` with the folder and `path` on a blocking thread.
    fn run_blocking<T: Send + 'static>(
        &self,
        path: PathBuf,
        operation: fn(&Path, &Path) -> io::Result<T>,
    ) -> BoxFuture<'static, io::Result<T>> {
        let root = Arc::clone(&self.0);
        Box::pin(async move {
            let task = tokio::task::spawn_blocking(move || operation(&root, &path));
            task.await.map_err(io::Error::other)?
        })
    }
}

impl Backend for Confined {
    type File = OpenFile;
    type Metadata = Metadata;
    type OpenFuture = BoxFuture<'static, io::Result<OpenFile>>;
    type MetadataFuture = BoxFuture<'static, io::Result<Metadata>>;

    fn open(&self, path: PathBuf) -> Self::OpenFuture {
        self.run_blocking(path, open)
    }

    fn metadata(&self, path: PathBuf) -> Self::MetadataFuture {
        self.run_blocking(path, |root, path| Ok(find(root, path)?.1))
    }
}

/// Opens the regular file at `path`, if it is inside `root`.
fn open(root: &Path, path: &Path) -> io::Result<OpenFile> {
    let file = open_found(&find(root, path)?.0)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(ErrorKind::NotFound.into());
    }
    Ok(OpenFile {
        metadata,
        file: file.into(),
    })
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

impl File for OpenFile {
    type Metadata = Metadata;
    type MetadataFuture<'a> = Ready<io::Result<Metadata>>;

    fn metadata(&self) -> Self::MetadataFuture<'_> {
        ready(Ok(self.metadata.clone()))
    }
}

impl AsyncRead for OpenFile {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.file).poll_read(context, buffer)
    }
}

impl AsyncSeek for OpenFile {
    fn start_seek(mut self: Pin<&mut Self>, position: SeekFrom) -> io::Result<()> {
        Pin::new(&mut self.file).start_seek(position)
    }

    fn poll_complete(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<u64>> {
        Pin::new(&mut self.file).poll_complete(context)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use rustix::fs::{FileType, mknodat};

    use super::*;

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
