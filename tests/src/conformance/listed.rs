//! The tests that the sources list in `clauses!`.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::clauses::{Way, record};
use crate::probe::Language;
use crate::sources;

/// A listed test and the ways through which it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    /// The name of the test function.
    pub(super) name: String,
    /// The name of the file in `tests/tests` that has the function.
    pub(super) file: String,
    /// The ways, in the order of the table's columns.
    pub(super) ways: Vec<Way>,
    /// The ids of the tested clauses, for example `B4`.
    pub(super) clauses: Vec<String>,
}

impl Listed {
    /// Returns the name of the record that the test writes when it passes through this way with the probe in this
    /// language.
    pub(super) fn record(&self, way: Way, language: Language) -> String {
        record(&self.name, way, language)
    }

    /// Returns true if the test covers the clause through this way.
    pub(super) fn covers(&self, clause: &str, way: Way) -> bool {
        self.ways.contains(&way) && self.clauses.iter().any(|it| it == clause)
    }
}

/// Reads all lists. The tests are in the order of the files and of the lists in each file.
pub(super) fn all() -> Result<Vec<Listed>> {
    let folder = sources().join("tests");
    let files = fs::read_dir(&folder)?.map(|entry| Ok(entry?.path()));
    let mut files = files.collect::<Result<Vec<_>>>()?;
    files.retain(|file| file.extension().is_some_and(|end| end == "rs"));
    files.sort_unstable();
    let mut all = Vec::new();
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let text = fs::read_to_string(&file).with_context(|| name.to_string())?;
        all.extend(of_file(&name, &text).with_context(|| name.to_string())?);
    }
    Ok(all)
}

fn of_file(file: &str, text: &str) -> Result<Vec<Listed>> {
    let mut all = Vec::new();
    for block in text.split("\nclauses! {\n").skip(1) {
        let (block, _) = block.split_once("\n}").context("a list without an end")?;
        for list in block.split(';').map(str::trim).filter(|it| !it.is_empty()) {
            let (ways, names) = list.split_once(':').context("a list without ways")?;
            let mut ways = ways
                .split_whitespace()
                .map(way)
                .collect::<Result<Vec<_>>>()?;
            ways.sort_unstable();
            all.extend(names.split_whitespace().map(|name| Listed {
                name: name.to_owned(),
                file: file.to_owned(),
                ways: ways.clone(),
                clauses: clauses_of(name),
            }));
        }
    }
    Ok(all)
}

fn way(name: &str) -> Result<Way> {
    match Way::ALL.into_iter().find(|way| way.name() == name) {
        Some(way) => Ok(way),
        None => bail!("there is no way {name}"),
    }
}

/// Returns the ids of the clauses with which the name of a test begins: `b04_…`, `b15_b16_…`, and `r04_to_r06_…` for a
/// range.
fn clauses_of(test: &str) -> Vec<String> {
    let (mut clauses, mut last, mut is_range) = (Vec::new(), None, false);
    for word in test.split('_') {
        match (id_of(word), last) {
            (Some((letter, number)), Some((_, first))) if is_range => {
                clauses.extend((first + 1..=number).map(|number| format!("{letter}{number}")));
                (last, is_range) = (Some((letter, number)), false);
            }
            (Some((letter, number)), _) => {
                clauses.push(format!("{letter}{number}"));
                last = Some((letter, number));
            }
            (None, Some(_)) if word == "to" => is_range = true,
            _ => break,
        }
    }
    clauses
}

/// Parses the letter and the number of an id such as `b04`. The letter is returned in upper case.
fn id_of(word: &str) -> Option<(char, u32)> {
    let letter = word.chars().next().filter(|it| "abcdr".contains(*it))?;
    let digits = word.get(1..).filter(|digits| digits.len() == 2)?;
    Some((letter.to_ascii_uppercase(), digits.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_begins_with_its_clauses() {
        for (name, clauses) in [
            ("b04_what_is_no_url_is_400", &["B4"][..]),
            (
                "r01_r04_to_r06_r12_answers",
                &["R1", "R4", "R5", "R6", "R12"],
            ),
            ("a01_to_be", &["A1"]),
            ("g13_faults", &[]),
            ("b4_short", &[]),
        ] {
            assert_eq!(clauses_of(name), clauses, "{name}");
        }
    }

    #[test]
    fn lists_are_found_in_sources() {
        let text = "use x;\n\nclauses! {\n    http event_polling:\n        a01_one\n        a02_two;\n    http: b01_three;\n}\n\nfn x() {}\n";
        let found = of_file("x.rs", text).expect("well formed");
        let names: Vec<_> = found.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["a01_one", "a02_two", "b01_three"]);
        assert_eq!(found[1].ways, [Way::Http, Way::EventPolling]);
        assert!(of_file("x.rs", "\nclauses! {\n    ftp: a01_one;\n}").is_err());
    }
}
