//! The errors of settings, one sentence each: where the setting stands, what it says, and what would be accepted.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::source::{FILE, Source};

/// The reason for which settings were refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The settings file is not there or cannot be read.
    #[error("cannot read the settings file {}: {cause}", .path.display())]
    Read {
        /// The file that was asked for.
        path: PathBuf,
        /// The error of the system.
        #[source]
        cause: io::Error,
    },

    /// The file is not TOML.
    #[error("{}:{line}:{column}: {message}", .path.display())]
    Syntax {
        /// The path of the file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
        /// The message of the parser.
        message: String,
    },

    /// A key that no setting has.
    #[error("{from}: unknown key {key}; {}", hint(.nearest))]
    UnknownKey {
        /// The source in which it stands.
        from: Source,
        /// The key with its section.
        key: String,
        /// The most similar known key.
        nearest: Option<String>,
    },

    /// A key that is not for one handler.
    #[error("{from}: unknown key {key}; {}", handler_hint(.nearest, .known, *.is_section))]
    UnknownHandlerKey {
        /// The settings file or the sidecar in which it stands.
        from: Source,
        /// The key, in the settings file with its section.
        key: String,
        /// The most similar known key.
        nearest: Option<String>,
        /// All that may be set for one handler.
        known: Vec<&'static str>,
        /// True if it is a section, which settings of a handler do not have.
        is_section: bool,
    },

    /// A `HITCHY_` variable that no setting has.
    #[error("unknown environment variable {name}; {}", hint(.nearest))]
    UnknownVariable {
        /// The name of the variable.
        name: String,
        /// The most similar known variable.
        nearest: Option<String>,
    },

    /// A variable for the settings of one handler: names of files cannot be told from names of variables.
    #[error(
        "{name}: settings of one handler are not read from the environment; write them in [handler.NAME] or in NAME.toml beside the handler"
    )]
    HandlerVariable {
        /// The name of the variable.
        name: String,
    },

    /// A variable for `[dev]`, whose values are tables.
    #[error(
        "{name}: what `hitchy dev` runs is not read from the environment; write it in [dev] of {}",
        FILE
    )]
    DevVariable {
        /// The name of the variable.
        name: String,
    },

    /// A `HITCHY_` variable that is not UTF-8.
    #[error("{name} is not valid UTF-8")]
    NotText {
        /// Its name, what is not UTF-8 replaced.
        name: String,
    },

    /// A value where a section belongs.
    #[error("{from}: {section} is a section, written [{section}], not a value")]
    NotASection {
        /// The source in which it stands.
        from: Source,
        /// The name of the section.
        section: String,
    },

    /// A section named after no possible handler.
    #[error(
        "{from}: {name:?} is not the name of a handler; write the path of its file below the handlers folder without .wasm, for example \"api/shop\""
    )]
    NotAHandler {
        /// The source in which it stands.
        from: Source,
        /// The name that was written.
        name: String,
    },

    /// A value of another kind than the key's.
    #[error("{written} is not {expected}; write for example {example}")]
    WrongValue {
        /// The value that was written, and its source.
        written: Box<Written>,
        /// The kind of value that the key takes.
        expected: String,
        /// A value that would be accepted, as TOML.
        example: String,
    },

    /// A value of the right kind that is too small or too large.
    #[error("{written} is out of bounds; it may be from {min} to {max}")]
    OutOfBounds {
        /// The value that was written, and its source.
        written: Box<Written>,
        /// The smallest accepted, as TOML.
        min: String,
        /// The largest accepted, as TOML.
        max: String,
    },

    /// A value that is fine alone and impossible beside another one.
    #[error("{written} is more than {other} = {limit}; lower the first or raise the second")]
    Exceeds {
        /// The value that was written, and its source.
        written: Box<Written>,
        /// The key it must not exceed.
        other: &'static str,
        /// That key's value as TOML.
        limit: String,
    },
}

/// A key and its value, and where they stand.
#[derive(Debug)]
pub struct Written {
    /// The source in which it stands.
    pub from: Source,
    /// The key with its section, in a sidecar without.
    pub key: String,
    /// The value, written as TOML.
    pub value: String,
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} = {}", self.from, self.key, self.value)
    }
}

fn handler_hint(nearest: &Option<String>, known: &[&str], is_section: bool) -> String {
    let all = known.join(", ");
    match nearest {
        Some(nearest) => format!("did you mean {nearest}? For one handler there are {all}"),
        None if is_section => format!("the settings of one handler have no sections: {all}"),
        None => format!("for one handler there are {all}"),
    }
}

fn hint(nearest: &Option<String>) -> String {
    match nearest {
        Some(nearest) => format!("did you mean {nearest}?"),
        None => "`hitchy serve --print-config` shows all there are".to_owned(),
    }
}
