//! Where a setting stands: in which file, environment variable or flag.

use std::fmt;
use std::path::PathBuf;

/// The name of the settings file when nobody says another.
pub const FILE: &str = "hitchy.toml";

/// Where a value stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nowhere: it is the default.
    Default,
    /// In this settings file or sidecar.
    File(PathBuf),
    /// In this environment variable.
    Variable(String),
    /// In this flag.
    Flag(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => path.display().fmt(f),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}
