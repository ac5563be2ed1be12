//! What settings are read from: the file, the environment and the command line.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use super::source::FILE;

/// Environment variable with the URL of the server that `hitchy request`, `emit` and `listen` connect to. It is not a
/// setting.
pub const CLIENT_VARIABLE: &str = "HITCHY_URL";

/// Inputs of [`Config::load`](super::Config::load).
#[derive(Clone, Default)]
pub struct Sources {
    /// Path of the settings file given by `--config`; this file must exist. With `None`, [`FILE`] is read if it
    /// exists.
    pub file: Option<PathBuf>,
    /// Folder in which [`FILE`] is searched and from which relative paths start, as in `hitchy dev PATH`. With
    /// `None`, the file is searched in the current directory, and relative paths start from the folder of the
    /// settings file.
    pub folder: Option<PathBuf>,
    /// Environment variables, usually `std::env::vars_os().collect()`. Those that begin with `HITCHY_` are
    /// settings; secrets are read from the others.
    pub env: Vec<(OsString, OsString)>,
    /// Flags of the command line. A later flag overrides an earlier one of the same key. Relative paths in flags and
    /// in `env` start from the current directory.
    pub flags: Vec<Flag>,
}

impl fmt::Debug for Sources {
    /// Leaves the environment out, which has secrets.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sources = formatter.debug_struct("Sources");
        sources
            .field("file", &self.file)
            .field("folder", &self.folder)
            .field("flags", &self.flags)
            .finish_non_exhaustive()
    }
}

/// A flag of the command line that sets a key.
#[derive(Clone, Debug)]
pub struct Flag {
    /// Name of the key in the table of keys: `server.listen`.
    pub key: &'static str,
    /// Value, written as in an environment variable.
    pub value: String,
    /// Name of the flag, for errors: `--listen`.
    pub flag: &'static str,
}

impl Sources {
    /// Returns the absolute path of the settings file, which may not exist.
    pub fn settings_file(&self) -> PathBuf {
        let file = match &self.file {
            Some(file) => file.clone(),
            None => self.folder.clone().unwrap_or_default().join(FILE),
        };
        // The file watcher reports absolute paths. Without a current directory the path stays as it is.
        std::path::absolute(&file).unwrap_or(file)
    }

    /// Returns the folder from which relative paths in the settings file start.
    pub(super) fn base(&self) -> PathBuf {
        let of_file = || self.settings_file().parent().map(Path::to_owned);
        self.folder.clone().or_else(of_file).unwrap_or_default()
    }
}
