//! The source of a setting: the file, the environment variable or the flag that sets it.

use std::fmt;
use std::path::PathBuf;

/// Name of the settings file if `--config` does not give another path.
pub const FILE: &str = "hitchy.toml";

/// Source of the value of a setting. Its `Display` is used in errors and in `--print-config`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The table of keys, because no other source sets the value.
    Default,
    /// The settings file or sidecar with this path.
    File(PathBuf),
    /// The environment variable with this name.
    Variable(String),
    /// The flag with this name: `--listen`.
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
