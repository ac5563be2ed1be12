//! The page of an app with its own router, which answers where nothing else does.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::confined::{self, Found, decoded};

/// The bytes of a path that are encoded. Slashes separate its segments.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/');

/// The page that answers where nothing else does.
pub(super) struct Fallback {
    /// The path of the page below the folder, percent-encoded, with a slash at its beginning.
    pub(super) path: String,
}

/// The reason for which the file of `server.fallback` cannot be a page.
#[derive(Debug, thiserror::Error)]
pub(in crate::server) enum FallbackError {
    #[error(
        "server.fallback: there is no file {page} in {}; put it there, or remove the setting",
        dir.display()
    )]
    Missing { page: String, dir: PathBuf },
    #[error(
        "server.fallback: {page} is a folder in {}; name a file in it, such as {page}/index.html",
        dir.display()
    )]
    Folder { page: String, dir: PathBuf },
    #[error("server.fallback: {page} cannot be served: {cause}")]
    Unreadable { page: String, cause: std::io::Error },
}

impl Fallback {
    /// Checks that the file `page` can be served from the folder `dir`.
    pub(super) fn new(dir: &Path, page: &str) -> Result<Self, FallbackError> {
        let (name, root) = (page.to_owned(), dir.to_owned());
        let file = dir.join(page);
        match confined::open(dir, &file) {
            Ok(Found::File(_)) => {}
            Ok(Found::Folder) => {
                return Err(FallbackError::Folder {
                    page: name,
                    dir: root,
                });
            }
            Err(_) if file.is_dir() => {
                return Err(FallbackError::Folder {
                    page: name,
                    dir: root,
                });
            }
            Err(cause)
                if matches!(cause.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                return Err(FallbackError::Missing {
                    page: name,
                    dir: root,
                });
            }
            Err(cause) => return Err(FallbackError::Unreadable { page: name, cause }),
        }
        let path = format!("/{}", utf8_percent_encode(page, ENCODED));
        Ok(Self { path })
    }
}

/// Returns true for a path that may be one of a page app: its last segment has no dot, because what has one is a file
/// that is missing, and no segment is hidden.
pub(super) fn is_path_of_page(path: &str) -> bool {
    let last = path.rsplit('/').next().unwrap_or_default();
    let is_file = percent_decode_str(last).any(|byte| byte == b'.');
    !is_file && decoded(path).is_some()
}
