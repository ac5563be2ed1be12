//! The guest `probe`, which is written in several languages. Tests ask for it as `guest("probe")`, and get it in the
//! language that was chosen: by [`choose`] for the thread of a test, or else by `HITCHY_TESTS_PROBE` (`rust`, `js` or
//! `python`) in the environment, or else in Rust.

use std::cell::Cell;
use std::sync::OnceLock;

use serde::Deserialize;

/// The source of the probe in JavaScript, which is served as it is.
const SCRIPT: &str = include_str!("../fixtures/js/probe.js");

/// A language in which the probe is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub enum Language {
    /// `fixtures/probe`.
    #[serde(rename = "rust")]
    Rust,
    /// `fixtures/js/probe.js`.
    #[serde(rename = "js")]
    JavaScript,
    /// `fixtures/python/probe.py`.
    #[serde(rename = "python")]
    Python,
}

impl Language {
    /// All languages, in the order of the table's columns.
    pub const ALL: [Self; 3] = [Self::Rust, Self::JavaScript, Self::Python];

    /// The languages with which every run of the tests asks the probe. The probe in Python is a whole interpreter that
    /// has to be compiled first, so its tests run when `HITCHY_TESTS_PROBE=python` asks for them.
    pub const TESTED: [Self; 2] = [Self::Rust, Self::JavaScript];

    /// Returns the short name, as `HITCHY_TESTS_PROBE` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::JavaScript => "js",
            Self::Python => "python",
        }
    }

    /// Returns the name for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Rust => "Rust",
            Self::JavaScript => "JavaScript",
            Self::Python => "Python",
        }
    }

    /// Returns true if the probe in this language can be built here. Says so if its compiler is missing.
    pub fn is_available(self) -> bool {
        self != Self::Python || python().is_some()
    }
}

thread_local! {
    /// The language that was chosen for the test on this thread.
    static CHOSEN: Cell<Option<Language>> = const { Cell::new(None) };
    /// True if the test on this thread has asked for the probe. Each test runs on a thread of its own.
    static WAS_ASKED_FOR: Cell<bool> = const { Cell::new(false) };
}

/// Chooses the language of the probe for the test on this thread, and forgets that the test has asked for it.
pub fn choose(language: Language) {
    CHOSEN.set(Some(language));
    WAS_ASKED_FOR.set(false);
}

/// Returns true if the test on this thread has asked for the probe after the last call of [`choose`].
pub fn was_asked_for() -> bool {
    WAS_ASKED_FOR.get()
}

/// Returns the only language that is to be tested, or `None` if the environment names none.
///
/// # Panics
/// Panics if the environment names a language in which there is no probe.
pub fn only() -> Option<Language> {
    let name = std::env::var("HITCHY_TESTS_PROBE").ok()?;
    let named = Language::ALL.into_iter().find(|it| it.name() == name);
    Some(named.unwrap_or_else(|| panic!("HITCHY_TESTS_PROBE: there is no probe in {name}")))
}

/// Returns the language of the probe for the test on this thread.
fn chosen() -> Language {
    CHOSEN.get().or_else(only).unwrap_or(Language::Rust)
}

/// Returns the file that the handlers folder gets, or `None` for the probe in Rust, which is built with the other
/// guests.
///
/// # Panics
/// Panics if the compiler of Python is missing.
pub(crate) fn file() -> Option<Vec<u8>> {
    WAS_ASKED_FOR.set(true);
    match chosen() {
        Language::Rust => None,
        Language::JavaScript => Some(SCRIPT.as_bytes().to_vec()),
        Language::Python => Some(python().expect("Python is there").clone()),
    }
}

/// Returns the name that the file of the probe has in the handlers folder of a test that calls it `probe.wasm`.
pub fn file_name() -> &'static str {
    match chosen() {
        Language::JavaScript => "probe.js",
        Language::Rust | Language::Python => "probe.wasm",
    }
}

/// Returns the path under which a file comes into the handlers folder. Tests put the probe there as `….wasm`; a script
/// is served only as `….js`.
pub(crate) fn path_of(path: &str, bytes: &[u8]) -> String {
    match path.strip_suffix(".wasm") {
        Some(stem) if is_script(bytes) => format!("{stem}.js"),
        _ => path.to_owned(),
    }
}

/// Returns true for the probe in JavaScript, also if something was appended to it.
pub(crate) fn is_script(bytes: &[u8]) -> bool {
    bytes.starts_with(SCRIPT.as_bytes())
}

/// Returns true if the file takes long to compile, which should not be done again by every test.
pub(crate) fn compiles_slowly(bytes: &[u8]) -> bool {
    chosen() == Language::Python && python().is_some_and(|probe| bytes.starts_with(probe))
}

/// Builds the probe in Python on the first call.
fn python() -> Option<&'static Vec<u8>> {
    static PYTHON: OnceLock<Option<Vec<u8>>> = OnceLock::new();
    PYTHON
        .get_or_init(|| crate::toolchains::python("probe"))
        .as_ref()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guests::{guest, stamped};

    #[test]
    fn a_script_is_served_under_its_own_ending() {
        choose(Language::JavaScript);
        let probe = guest("probe");
        assert!(was_asked_for());
        assert_eq!(file_name(), "probe.js");
        assert_eq!(path_of("probe.wasm", &probe), "probe.js");
        assert_eq!(path_of("a/b.wasm", &stamped(&probe, "newer")), "a/b.js");
        assert_eq!(path_of("probe.wasm", b"\0asm"), "probe.wasm");
        assert_eq!(path_of("probe.toml", &probe), "probe.toml");
    }

    #[test]
    fn another_version_of_a_script_has_a_comment_more() {
        let newer = stamped(SCRIPT.as_bytes(), "newer");
        assert_eq!(newer, format!("{SCRIPT}\n// newer\n").into_bytes());
    }
}
