//! The columns of guests: which tests of clauses passed with the probe in which language.
//!
//! That a test calls the probe is a fact of its run: its record says so.

use std::collections::BTreeSet;

use super::listed::Listed;
use super::{Clause, Table};
use crate::clauses::{PROBE, Way};
use crate::left_out::LeftOut;
use crate::probe::Language;

/// The languages whose runs have records of their own.
pub(super) const OTHERS: [Language; 1] = [Language::JavaScript];

impl Table {
    /// Returns the ways of a test through which it calls the probe.
    pub(super) fn probed(&self, test: &Listed) -> impl Iterator<Item = Way> {
        let calls = |way: &Way| {
            let record = self.records.get(&test.record(*way, Language::Rust));
            record.is_some_and(|content| content == PROBE)
        };
        test.ways.iter().copied().filter(calls)
    }

    /// Returns the entry that leaves a test out with a language.
    pub(super) fn left_out(&self, test: &Listed, language: Language) -> Option<&LeftOut> {
        let mut all = self.clauses.left_out.iter();
        all.find(|one| one.test == test.name && one.guest == language)
    }

    /// Returns the runs of a test that have to pass with a language other than Rust.
    pub(super) fn expected_with(&self, test: &Listed, language: Language) -> Vec<String> {
        if self.left_out(test, language).is_some() {
            return Vec::new();
        }
        let runs = self.probed(test).map(|way| test.record(way, language));
        runs.collect()
    }

    /// Returns true if a test calls the probe and has passed with a language, through every way.
    pub(super) fn passed_with(&self, test: &Listed, language: Language) -> bool {
        let mut ways = self.probed(test).peekable();
        ways.peek().is_some()
            && ways.all(|way| self.records.contains_key(&test.record(way, language)))
    }

    /// Returns the tests of a clause that call the probe.
    fn probed_of<'a>(&'a self, clause: &'a Clause) -> impl Iterator<Item = &'a Listed> {
        let of_clause = self
            .listed
            .iter()
            .filter(|test| test.clauses.contains(&clause.id));
        of_clause.filter(|test| self.probed(test).next().is_some())
    }

    /// Renders a field of the columns of guests: how many tests passed, and the letters of the reasons why others are
    /// left out. A dash stands for a clause whose tests do not call the probe.
    pub(super) fn field_of_guest(&self, clause: &Clause, language: Language) -> String {
        let passed = self
            .probed_of(clause)
            .filter(|test| self.passed_with(test, language));
        let count = passed.count();
        let mut reasons = BTreeSet::new();
        for test in self.probed_of(clause) {
            if let Some(left_out) = self.left_out(test, language) {
                reasons.insert(self.letter(&left_out.reason));
            }
        }
        let letters = reasons.iter().map(|letter| format!("[{letter}](#reasons)"));
        let letters = letters.collect::<Vec<_>>().join(" ");
        match (count, letters.is_empty()) {
            (0, true) if self.probed_of(clause).next().is_none() => "–".to_owned(),
            (0, true) => "**none**".to_owned(),
            (0, false) => letters,
            (count, true) => count.to_string(),
            (count, false) => format!("{count} {letters}"),
        }
    }

    /// Returns the problems of what is left out: tests that are not there or do not call the probe, and reasons that
    /// are not there.
    pub(super) fn complaints_of_left_out(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        for one in &self.clauses.left_out {
            let (test, guest) = (&one.test, one.guest.name());
            let Some(listed) = self.listed.iter().find(|it| it.name == *test) else {
                complaints.push(format!("clauses.toml leaves out {test}, which is no test"));
                continue;
            };
            if one.guest == Language::Rust || self.probed(listed).next().is_none() {
                let sentence = "which does not run with it in any case";
                complaints.push(format!(
                    "clauses.toml leaves out {test} with the guest {guest}, {sentence}"
                ));
            }
            if !self.clauses.reason.iter().any(|it| it.id == one.reason) {
                complaints.push(format!("{test}: there is no reason {}", one.reason));
            }
        }
        complaints
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::languages::Languages;

    /// Returns a table with one clause and two tests of it, of which `b01_called` calls the probe.
    fn table(left_out: &str, more_records: &[&str]) -> Table {
        let text = format!(
            "part = [{{ id = \"B\", title = \"B\" }}]\n\
             reason = [{{ id = \"why\", says = \"Because.\" }}]\n\
             clause = [{{ id = \"B1\", says = \"It holds.\" }}]\n\
             left-out = [{left_out}]\n"
        );
        let test = |name: &str| Listed {
            name: name.to_owned(),
            file: "b.rs".to_owned(),
            ways: vec![Way::Http, Way::RequestPolling],
            clauses: vec!["B1".to_owned()],
        };
        let of_rust = [
            ("b01_called.http", PROBE),
            ("b01_called.request_polling", PROBE),
            ("b01_alone.http", ""),
            ("b01_alone.request_polling", ""),
        ];
        let more = more_records.iter().map(|name| (*name, PROBE));
        let records = of_rust.into_iter().chain(more);
        Table {
            clauses: toml::from_str(&text).expect("well formed"),
            listed: vec![test("b01_called"), test("b01_alone")],
            records: records
                .map(|(name, content)| (name.to_owned(), content.to_owned()))
                .collect(),
            languages: Languages::none(),
        }
    }

    const IN_JS: [&str; 2] = ["b01_called.http.js", "b01_called.request_polling.js"];

    fn fields(table: &Table) -> [String; 2] {
        Language::TESTED.map(|language| table.field_of_guest(&table.clauses.clause[0], language))
    }

    #[test]
    fn a_test_that_calls_the_probe_has_to_pass_with_every_guest() {
        let all = table("", &IN_JS);
        assert_eq!(fields(&all), ["1", "1"]);
        let complaints = all.complaints();
        assert!(
            complaints.iter().all(|it| !it.contains("b01_")),
            "{complaints:?}"
        );

        let half = table("", &IN_JS[..1]);
        assert_eq!(fields(&half), ["1", "**none**"]);
        let complaints = half.complaints();
        let missing = "b01_called.request_polling.js did not pass in this run";
        assert!(complaints.iter().any(|it| it == missing), "{complaints:?}");
    }

    #[test]
    fn a_test_that_is_left_out_is_not_counted() {
        let left_out = "{ test = \"b01_called\", guest = \"js\", reason = \"why\" }";
        let table = table(left_out, &[]);
        assert_eq!(fields(&table), ["1", "[a](#reasons)"]);
        let complaints = table.complaints();
        assert!(
            complaints.iter().all(|it| !it.contains("b01_")),
            "{complaints:?}"
        );
    }

    #[test]
    fn leaving_out_needs_a_test_that_calls_the_probe_and_a_reason() {
        let left_out = "\
            { test = \"b01_alone\", guest = \"js\", reason = \"why\" }, \
            { test = \"b01_gone\", guest = \"js\", reason = \"why\" }, \
            { test = \"b01_called\", guest = \"js\", reason = \"whim\" }";
        let complaints = table(left_out, &IN_JS).complaints_of_left_out();
        assert_eq!(complaints.len(), 3, "{complaints:?}");
        for (complaint, words) in complaints.iter().zip(["b01_alone", "b01_gone", "whim"]) {
            assert!(complaint.contains(words), "{complaint}");
        }
    }

    #[test]
    fn a_clause_whose_tests_do_not_call_the_probe_has_dashes() {
        let mut table = table("", &[]);
        table.listed.remove(0);
        assert_eq!(fields(&table), ["–", "–"]);
    }
}
