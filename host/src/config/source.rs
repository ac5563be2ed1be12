//! The source of a setting: a file, an environment variable or a flag.

use std::fmt;
use std::path::PathBuf;

/// The name of the settings file when nobody says another.
pub const FILE: &str = "hitchy.toml";

/// The place in which a value is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The value is the default.
    Default,
    /// This settings file or sidecar.
    File(PathBuf),
    /// This environment variable.
    Variable(String),
    /// This flag.
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
