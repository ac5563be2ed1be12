//! Writes the settings in force for `--print-config`, as a settings file with the source of each value in a comment.
//! Reading the printed file results in the same settings.

use std::collections::BTreeMap;
use std::fmt::Write;

use toml::Value;

use super::gather::{self, Gathered};
use super::keys::{self, KEYS, Key};

/// Returns the text of the file: the sections of the node, then one section for each handler with settings of its own.
pub(super) fn render(gathered: &Gathered) -> String {
    let values = gathered.values();
    let mut text = String::from("# The settings in force, each with where it came from.\n");
    for section in keys::sections() {
        let names = KEYS
            .iter()
            .filter(|key| key.section() == section)
            .map(|key| (key, key.name.to_owned()));
        render_section(&mut text, section, names, gathered, &values);
    }
    for (name, own) in &gathered.handlers {
        let names = keys::per_handler()
            .filter(|key| own.contains_key(key.short()))
            .map(|key| (key, gather::handler_key(name, key.short())));
        let section = gather::handler_section(name);
        render_section(&mut text, &section, names, gathered, &values);
    }
    text
}

fn render_section(
    text: &mut String,
    section: &str,
    keys: impl Iterator<Item = (&'static Key, String)>,
    gathered: &Gathered,
    values: &BTreeMap<String, Value>,
) {
    let _ = write!(text, "\n[{section}]\n");
    for (key, full_key) in keys {
        let short = key.short();
        let from = comment(&gathered.source(&full_key).to_string());
        let _ = match values.get(&full_key) {
            Some(value) => writeln!(text, "{short} = {}  # {from}", key.kind.write(value)),
            None if key.kind.is_table() => writeln!(text, "# {short}: none  # {from}"),
            None => writeln!(text, "# {short}: worked out at start  # {from}"),
        };
    }
}

/// Replaces control characters, because a path may contain a line break and a comment must stay on one line.
fn comment(text: &str) -> String {
    text.replace(char::is_control, "?")
}
