//! What the text of a script says about its imports: which files it names, and the lines for errors.
//!
//! The engine decides what is imported. This file only guesses, so that files are there before the engine asks for them
//! and errors can name a line.

use std::ops::Range;

/// Largest length of a path in an import, in bytes.
const MAX_SPECIFIER: usize = 256;

/// An import, or an export from another file, as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Import<'a> {
    /// What is between the quotes.
    pub(super) specifier: &'a str,
    /// Where that is in the text.
    place: Range<usize>,
}

impl Import<'_> {
    /// Returns the line of the import in `text`, from 1.
    pub(super) fn line(&self, text: &str) -> usize {
        self.before(text).matches('\n').count() + 1
    }

    /// Returns the part of `text` before the specifier, with the quote.
    pub(super) fn before<'t>(&self, text: &'t str) -> &'t str {
        &text[..self.place.start]
    }
}

/// Returns the imports that are written literally. What only looks like one, in a comment for example, is among them.
pub(super) fn imports(text: &str) -> Vec<Import<'_>> {
    let mut found = Vec::new();
    for (at, quote) in text.match_indices(['"', '\'', '`']) {
        let before = text[..at].trim_end();
        let before = before.strip_suffix('(').map_or(before, str::trim_end);
        if !before.ends_with("from") && !before.ends_with("import") {
            continue;
        }
        let begin = at + quote.len();
        let Some(length) = text[begin..].find(quote) else {
            continue;
        };
        let place = begin..begin + length;
        let specifier = &text[place.clone()];
        if length <= MAX_SPECIFIER && !specifier.contains(['\n', '$']) {
            found.push(Import { specifier, place });
        }
    }
    found
}

/// Returns the path below the folder of handlers that the file `base` names by `specifier`. Returns `None` for a
/// package, and for a path that leads out of the folder.
pub(super) fn resolve(base: &str, specifier: &str) -> Option<String> {
    if !specifier.starts_with("./") && !specifier.starts_with("../") {
        return None;
    }
    let mut parts: Vec<&str> = base.split('/').collect();
    parts.pop();
    for part in specifier.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Returns the names that the text of a module exports, as far as it writes them out.
pub(super) fn exports(text: &str) -> Vec<String> {
    /// Names that are found at most.
    const MAX_NAMES: usize = 100;
    /// Bytes in which the end of a list is looked for.
    const MAX_LIST: usize = 4096;
    const WORDS: [&str; 7] = [
        "async",
        "function",
        "function*",
        "class",
        "const",
        "let",
        "var",
    ];
    let mut names = Vec::new();
    for (at, word) in text.match_indices("export ") {
        if names.len() >= MAX_NAMES {
            break;
        }
        let rest = text[at + word.len()..].trim_start();
        let rest = &rest[..rest.floor_char_boundary(MAX_LIST)];
        if let Some(list) = rest.strip_prefix('{') {
            let list = list.split('}').next().unwrap_or_default();
            let exported = list
                .split(',')
                .filter_map(|one| one.split_whitespace().last());
            names.extend(exported.map(str::to_owned));
            continue;
        }
        let mut words = rest
            .split_whitespace()
            .skip_while(|word| WORDS.contains(word));
        let name = words.next().unwrap_or_default();
        let is_part = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '$';
        let name: String = name.chars().take_while(|letter| is_part(*letter)).collect();
        if !name.is_empty() {
            names.push(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i14_5_imports_are_found_where_they_are_written() {
        let text = "import a from './a.js';\nimport './b.js'\nexport * from \"../c.json\";\n\
                    const d = await import( './d.js' );\nconst text = './e.js';\nimport(`./${x}.js`);";
        let found = imports(text);
        let all: Vec<_> = found
            .iter()
            .map(|one| (one.specifier, one.line(text)))
            .collect();
        let wanted = [
            ("./a.js", 1),
            ("./b.js", 2),
            ("../c.json", 3),
            ("./d.js", 4),
        ];
        assert_eq!(all, wanted);
        assert_eq!(resolve("x/y.js", "../c.json").as_deref(), Some("c.json"));
        assert_eq!(resolve("y.js", "../c.json"), None);
        assert_eq!(resolve("y.js", "lodash"), None);
    }

    #[test]
    fn i14_5_exports_are_found_where_they_are_written() {
        let text = "export const one = 1;\nexport async function two() {}\nexport { a as three, four };\n\
                    export default class Five {}";
        let names = exports(text);
        assert_eq!(names, ["one", "two", "three", "four", "default"]);
    }
}
