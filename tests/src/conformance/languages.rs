//! The table of languages: which parts of Hitchy a test has shown a handler in each language to use.

use std::collections::BTreeSet;
use std::fmt::{Formatter, Result as Written};
use std::fs;

use anyhow::{Context, Result};

use crate::covered::{LANGUAGES, Part, record, records};

/// The records of the tests that have shown something of a language.
pub(super) struct Languages(BTreeSet<String>);

impl Languages {
    /// Reads the records.
    ///
    /// # Errors
    /// Fails if there are none.
    pub(super) fn read() -> Result<Self> {
        let folder = records();
        let files = fs::read_dir(&folder)
            .with_context(|| format!("{}: run the tests first", folder.display()))?;
        let names = files.map(|file| Ok(file?.file_name().to_string_lossy().into_owned()));
        Ok(Self(names.collect::<Result<_>>()?))
    }

    /// Returns the records of a run that has shown nothing.
    #[cfg(test)]
    pub(super) fn none() -> Self {
        Self(BTreeSet::new())
    }

    /// Renders the table.
    pub(super) fn render(&self, page: &mut Formatter<'_>) -> Written {
        let titles = Part::ALL.map(Part::title).join(" | ");
        let line = "---|".repeat(1 + Part::ALL.len());
        writeln!(page, "| language | {titles} |\n|{line}")?;
        for (language, title) in LANGUAGES {
            let fields = Part::ALL.map(|part| self.field(language, part)).join(" | ");
            writeln!(page, "| {title} | {fields} |")?;
        }
        writeln!(page)
    }

    fn field(&self, language: &str, part: Part) -> &'static str {
        if self.0.contains(&record(language, part)) {
            "✓"
        } else {
            ""
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Shown(Languages);

    impl std::fmt::Display for Shown {
        fn fmt(&self, page: &mut Formatter<'_>) -> Written {
            self.0.render(page)
        }
    }

    #[test]
    fn a_tick_stands_for_what_a_test_has_shown() {
        let records = [record("go", Part::Http), record("go", Part::Schedule)];
        let table = Shown(Languages(records.into())).to_string();
        let row = |language: &str| {
            let line = table.lines().find(|line| line.contains(language));
            line.expect("a row").to_owned()
        };
        assert_eq!(row("Go"), "| Go | ✓ |  |  |  |  |  |  |  | ✓ |");
        assert_eq!(row("| C |"), "| C |  |  |  |  |  |  |  |  |  |");
    }
}
