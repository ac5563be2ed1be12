//! Errors in settings. Each is one sentence that names the source of the value, the value itself and what would be
//! accepted.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::source::{FILE, Source};

/// An error in settings: the first one that was found.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The settings file does not exist or cannot be read.
    #[error("cannot read the settings file {}: {cause}", .path.display())]
    Read {
        /// Path of the settings file.
        path: PathBuf,
        /// Error of the file system.
        cause: io::Error,
    },

    /// The settings file or the sidecar is not TOML.
    #[error("{}:{line}:{column}: {message}", .path.display())]
    Syntax {
        /// Path of the settings file or sidecar.
        path: PathBuf,
        /// Line of the error, counted from 1.
        line: usize,
        /// Column of the error in characters, counted from 1.
        column: usize,
        /// Description of the error by the TOML parser, on one line.
        message: String,
    },

    /// A key that no setting has.
    #[error("{from}: unknown key {key}; {}", hint(.nearest))]
    UnknownKey {
        /// Source that sets the key.
        from: Source,
        /// Key with its section.
        key: String,
        /// Most similar known key, if any is similar.
        nearest: Option<String>,
    },

    /// A key that cannot be set for one handler.
    #[error("{from}: unknown key {key}; {}", handler_hint(.nearest, .known, *.is_section))]
    UnknownHandlerKey {
        /// Settings file or sidecar that sets the key.
        from: Source,
        /// Key, with its section if the settings file sets it.
        key: String,
        /// Most similar known key, if any is similar.
        nearest: Option<String>,
        /// All keys that may be set for one handler.
        known: Vec<&'static str>,
        /// True if the key was written as a section. The settings of one handler have no sections.
        is_section: bool,
    },

    /// A variable that begins with `HITCHY_` and belongs to no setting.
    #[error("unknown environment variable {name}; {}", hint(.nearest))]
    UnknownVariable {
        /// Name of the variable.
        name: String,
        /// Most similar known variable, if any is similar.
        nearest: Option<String>,
    },

    /// A variable for the settings of one handler. They are not read from the environment, because a handler's name
    /// cannot be restored from the name of a variable.
    #[error(
        "{name}: settings of one handler are not read from the environment; write them in [handler.NAME] or in NAME.toml beside the handler"
    )]
    HandlerVariable {
        /// Name of the variable.
        name: String,
    },

    /// A variable for `[dev]`. Its values are tables, which variables cannot express.
    #[error(
        "{name}: what `hitchy dev` runs is not read from the environment; write it in [dev] of {}",
        FILE
    )]
    DevVariable {
        /// Name of the variable.
        name: String,
    },

    /// A variable that begins with `HITCHY_` and is not UTF-8.
    #[error("{name} is not valid UTF-8")]
    NotText {
        /// Name of the variable. Invalid UTF-8 in it is replaced by U+FFFD.
        name: String,
    },

    /// A value where a section belongs.
    #[error("{from}: {section} is a section, written [{section}], not a value")]
    NotASection {
        /// Settings file that contains the value.
        from: Source,
        /// Name of the section.
        section: String,
    },

    /// A section `[handler.NAME]` whose name cannot be the name of a handler.
    #[error(
        "{from}: {name:?} is not the name of a handler; write the path of its file below the handlers folder without .wasm, for example \"api/shop\""
    )]
    NotAHandler {
        /// Settings file that contains the section.
        from: Source,
        /// Name as it was written.
        name: String,
    },

    /// A value of another kind than the key's.
    #[error("{written} is not {expected}; write for example {example}")]
    WrongValue {
        /// Refused value with its key and source.
        written: Box<Written>,
        /// Kind of value that the key takes, with the article.
        expected: String,
        /// Value that would be accepted, as TOML or, for variables and flags, as text.
        example: String,
    },

    /// A value in a table that the reader of the table refuses.
    #[error("{written}: {cause}")]
    WrongEntry {
        /// Refused value with its key and source.
        written: Box<Written>,
        /// Cause and example, as a sentence.
        cause: String,
    },

    /// A value of the right kind that is too small or too large.
    #[error("{written} is out of bounds; it may be from {min} to {max}")]
    OutOfBounds {
        /// Refused value with its key and source.
        written: Box<Written>,
        /// Smallest accepted value, as TOML.
        min: String,
        /// Largest accepted value, as TOML.
        max: String,
    },

    /// A secret with the name of a key of the handler's configuration.
    #[error(
        "{from}: {key} names {name}, which is also a key of config; take it out of one of them, because the handler reads both by name"
    )]
    SecretInConfig {
        /// Source that names the secret.
        from: Source,
        /// Key that names it: `secrets` in a sidecar, `handler.chat.secrets`.
        key: String,
        /// Name of the secret.
        name: String,
    },

    /// A value that exceeds the value of another key.
    #[error("{written} is more than {other} = {limit}; lower the first or raise the second")]
    Exceeds {
        /// Refused value with its key and source.
        written: Box<Written>,
        /// Key whose value is the limit.
        other: &'static str,
        /// Value of that key, as TOML.
        limit: String,
    },

    /// A folder of the server's own that everybody could read.
    #[error(
        "{key} = {:?} is in the public folder, server.public = {:?}, whose files everybody can read; choose another folder for one of them",
        .folder.display().to_string(), .public.display().to_string()
    )]
    IsPublic {
        /// Key of the folder.
        key: &'static str,
        /// The folder.
        folder: PathBuf,
        /// The public folder.
        public: PathBuf,
    },
}

/// A value as it was written, with its key and source.
#[derive(Debug)]
pub struct Written {
    /// File, variable or flag that contains the value.
    pub from: Source,
    /// Key with its section. In a sidecar there is no section.
    pub key: String,
    /// Value, as TOML.
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
