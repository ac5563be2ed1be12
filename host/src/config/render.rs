//! `--print-config`: the settings in force as a settings file that says where each came from. Fed back it means the
//! same.

use std::collections::BTreeMap;
use std::fmt::Write;

use toml::Value;

use super::gather::{self, Gathered};
use super::keys::{self, KEYS, Key};

/// Returns the whole file.
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
    for (key, whole) in keys {
        let short = key.short();
        let from = comment(&gathered.source(&whole).to_string());
        let _ = match values.get(&whole) {
            Some(value) => writeln!(text, "{short} = {}  # {from}", key.kind.write(value)),
            None if key.kind.is_table() => writeln!(text, "# {short}: none  # {from}"),
            None => writeln!(text, "# {short}: worked out at start  # {from}"),
        };
    }
}

/// On one line whatever a path may contain.
fn comment(text: &str) -> String {
    text.replace(char::is_control, "?")
}
