//! Renders the conformance table as a Markdown page.

use std::fmt::{Display, Formatter, Result};

use super::listed::Listed;
use super::{Clause, Part, Table};
use crate::clauses::Way;

const HEAD: &str = "\
# Conformance

Each clause of the product is a test, through every way into the server that can express it. This page is made of the tests that
passed, by

```sh tests
cargo test --workspace
target/debug/conformance
```

and `target/debug/conformance --check` says whether it is what the last run gives, and whether every field has a test or a reason.
What the clauses say in short, and the reasons, stand in `tests/clauses.toml`; the lists of tests are the `clauses!` of
`tests/tests/*.rs`.
";

impl Table {
    /// Renders the page as Markdown.
    pub fn render(&self) -> String {
        Page(self).to_string()
    }

    /// Returns the letters by which the page refers to a reason, or `?` for an unknown reason.
    fn letter(&self, reason: &str) -> String {
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
        write!(
            page,
            "{HEAD}\n{clauses} clauses, {tests} tests, {runs} runs through all ways.\n\n"
        )?;
        self.matrix(page)?;
        self.reasons(page)?;
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
            "A number counts the tests of a field; a letter is the reason why there are none.\n"
        )?;
        let titles = Way::ALL.map(title).join(" | ");
        writeln!(page, "| clause | {titles} |\n|---|---|---|---|---|---|")?;
        for clause in &self.0.clauses.clause {
            let fields = Way::ALL.map(|way| self.0.field(clause, way)).join(" | ");
            let (id, anchor) = (&clause.id, clause.id.to_lowercase());
            writeln!(page, "| [{id}](#{anchor}) | {fields} |")?;
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
                writeln!(
                    page,
                    "- `{}` ({}): {}",
                    test.name,
                    test.file,
                    ways.join(", ")
                )?;
            }
        }
        if any { writeln!(page) } else { Ok(()) }
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
