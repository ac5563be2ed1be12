//! The table of clauses, ways, guests and tests. It combines the clauses in `tests/clauses.toml`, the tests that the
//! sources list, and the records of the tests that passed in the last run.

mod guests;
mod languages;
mod listed;
mod render;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Deserialize;

use self::languages::Languages;
use self::listed::Listed;
use crate::clauses::{Way, records};
use crate::left_out::LeftOut;
use crate::probe::Language;
use crate::sources;

/// The data of the conformance table.
pub struct Table {
    clauses: Clauses,
    /// The listed tests, in the order of files and lists.
    listed: Vec<Listed>,
    /// The records of the tests that passed, with their content, by the names that [`crate::clauses::record`] returns.
    records: BTreeMap<String, String>,
    languages: Languages,
}

/// The content of `tests/clauses.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Clauses {
    part: Vec<Part>,
    reason: Vec<Reason>,
    clause: Vec<Clause>,
    #[serde(default, rename = "left-out")]
    left_out: Vec<LeftOut>,
}

/// A group of clauses.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    /// The letter with which the ids of the group's clauses begin.
    id: String,
    title: String,
}

/// A reason for an empty field of the table, or for a test that is left out with a guest.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reason {
    id: String,
    says: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Clause {
    id: String,
    says: String,
    /// A remark about what the tests of the clause leave out.
    note: Option<String>,
    /// The reasons for ways without tests. A key is a way, or `request` or `event` for both of their transports; the
    /// value is the id of a reason.
    #[serde(default)]
    without: toml::Table,
}

/// Returns the path of `docs/conformance.md`.
pub fn file() -> PathBuf {
    sources().join("../docs/conformance.md")
}

impl Table {
    /// Reads the clauses, the lists in the sources and the records.
    ///
    /// # Errors
    /// Fails if a file cannot be read, if the clauses or a list are not well formed, or if there are no records.
    pub fn read() -> Result<Self> {
        let text = fs::read_to_string(sources().join("clauses.toml"));
        let text = text.context("tests/clauses.toml")?;
        let clauses = toml::from_str(&text).context("tests/clauses.toml")?;
        let folder = records();
        let files = fs::read_dir(&folder)
            .with_context(|| format!("{}: run the tests first", folder.display()))?;
        let records = files.map(|file| {
            let file = file?;
            let name = file.file_name().to_string_lossy().into_owned();
            Ok((name, fs::read_to_string(file.path())?))
        });
        Ok(Self {
            clauses,
            listed: listed::all()?,
            records: records.collect::<Result<_>>()?,
            languages: Languages::read()?,
        })
    }

    /// Returns the problems of the table. The list is empty if every field has a test that passed or a reason.
    pub fn complaints(&self) -> Vec<String> {
        let mut complaints = self.complaints_of_tests();
        complaints.extend(self.complaints_of_left_out());
        for clause in &self.clauses.clause {
            complaints.extend(self.complaints_of_reasons(clause));
            for way in Way::ALL {
                complaints.extend(self.complaint_of_field(clause, way));
            }
        }
        let used = |reason: &&Reason| {
            let ways = self.clauses.clause.iter();
            let mut ways = ways.flat_map(|it| it.without.values());
            let mut guests = self.clauses.left_out.iter();
            ways.any(|it| it.as_str() == Some(&reason.id))
                || guests.any(|it| it.reason == reason.id)
        };
        let unused = self.clauses.reason.iter().filter(|reason| !used(reason));
        complaints
            .extend(unused.map(|it| format!("clauses.toml: the reason {} is not used", it.id)));
        complaints
    }

    /// Returns the problems of tests: listed tests that did not pass, records of tests that are not listed, and names
    /// without a known clause.
    fn complaints_of_tests(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        let mut expected = BTreeSet::new();
        for test in &self.listed {
            if test.clauses.is_empty() {
                let sentence = "its name begins with no clause";
                complaints.push(format!("{} of {}: {sentence}", test.name, test.file));
            }
            for clause in &test.clauses {
                if !self.clauses.clause.iter().any(|it| it.id == *clause) {
                    complaints.push(format!("{}: there is no clause {clause}", test.name));
                }
            }
            expected.extend(
                test.ways
                    .iter()
                    .map(|way| test.record(*way, Language::Rust)),
            );
            for language in guests::OTHERS {
                expected.extend(self.expected_with(test, language));
            }
        }
        let passed: BTreeSet<String> = self.records.keys().cloned().collect();
        let missing = expected.difference(&passed);
        complaints.extend(missing.map(|it| format!("{it} did not pass in this run")));
        let unknown = passed.difference(&expected);
        complaints.extend(unknown.map(|it| {
            format!(
                "{it} passed once and is no longer there: empty {}",
                records().display()
            )
        }));
        complaints
    }

    fn complaints_of_reasons(&self, clause: &Clause) -> Vec<String> {
        let mut complaints = Vec::new();
        for (ways, reason) in &clause.without {
            if ways_of(ways).is_empty() {
                complaints.push(format!("{}: there is no way {ways}", clause.id));
            }
            let known = self.clauses.reason.iter().map(|it| it.id.as_str());
            if !known.into_iter().any(|it| Some(it) == reason.as_str()) {
                complaints.push(format!("{}: there is no reason {reason}", clause.id));
            }
        }
        complaints
    }

    fn complaint_of_field(&self, clause: &Clause, way: Way) -> Option<String> {
        let listed = self.listed.iter().any(|test| test.covers(&clause.id, way));
        let sentence = match (listed, clause.reason(way)) {
            (false, None) => "neither a test nor a reason",
            (true, Some(_)) => "both a test and a reason",
            _ => return None,
        };
        Some(format!("{} through {}: {sentence}", clause.id, way.name()))
    }

    /// Returns the ways through which a test passed.
    fn passed(&self, test: &Listed) -> impl Iterator<Item = Way> {
        let passed = |way: &Way| {
            self.records
                .contains_key(&test.record(*way, Language::Rust))
        };
        test.ways.iter().copied().filter(passed)
    }

    /// Returns the number of tests of a clause that passed through a way.
    fn count(&self, clause: &str, way: Way) -> usize {
        let tests = self.listed.iter().filter(|test| test.covers(clause, way));
        tests
            .filter(|test| self.passed(test).any(|it| it == way))
            .count()
    }
}

impl Clause {
    /// Returns the id of the reason for a way without tests.
    fn reason(&self, way: Way) -> Option<&str> {
        let mut given = self.without.iter();
        let given = given.find(|(ways, _)| ways_of(ways).contains(&way));
        given.and_then(|(_, reason)| reason.as_str())
    }
}

/// Returns the ways that a key means: one way, or both transports of `request` or `event`.
fn ways_of(name: &str) -> Vec<Way> {
    let meant = |way: &Way| {
        let transport = way.name().strip_prefix(name);
        transport.is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
    };
    Way::ALL.into_iter().filter(meant).collect()
}
