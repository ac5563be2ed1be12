//! Renders the conformance table as a Markdown page.

use std::fmt::{Display, Formatter, Result};

use super::guests::OTHERS;
use super::listed::Listed;
use super::{Clause, Part, Table};
use crate::clauses::Way;
use crate::probe::Language;

const HEAD: &str = "\
# Conformance

Each clause of the product is a test, through every way into the server that can express it. A test that calls the guest `probe`
runs with the probe in Rust (`tests/fixtures/probe`) and in JavaScript (`tests/fixtures/js/probe.js`). There is one in Python too
(`tests/fixtures/python/probe.py`), with which the tests run when `HITCHY_TESTS_PROBE=python` is set. This page is made of the tests
that passed, by

```sh tests
cargo test --workspace
target/debug/conformance
```

and `target/debug/conformance --check` says whether it is what the last run gives, and whether every field has a test or a reason.
What the clauses say in short, the reasons, and the tests that are left out with a guest, stand in `tests/clauses.toml`; the lists of
tests are the `clauses!` of `tests/tests/*.rs`. That a test calls the probe is seen in its run.
";

const LANGUAGES: &str = "\
## Languages

A tick says that a test has a handler in that language do it. An empty field has no test: C and Go have the whole contract by
`hitchy bindings`, but what `hitchy new` makes of them, which is what is tested, has a route and a listener alone.

";

impl Table {
    /// Renders the page as Markdown.
    pub fn render(&self) -> String {
        Page(self).to_string()
    }

    /// Returns the letters by which the page refers to a reason, or `?` for an unknown reason.
    pub(super) fn letter(&self, reason: &str) -> String {
        let place = self.clauses.reason.iter().position(|it| it.id == reason);
        let letter = |place: usize| char::from(b'a' + u8::try_from(place % 26).unwrap_or(0));
        match place {
            None => "?".to_owned(),
            Some(place) if place < 26 => letter(place).to_string(),
            Some(place) => format!("{}{}", letter(place / 26 - 1), letter(place)),
        }
    }

    /// Renders a field: the number of tests that passed, or the letter of the reason for having none.
    fn field(&self, clause: &Clause, way: Way) -> String {
        match (self.count(&clause.id, way), clause.reason(way)) {
            (0, Some(reason)) => format!("[{}](#reasons)", self.letter(reason)),
            (0, None) => "**none**".to_owned(),
            (count, _) => count.to_string(),
        }
    }
}

struct Page<'a>(&'a Table);

impl Display for Page<'_> {
    fn fmt(&self, page: &mut Formatter<'_>) -> Result {
        let table = self.0;
        let runs = table.listed.iter().map(|test| table.passed(test).count());
        let runs: Vec<_> = runs.filter(|ways| *ways > 0).collect();
        let (tests, runs) = (runs.len(), runs.iter().sum::<usize>());
        let clauses = table.clauses.clause.len();
        let mut more = Vec::new();
        for language in OTHERS {
            let with = |test: &Listed| {
                let ways = table.probed(test).map(|way| test.record(way, language));
                ways.filter(|it| table.records.contains_key(it)).count()
            };
            let count = table.listed.iter().map(with).sum::<usize>();
            more.push(format!("{count} more with {}", language.title()));
        }
        let more = more.join(", ");
        write!(
            page,
            "{HEAD}\n{clauses} clauses, {tests} tests, {runs} runs through all ways, {more}.\n\n"
        )?;
        self.matrix(page)?;
        self.reasons(page)?;
        write!(page, "{LANGUAGES}")?;
        table.languages.render(page)?;
        for part in &table.clauses.part {
            self.part(page, part)?;
        }
        Ok(())
    }
}

impl Page<'_> {
    fn matrix(&self, page: &mut Formatter<'_>) -> Result {
        writeln!(page, "## The table\n")?;
        writeln!(
            page,
            "A number counts the tests of a field; a letter is the reason why there are none. The columns of guests count the \
             tests\nthat call the probe, of all ways; a letter there is the reason why a test is left out, and a dash says that \
             no test of\nthe clause calls the probe.\n"
        )?;
        let ways = Way::ALL.map(title).join(" | ");
        let guests = Language::TESTED.map(Language::title).join(" | ");
        let line = "---|".repeat(1 + Way::ALL.len() + Language::TESTED.len());
        writeln!(page, "| clause | {ways} | {guests} |\n|{line}")?;
        for clause in &self.0.clauses.clause {
            let ways = Way::ALL.map(|way| self.0.field(clause, way)).join(" | ");
            let guests = Language::TESTED.map(|it| self.0.field_of_guest(clause, it));
            let guests = guests.join(" | ");
            let (id, anchor) = (&clause.id, clause.id.to_lowercase());
            writeln!(page, "| [{id}](#{anchor}) | {ways} | {guests} |")?;
        }
        writeln!(page)
    }

    fn reasons(&self, page: &mut Formatter<'_>) -> Result {
        writeln!(page, "## Reasons\n")?;
        for reason in &self.0.clauses.reason {
            writeln!(page, "- **{}**: {}", self.0.letter(&reason.id), reason.says)?;
        }
        writeln!(page)
    }

    fn part(&self, page: &mut Formatter<'_>, part: &Part) -> Result {
        writeln!(page, "## {}. {}\n", part.id, part.title)?;
        let clauses = self.0.clauses.clause.iter();
        for clause in clauses.filter(|clause| clause.id.starts_with(&part.id)) {
            self.clause(page, clause)?;
        }
        Ok(())
    }

    fn clause(&self, page: &mut Formatter<'_>, clause: &Clause) -> Result {
        writeln!(page, "### {}\n\n{}\n", clause.id, clause.says)?;
        if let Some(note) = &clause.note {
            writeln!(page, "{note}\n")?;
        }
        let of_clause = |test: &&Listed| test.clauses.contains(&clause.id);
        let mut any = false;
        for test in self.0.listed.iter().filter(of_clause) {
            let ways: Vec<_> = self.0.passed(test).map(title).collect();
            if !ways.is_empty() {
                any = true;
                let (name, file, ways) = (&test.name, &test.file, ways.join(", "));
                let guests = self.guests(test);
                writeln!(page, "- `{name}` ({file}): {ways}{guests}")?;
            }
        }
        if any { writeln!(page) } else { Ok(()) }
    }
}

impl Page<'_> {
    /// Renders with which guests a test ran. Empty for a test that does not call the probe.
    fn guests(&self, test: &Listed) -> String {
        let table = self.0;
        if table.probed(test).next().is_none() {
            return String::new();
        }
        let with = Language::TESTED
            .into_iter()
            .filter(|it| table.passed_with(test, *it));
        let with: Vec<_> = with.map(Language::title).collect();
        let mut text = format!("; {}", with.join(", "));
        for language in Language::TESTED {
            if let Some(left_out) = table.left_out(test, language) {
                let letter = table.letter(&left_out.reason);
                text += &format!("; not {} ([{letter}](#reasons))", language.title());
            }
        }
        text
    }
}

/// Returns the title of a way on the page.
fn title(way: Way) -> &'static str {
    match way {
        Way::Http => "HTTP",
        Way::RequestWebsocket => "request websocket",
        Way::RequestPolling => "request polling",
        Way::EventWebsocket => "event websocket",
        Way::EventPolling => "event polling",
    }
}
