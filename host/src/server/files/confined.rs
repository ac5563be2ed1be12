//! The file system as a served folder may be seen: regular files that really lie in it, and folders that have a page.

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

/// The page of a folder.
const PAGE: &str = "index.html";

/// One folder, which nothing that is read leaves.
#[derive(Clone)]
pub(in crate::server) struct Confined(Arc<Path>);

/// A file that was opened.
pub(in crate::server) struct Opened {
    file: tokio::fs::File,
    facts: Metadata,
}

impl Confined {
    pub(in crate::server) fn new(dir: &Path) -> Self {
        Self(Arc::from(dir))
    }

    /// Looks where it may take a while.
    fn look<T: Send + 'static>(
        &self,
        path: PathBuf,
        look: fn(&Path, &Path) -> io::Result<T>,
    ) -> BoxFuture<'static, io::Result<T>> {
        let root = Arc::clone(&self.0);
        Box::pin(async move {
            let looked = tokio::task::spawn_blocking(move || look(&root, &path));
            looked.await.map_err(io::Error::other)?
        })
    }
}

impl Backend for Confined {
    type File = Opened;
    type Metadata = Metadata;
    type OpenFuture = BoxFuture<'static, io::Result<Opened>>;
    type MetadataFuture = BoxFuture<'static, io::Result<Metadata>>;

    fn open(&self, path: PathBuf) -> Self::OpenFuture {
        self.look(path, open)
    }

    fn metadata(&self, path: PathBuf) -> Self::MetadataFuture {
        self.look(path, |root, path| Ok(find(root, path)?.1))
    }
}

fn open(root: &Path, path: &Path) -> io::Result<Opened> {
    let file = open_found(&find(root, path)?.0)?;
    let facts = file.metadata()?;
    if !facts.is_file() {
        return Err(ErrorKind::NotFound.into());
    }
    Ok(Opened {
        facts,
        file: file.into(),
    })
}

/// Opens what was found at a path without links. Something else may have been put there since: a link is not followed, and a pipe
/// does not keep anybody waiting for who writes into it.
fn open_found(real: &Path) -> io::Result<fs::File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOFOLLOW;
    let opened = match openat2(CWD, real, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS) {
        // Old kernels do not know it, some sandboxes do not allow it: then only the last name of the path is sure to be no link.
        Err(Errno::NOSYS | Errno::PERM) => rustix::fs::open(real, flags, Mode::empty()),
        opened => opened,
    };
    Ok(opened?.into())
}

/// A file, or a folder with a page, and where it really is. All else, such as a pipe, which may wait for ever, is not there.
fn find(root: &Path, path: &Path) -> io::Result<(PathBuf, Metadata)> {
    let root = root.canonicalize()?;
    let real = inside(&root, path)?;
    let facts = real.metadata()?;
    if facts.is_dir() {
        inside(&root, &real.join(PAGE))?;
    } else if !facts.is_file() {
        return Err(ErrorKind::NotFound.into());
    }
    Ok((real, facts))
}

/// Where a path leads when links are followed: as far as they stay in the folder.
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

impl File for Opened {
    type Metadata = Metadata;
    type MetadataFuture<'a> = Ready<io::Result<Metadata>>;

    fn metadata(&self) -> Self::MetadataFuture<'_> {
        ready(Ok(self.facts.clone()))
    }
}

impl AsyncRead for Opened {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.file).poll_read(context, buffer)
    }
}

impl AsyncSeek for Opened {
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
