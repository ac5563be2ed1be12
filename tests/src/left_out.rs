//! The tests of clauses that are not run with the probe of a language, because what they ask for cannot be said in that
//! language. `tests/clauses.toml` has them, each with its reason.

use std::fs;
use std::sync::OnceLock;

use serde::Deserialize;

use crate::probe::Language;
use crate::sources;

/// A test that is left out with one language.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftOut {
    /// The name of the test function.
    pub test: String,
    /// The language of the probe.
    pub guest: Language,
    /// The id of the reason.
    pub reason: String,
}

/// The part of `tests/clauses.toml` that is read here.
#[derive(Deserialize)]
struct File {
    #[serde(default, rename = "left-out")]
    left_out: Vec<LeftOut>,
}

/// Returns true if the test is left out with the probe in this language.
///
/// # Panics
/// Panics if `tests/clauses.toml` cannot be read.
pub fn is_left_out(test: &str, language: Language) -> bool {
    static ALL: OnceLock<Vec<LeftOut>> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        let file = sources().join("clauses.toml");
        let text = fs::read_to_string(file).expect("clauses.toml can be read");
        let file: File = toml::from_str(&text).expect("clauses.toml is well formed");
        file.left_out
    });
    all.iter()
        .any(|one| one.test == test && one.guest == language)
}
