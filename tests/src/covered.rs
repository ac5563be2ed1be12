//! Which languages are shown to use which parts of Hitchy. A test that has shown it writes a record, and the program
//! `conformance` makes the table of languages in `docs/conformance.md` from the records.

use std::fs;
use std::path::PathBuf;

/// The languages, as `hitchy new --lang` takes them, with their names for people.
pub const LANGUAGES: [(&str, &str); 6] = [
    ("rust", "Rust"),
    ("js", "JavaScript"),
    ("ts", "TypeScript"),
    ("python", "Python"),
    ("c", "C"),
    ("go", "Go"),
];

/// A part of Hitchy that a handler can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A route answers over HTTP.
    Http,
    /// A route answers a `request` over a socket.
    Request,
    /// A listener acks an event.
    Event,
    /// A handler emits to other clients.
    Broadcast,
    /// Hooks decide who gets in, and greet.
    Hooks,
    /// A policy runs before a route.
    Policies,
    /// What was stored is there in a later call.
    KeyValue,
    /// A handler calls another server.
    Outgoing,
    /// A schedule runs.
    Schedule,
}

impl Part {
    /// All parts, in the order of the table's columns.
    pub const ALL: [Self; 9] = [
        Self::Http,
        Self::Request,
        Self::Event,
        Self::Broadcast,
        Self::Hooks,
        Self::Policies,
        Self::KeyValue,
        Self::Outgoing,
        Self::Schedule,
    ];

    /// Returns the title of the column.
    pub fn title(self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::Request => "`request`",
            Self::Event => "event with ack",
            Self::Broadcast => "broadcast",
            Self::Hooks => "hooks",
            Self::Policies => "policies",
            Self::KeyValue => "key-value",
            Self::Outgoing => "outgoing HTTP",
            Self::Schedule => "schedule",
        }
    }
}

/// Notes that the running test has shown that a handler in this language uses these parts. Call it after the last
/// assertion about them.
///
/// # Panics
/// Panics if there is no such language, or if the record cannot be written.
pub fn covers(language: &str, parts: &[Part]) {
    assert!(
        LANGUAGES.iter().any(|(name, _)| *name == language),
        "{language} is no language of the table"
    );
    fs::create_dir_all(records()).expect("the folder of records can be made");
    for part in parts {
        fs::write(records().join(record(language, *part)), "").expect("the record can be written");
    }
}

/// Returns the name of the record of a field of the table.
pub fn record(language: &str, part: Part) -> String {
    format!("{language}.{part:?}")
}

/// Returns the folder of the records. It has one empty file for each field of the table that a test has shown.
pub fn records() -> PathBuf {
    crate::target_dir().join("languages")
}
