//! Reads the imports of a crate's source files without a compiler: the files that each file uses, also through
//! re-exports.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The maximum number of re-exports that are followed one after the other.
const MAX_HOPS: usize = 8;

/// Reads all source files below `root`, the folder of a crate's root.
pub fn source_files(root: &Path) -> Vec<SourceFile> {
    let mut folders = vec![root.to_owned()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a readable folder") {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(SourceFile::read(root, &path));
            }
        }
    }
    assert!(!files.is_empty(), "{}: no source files", root.display());
    files
}

/// A source file of a crate.
pub struct SourceFile {
    /// The path of the file.
    pub path: PathBuf,
    /// The modules from the crate's root to the file, the file included: `["runtime", "kinds", "route"]`.
    pub modules: Vec<String>,
    /// The code without comments and string literals.
    pub code: String,
}

impl SourceFile {
    /// Reads a file below `root`, the folder of the crate's root.
    fn read(root: &Path, path: &Path) -> Self {
        let inside = path
            .strip_prefix(root)
            .expect("a file below the root")
            .with_extension("");
        let mut modules: Vec<_> = inside
            .iter()
            .map(|part| part.to_string_lossy().into_owned())
            .collect();
        if modules.len() > 1 && modules.last().is_some_and(|last| last == "mod") {
            modules.pop();
        }
        let code = without_comments_and_texts(&fs::read_to_string(path).expect("a readable file"));
        Self {
            path: path.to_path_buf(),
            modules,
            code,
        }
    }

    /// Returns the paths that the file names: those of its `use` lines, and the first two parts of those in the code.
    pub fn paths(&self) -> BTreeSet<String> {
        let mut paths = BTreeSet::new();
        for (at, _) in self.code.match_indices("use ") {
            if !self.code[..at].ends_with(is_word) {
                let line = self.code[at + 4..].split(';').next().unwrap_or_default();
                expand(line, "", &mut paths);
            }
        }
        for (at, _) in self.code.match_indices("::") {
            let head: String = self.code[..at]
                .chars()
                .rev()
                .take_while(|c| is_word(*c))
                .collect();
            let head: String = head.chars().rev().collect();
            let before = self.code[..at - head.len()].trim_end();
            let next: String = self.code[at + 2..]
                .chars()
                .take_while(|c| is_word(*c))
                .collect();
            if !before.ends_with("::") && !next.is_empty() {
                paths.insert(format!("{head}::{next}"));
            }
        }
        paths
    }

    /// Returns true for a file of unit tests.
    pub fn is_test(&self) -> bool {
        self.modules.iter().any(|module| module == "tests")
    }

    /// Returns the code without the module of unit tests at its end.
    fn code_in_use(&self) -> &str {
        let end = self.code.find("#[cfg(test)]\nmod tests");
        &self.code[..end.unwrap_or(self.code.len())]
    }

    /// Returns the imports from this crate, each with its name in this file and its path from the root. With
    /// `passed_on`, the result has the re-exports (`pub use`), and without it the other imports.
    fn imports(&self, passed_on: bool) -> Vec<(String, Vec<String>)> {
        let code = self.code_in_use();
        let mut imports = Vec::new();
        for (at, _) in code.match_indices("use ") {
            let line = code[..at]
                .rsplit(['\n', ';', '}'])
                .next()
                .unwrap_or_default();
            if code[..at].ends_with(is_word) || line.trim_start().starts_with("pub") != passed_on {
                continue;
            }
            let mut paths = BTreeSet::new();
            expand(
                code[at + 4..].split(';').next().unwrap_or_default(),
                "",
                &mut paths,
            );
            for path in paths {
                let whole = self.whole(&path);
                let name = path.rsplit("::").find(|part| *part != "self");
                imports.extend(name.map(str::to_owned).zip(whole));
            }
        }
        imports
    }

    /// Returns the paths into this crate that are written out in the code.
    fn inline_paths(&self) -> Vec<Vec<String>> {
        let code = self.code_in_use();
        let mut paths = Vec::new();
        for root in ["crate::", "super::", "self::"] {
            for (at, _) in code.match_indices(root) {
                let before = code[..at].trim_end();
                let is_start = !code[..at].ends_with(is_word) && !before.ends_with("::");
                if !is_start || before.ends_with("use") || before.ends_with("(in") {
                    continue;
                }
                let path: String = code[at..]
                    .chars()
                    .take_while(|c| is_word(*c) || *c == ':')
                    .collect();
                paths.extend(self.whole(path.trim_end_matches(':')));
            }
        }
        paths
    }

    /// Returns a path into this crate from its root, without the root itself.
    fn whole(&self, path: &str) -> Option<Vec<String>> {
        let mut parts = path.split("::").map(str::trim);
        let mut whole = match parts.next()? {
            "crate" => Vec::new(),
            "self" => self.modules.clone(),
            "super" => self.modules[..self.modules.len() - 1].to_vec(),
            _ => return None,
        };
        for part in parts {
            match part {
                "super" => drop(whole.pop()),
                "self" | "*" => {}
                part => whole.push(part.to_owned()),
            }
        }
        Some(whole)
    }
}

/// Returns, for each file, the positions of the other files that it imports from.
pub fn uses(files: &[SourceFile]) -> Vec<BTreeSet<usize>> {
    let by_module: BTreeMap<Vec<String>, usize> = (0..)
        .zip(files)
        .map(|(index, file)| (file.modules.clone(), index))
        .collect();
    let reexports: Vec<_> = files.iter().map(|file| file.imports(true)).collect();
    let uses_of = |(index, file): (usize, &SourceFile)| {
        let named = file.imports(false).into_iter().map(|(_, path)| path);
        let paths = named.chain(file.inline_paths());
        let targets = paths.filter_map(|path| target(&path, &by_module, &reexports, MAX_HOPS));
        targets.filter(|target| *target != index).collect()
    };
    (0..).zip(files).map(uses_of).collect()
}

/// Finds the file that a path names. The longest prefix of the path that is a module is tried first, then the
/// re-exports of that module.
fn target(
    path: &[String],
    by_module: &BTreeMap<Vec<String>, usize>,
    reexports: &[Vec<(String, Vec<String>)>],
    hops: usize,
) -> Option<usize> {
    let at = (1..=path.len())
        .rev()
        .find_map(|length| Some((length, *by_module.get(&path[..length])?)));
    let (length, file) = at?;
    let Some(item) = path.get(length).filter(|_| hops > 0) else {
        return Some(file);
    };
    match reexports[file].iter().find(|(name, _)| name == item) {
        Some((_, from)) => target(from, by_module, reexports, hops - 1).or(Some(file)),
        None => Some(file),
    }
}

/// Returns a path from a file through the files that it uses and back to the file, if there is such a circle.
pub fn circle(start: usize, uses: &[BTreeSet<usize>]) -> Option<Vec<usize>> {
    let mut came_from = BTreeMap::new();
    let mut next = vec![start];
    while let Some(at) = next.pop() {
        for &used in &uses[at] {
            if used == start {
                let mut way = vec![start, at];
                while let Some(before) = came_from
                    .get(way.last()?)
                    .filter(|_| way.last() != Some(&start))
                {
                    way.push(*before);
                }
                way.reverse();
                return Some(way);
            }
            if let Entry::Vacant(entry) = came_from.entry(used) {
                entry.insert(at);
                next.push(used);
            }
        }
    }
    None
}

/// Adds the paths of a `use` tree: `a::{b, c::{d, e}}` adds `a::b`, `a::c::d` and `a::c::e`.
fn expand(tree: &str, prefix: &str, paths: &mut BTreeSet<String>) {
    let tree = tree.trim();
    let Some(open) = tree.find('{') else {
        let name = tree.split(" as ").next().unwrap_or_default().trim();
        if !name.is_empty() {
            paths.insert(format!("{prefix}{name}"));
        }
        return;
    };
    let prefix = format!("{prefix}{}", tree[..open].trim());
    let inner = &tree[open + 1..tree.rfind('}').unwrap_or(tree.len())];
    let (mut depth, mut start) = (0, 0);
    for (at, c) in inner.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                expand(&inner[start..at], &prefix, paths);
                start = at + 1;
            }
            _ => {}
        }
    }
    expand(&inner[start..], &prefix, paths);
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Removes comments and string literals from code.
pub fn without_comments_and_texts(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        let skipped = match c {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            '"' => text_length(rest),
            'r' if !code.ends_with(is_word) => raw_text_length(rest),
            '\'' if rest.starts_with("'\"'") => 3,
            '\'' if rest.starts_with("'\\") => rest[2..].find('\'').map_or(2, |end| end + 3),
            _ => 0,
        };
        if skipped == 0 {
            code.push(c);
        }
        rest = &rest[if skipped == 0 { c.len_utf8() } else { skipped }..];
    }
    code
}

/// Returns the length of the string literal with which `rest` begins.
fn text_length(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// Returns the length of the raw string literal with which `rest` begins, or 0 if there is none.
fn raw_text_length(rest: &str) -> usize {
    let hashes = rest[1..].chars().take_while(|c| *c == '#').count();
    if !rest[1 + hashes..].starts_with('"') {
        return 0;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    let start = 2 + hashes;
    rest[start..]
        .find(&end)
        .map_or(rest.len(), |at| start + at + end.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reader_of_use_lines_reads_them() {
        let code = r##"
            use crate::{server::{http, hitchy as h}, message};
            // use crate::cli;
            fn f() { pause (}); let s = "use crate::cli;"; let r = r#"crate::cli"#; crate::dispatch::run('"', '\''); wasmtime::Engine::default(); }
        "##;
        let code = without_comments_and_texts(code);
        let file = SourceFile {
            path: PathBuf::new(),
            modules: vec!["message".into()],
            code,
        };
        let paths = file.paths();
        for named in [
            "crate::server::http",
            "crate::message",
            "crate::dispatch",
            "wasmtime::Engine",
        ] {
            assert!(paths.contains(named), "{named}: {paths:?}");
        }
        assert!(!paths.iter().any(|path| path.contains("cli")), "{paths:?}");
    }

    #[test]
    fn the_reader_of_imports_follows_what_is_passed_on() {
        let file = |modules: &[&str], code: &str| SourceFile {
            path: PathBuf::new(),
            modules: modules.iter().map(|module| (*module).to_owned()).collect(),
            code: code.to_owned(),
        };
        let files = [
            file(
                &["a"],
                "mod b;\npub use self::b::{Item, Other as Renamed};\nuse crate::c::Thing;",
            ),
            file(
                &["a", "b"],
                "pub(in crate::a) struct Item;\n#[cfg(test)]\nmod tests { use crate::c::Test; }",
            ),
            file(
                &["c"],
                "use crate::a::{Item, Plain};\nfn f() { super::a::b::g() }",
            ),
        ];
        // `Item` and the inline path lead to b, and the item that a itself defines leads to a.
        assert_eq!(
            uses(&files),
            [BTreeSet::from([2]), BTreeSet::new(), BTreeSet::from([0, 1])]
        );
        let uses = [
            BTreeSet::from([1]),
            BTreeSet::from([2]),
            BTreeSet::from([0]),
        ];
        assert_eq!(circle(0, &uses), Some(vec![0, 1, 2, 0]));
        assert_eq!(circle(0, &[BTreeSet::from([1]), BTreeSet::new()]), None);
    }
}
