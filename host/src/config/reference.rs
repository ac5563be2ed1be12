//! Writes the reference of all settings as Markdown. `docs/settings.md` is made from it, and it is made from the
//! table of keys.

use std::fmt::Write;

use super::keys::{self, KEYS, Key};
use super::value::ValueKind;

/// Text before the tables of the reference.
const INTRODUCTION: &str = "\
# Settings

Every setting has a default; an empty or missing `hitchy.toml` is fine. A value comes from, each over the one before it:

1. the default,
2. the settings file: `hitchy.toml` in the current directory (of `hitchy dev PATH`: in `PATH`), or the one that `--config` names,
3. an environment variable,
4. a flag of the command line.

`hitchy serve --print-config` shows what is in force, and where each value stands. Unknown keys and variables are errors that name the \
nearest known one.

## How values are written

| kind | in the settings file | in a variable or flag |
|---|---|---|
| text, one of some words, a folder | `level = \"debug\"` | `debug` |
| true or false | `watch = false` | `false` |
| a whole number | `queue = 64` | `64` |
| a size: bytes, or with `KiB`, `MiB`, `GiB`, `KB`, `MB`, `GB` | `memory = \"64MiB\"` | `64MiB` |
| a length of time, with `ms`, `s`, `m`, `h` | `deadline = \"1s 500ms\"` | `1s 500ms` |
| a list | `origins = [\"https://a.example\", \"https://b.example\"]` | `https://a.example,https://b.example` |

Relative paths start from the folder of the settings file, in variables and flags from the current directory. A variable that is empty \
makes a list empty.

**When a change counts.** The settings file is read again when it is saved (unless `handlers.watch` is off). Settings marked *live* are applied at once, the others wait for \
the next start; the log says which.

**For one handler.** Settings marked *per handler* may be set for one handler: in a sidecar, `NAME.toml` beside `NAME.wasm`, with the \
keys at its top, or in a section `[handler.NAME]` of the settings file, which wins over the sidecar. `NAME` is the path of the file below \
the handlers folder without `.wasm`, in quotes where it has a slash: `[handler.\"api/shop\"]`. They are applied at once, and are not read \
from the environment.

```toml settings hitchy.toml
[limits]
deadline = \"5s\"            # for every handler

[handler.report]
deadline = \"30s\"           # for handlers/report.wasm
memory = \"512MiB\"
```
";

/// Returns the reference: the introduction, then one table for each section in the order of the table of keys.
pub fn reference() -> String {
    let mut text = String::from(INTRODUCTION);
    for section in KEYS.chunk_by(|a, b| a.section() == b.section()) {
        let name = match section[0].section() {
            keys::HANDLER => "handler.NAME",
            name => name,
        };
        let _ = write!(text, "\n## `[{name}]`\n\n");
        text += "| key, variable | takes | default | meaning |\n|---|---|---|---|\n";
        text.extend(section.iter().map(row));
    }
    text
}

fn row(key: &Key) -> String {
    let (short, variable) = (key.short(), key.variable());
    let takes = cell(&takes(&key.kind));
    let has_variable = !key.kind.is_table() && key.section() != keys::HANDLER;
    let name = if has_variable {
        format!("`{short}`<br>`{variable}`")
    } else {
        format!("`{short}`")
    };
    let default = match key.default {
        None if matches!(key.kind, ValueKind::Table { .. }) => "none".to_owned(),
        None => "worked out at start".to_owned(),
        Some("") => "none".to_owned(),
        Some(default) => format!("`{default}`"),
    };
    let marks = match (key.live, key.per_handler) {
        (true, true) => " *Live, per handler.*",
        (false, true) => " *Per handler.*",
        (true, false) => " *Live.*",
        (false, false) => "",
    };
    format!(
        "| {name} | {takes} | {default} | {}{marks} |\n",
        cell(key.doc)
    )
}

/// Returns the kind of a value in words, with its bounds.
fn takes(kind: &ValueKind) -> String {
    let expected = match kind {
        ValueKind::Switch => "`true` or `false`".to_owned(),
        ValueKind::Word(words) => alternatives(words),
        ValueKind::Words(words) => format!("a list of {}", alternatives(words)),
        ValueKind::Table { what, example, .. } => {
            format!("{what}: `{example}`; in the settings file only")
        }
        _ => kind.expected(),
    };
    match kind.bounds() {
        Some((min, max)) => format!("{expected}, `{}` to `{}`", bare(&min), bare(&max)),
        None => expected,
    }
}

/// Returns a TOML value without its quotes.
fn bare(value: &str) -> &str {
    value.trim_matches('"')
}

/// Escapes text for a cell of a Markdown table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// Joins words as code: `a`, `b` or `c`.
fn alternatives(words: &[&str]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_in_the_reference_with_its_variable_and_default() {
        let reference = reference();
        for key in KEYS {
            let (start, computed) = match key.kind {
                ValueKind::Table { .. } => (format!("| `{}` |", key.short()), "| none |"),
                // A setting of one handler is not read from the environment.
                _ if key.section() == keys::HANDLER => {
                    (format!("| `{}` |", key.short()), "| worked out at start |")
                }
                _ => (
                    format!("| `{}`<br>`{}` |", key.short(), key.variable()),
                    "| worked out at start |",
                ),
            };
            let row = reference
                .lines()
                .find(|line| line.starts_with(&start))
                .unwrap_or_else(|| panic!("{} is missing", key.name));
            assert!(row.contains(key.default.unwrap_or(computed)), "{row}");
            assert_eq!(row.replace("\\|", "").matches('|').count(), 5, "{row}");
        }
    }

    #[test]
    fn alternatives_are_a_sentence() {
        let said = |words: &[&str]| alternatives(words);
        assert_eq!(said(&["a"]), "`a`");
        assert_eq!(said(&["a", "b", "c"]), "`a`, `b` or `c`");
    }

    #[test]
    fn what_is_written_as_an_example_is_accepted() {
        let rest = INTRODUCTION.split("```toml settings hitchy.toml").nth(1);
        let example = rest.and_then(|rest| rest.split("```").next());
        let file: toml::Table = example.expect("an example").parse().expect("TOML");
        for (short, value) in file["limits"].as_table().expect("a section") {
            let key = keys::per_handler().find(|key| key.short() == short);
            assert!(key.expect("a key").kind.read(value).is_ok(), "{short}");
        }
        let report = file["handler"]["report"].as_table().expect("a section");
        for (short, value) in report {
            let key = keys::per_handler().find(|key| key.short() == short);
            assert!(key.expect("a key").kind.read(value).is_ok(), "{short}");
        }
    }

    #[test]
    fn a_key_that_only_handlers_have_is_shown_without_a_variable() {
        let key = Key {
            name: "handler.mode",
            kind: ValueKind::Word(&["a", "b"]),
            default: Some("a"),
            doc: "A mode.",
            live: true,
            per_handler: true,
        };
        assert_eq!(
            row(&key),
            "| `mode` | `a` or `b` | `a` | A mode. *Live, per handler.* |\n"
        );
    }
}
