//! Finds the file of a request, or its compressed copy, and what the headers of the answer say about it.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::confined::{self, Found, PAGE};
use super::content::{Content, Contents};
use super::media_type::{Kind, media_type};
use super::preferences::Encoding;
use super::version::Version;
use crate::stamp::Stamp;

/// A lookup, which blocks.
pub(super) struct Lookup<'a> {
    pub(super) root: &'a Path,
    /// The path below the folder, decoded.
    pub(super) path: &'a Path,
    /// True if the path was sent with a slash at its end, or is the folder itself.
    pub(super) slash: bool,
    /// The encodings that are better for the client than the file as it is, the best first.
    pub(super) encodings: &'a [Encoding],
    pub(super) contents: &'a Contents,
}

/// The result of a lookup.
#[derive(Default)]
pub(super) struct LookedUp {
    pub(super) found: Option<Answered>,
    /// A reason for which a file that is there cannot be served.
    pub(super) error: Option<io::Error>,
}

/// What a path leads to.
pub(super) enum Answered {
    File(Selected),
    /// A folder with a page, whose path has to be written with a slash at its end.
    Folder,
}

/// An open file that is served.
pub(super) struct Selected {
    pub(super) file: File,
    pub(super) length: u64,
    pub(super) content_type: String,
    pub(super) encoding: Option<Encoding>,
    pub(super) version: Version,
}

impl Lookup<'_> {
    /// Finds the file.
    pub(super) fn run(&self) -> LookedUp {
        let mut looked_up = LookedUp::default();
        match self.answered(&mut looked_up.error) {
            Ok(found) => looked_up.found = found,
            Err(error) => looked_up.error = Some(error).filter(is_worth_logging),
        }
        looked_up
    }

    fn answered(&self, error: &mut Option<io::Error>) -> io::Result<Option<Answered>> {
        let path = self.root.join(self.path);
        let plain = confined::open(self.root, &path);
        let (path, plain) = match plain {
            Ok(Found::Folder) if !self.slash => return Ok(Some(Answered::Folder)),
            Ok(Found::Folder) => {
                let page = path.join(PAGE);
                let plain = self.file(&page);
                (page, plain)
            }
            // A path with a slash at its end never names a file.
            Ok(Found::File(_)) if self.slash => return Ok(None),
            Ok(Found::File(file)) => (path, Ok(file)),
            Err(error) => (path, Err(error)),
        };
        if self.slash && plain.is_err() {
            return plain.map(|_| None);
        }
        self.select(&path, plain, error)
            .map(|file| Some(Answered::File(file)))
    }

    fn file(&self, path: &Path) -> io::Result<File> {
        match confined::open(self.root, path)? {
            Found::File(file) => Ok(file),
            Found::Folder => Err(ErrorKind::NotFound.into()),
        }
    }

    /// Selects the copy that suits the client best, or the file itself. A copy that cannot be served is passed over.
    fn select(
        &self,
        path: &Path,
        plain: io::Result<File>,
        error: &mut Option<io::Error>,
    ) -> io::Result<Selected> {
        let media_type = media_type(path);
        let kind = Kind::of(media_type);
        let content = plain
            .as_ref()
            .ok()
            .and_then(|file| self.content(file, kind).ok());
        let is_utf8 = content.is_some_and(|content| content.1.is_utf8);
        let charset = if is_utf8 { "; charset=utf-8" } else { "" };
        let content_type = format!("{media_type}{charset}");
        for encoding in self.encodings {
            match self.file(&with_suffix(path, encoding.suffix())) {
                Ok(copy) => return self.selected(copy, content_type, Kind::Other, Some(*encoding)),
                Err(cause) if is_worth_logging(&cause) => *error = Some(cause),
                Err(_) => {}
            }
        }
        self.selected(plain?, content_type, kind, None)
    }

    fn selected(
        &self,
        file: File,
        content_type: String,
        kind: Kind,
        encoding: Option<Encoding>,
    ) -> io::Result<Selected> {
        let (stamp, content) = self.content(&file, kind)?;
        let prefix = encoding.map(|encoding| format!("{}.", encoding.name()));
        let prefix = prefix.unwrap_or_default();
        let tag = content.tag.map(|tag| format!("\"{prefix}{tag}\""));
        Ok(Selected {
            file,
            length: stamp.size(),
            content_type,
            encoding,
            version: Version::new(tag, &stamp, SystemTime::now()),
        })
    }

    fn content(&self, file: &File, kind: Kind) -> io::Result<(Stamp, Content)> {
        let stamp = Stamp::of(&file.metadata()?);
        Ok((stamp, self.contents.of(file, stamp, kind)?))
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Returns false for the errors of paths that lead to nothing.
fn is_worth_logging(error: &io::Error) -> bool {
    use ErrorKind::{InvalidFilename, InvalidInput, NotADirectory, NotFound};
    !matches!(
        error.kind(),
        NotFound | NotADirectory | InvalidFilename | InvalidInput
    )
}
