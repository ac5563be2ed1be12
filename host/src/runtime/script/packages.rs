//! Which packages of npm a script imports, and which files of its own, without evaluating it.
//!
//! As in `imports`, the text is only looked at, so a package that a comment names may be among them. A bundle does no
//! harm to a script that does not need one.

use std::collections::BTreeMap;
use std::path::Path;

use super::imports::{Import, imports, resolve};
use super::modules::Modules;
use super::text::MAX_SCRIPT;
use crate::names::is_typescript;
use crate::runtime::bundler::BundleSource;
use crate::runtime::content_hash::ContentHash;

/// Files of one script that are read at most.
const MAX_FILES: usize = 1000;
/// The ends of names that bundlers try.
const ENDS: [&str; 6] = ["", ".ts", ".tsx", ".js", "/index.ts", "/index.js"];
/// Bytes before the word `from` in which the beginning of an import is looked for.
const MAX_CLAUSE: usize = 4096;

/// Looks at a script of this content below `root`, and at its own files. Returns `None` if they import no package.
pub fn packages(root: &Path, name: &str, content: &[u8]) -> Option<BundleSource> {
    packages_of(&Modules::below(root), root, name, content)
}

/// Does the same with files that are recorded in `modules`.
pub(super) fn packages_of(
    modules: &Modules,
    root: &Path,
    name: &str,
    content: &[u8],
) -> Option<BundleSource> {
    let mut found = BundleSource {
        root: root.to_owned(),
        name: name.to_owned(),
        packages: Vec::new(),
        own: BTreeMap::from([(name.to_owned(), ContentHash::of(content))]),
    };
    let mut next = vec![(name.to_owned(), content.to_vec())];
    while let Some((importer, content)) = next.pop() {
        let text = String::from_utf8_lossy(&content);
        for one in imports(&text) {
            if is_in_comment(&text, &one) || is_typescript(&importer) && is_for_types(&text, &one) {
                continue;
            }
            let specifier = one.specifier;
            if is_package(specifier) {
                if !found.packages.iter().any(|known| known == specifier) {
                    found.packages.push(specifier.to_owned());
                }
                continue;
            }
            let Some(path) = resolve(&importer, specifier) else {
                continue;
            };
            let complete = ENDS.iter().map(|end| format!("{path}{end}"));
            let read = complete.map(|path| (modules.read_any(&path, MAX_SCRIPT), path));
            let read = read.filter_map(|(file, path)| Some((path, file.ok().flatten()?)));
            for (path, file) in read.take(1) {
                if found.own.len() < MAX_FILES && !found.own.contains_key(&path) {
                    found.own.insert(path.clone(), ContentHash::of(&file));
                    next.push((path, file));
                }
            }
        }
    }
    (!found.packages.is_empty()).then_some(found)
}

/// Says what to import instead of a package, if something else is here.
pub fn instead_of(package: &str) -> Option<&'static str> {
    match package {
        "socket.io" => {
            Some("the server of socket.io is here already: import { io } from \"hitchy\"")
        }
        "express" | "fastify" | "koa" | "http" | "node:http" => {
            Some("the server is here already: import { app } from \"hitchy\"")
        }
        node if node.starts_with("node:") => Some(
            "the modules of Node are not here; keep data with kv, and call other servers with fetch",
        ),
        _ => None,
    }
}

/// Returns true if an import names a package, and not a file or the API.
fn is_package(specifier: &str) -> bool {
    let begins = |c: char| c.is_ascii_alphanumeric() || matches!(c, '@' | '#' | '_');
    let is_part = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\'' | '`' | '\\');
    specifier != "hitchy"
        && specifier.starts_with(begins)
        && specifier.chars().all(is_part)
        && !specifier.contains("://")
}

/// Returns true if the line of an import begins as one of a comment.
fn is_in_comment(text: &str, one: &Import<'_>) -> bool {
    let before = one.before(text);
    let line = before.rsplit('\n').next().unwrap_or_default().trim_start();
    ["//", "*", "/*"]
        .iter()
        .any(|begin| line.starts_with(begin))
}

/// Returns true if an import or export is of types only, so that nothing is left of it in JavaScript.
fn is_for_types(text: &str, one: &Import<'_>) -> bool {
    let before = one.before(text).trim_end_matches(['"', '\'']).trim_end();
    let Some(before) = before.strip_suffix("from") else {
        return false;
    };
    let before = &before[before.ceil_char_boundary(before.len().saturating_sub(MAX_CLAUSE))..];
    let begins = ["import", "export"].iter();
    let begin = begins.filter_map(|word| Some(before.rfind(word)? + word.len()));
    let Some(clause) = begin.max().map(|begin| before[begin..].trim()) else {
        return false;
    };
    // `type as x` is something that is called `type`.
    let is_type = |part: &str| {
        let mut words = part.split_whitespace();
        words.next() == Some("type") && words.next().is_some_and(|word| word != "as")
    };
    if let Some(list) = clause.strip_prefix('{') {
        let mut parts = list.trim_end_matches('}').split(',');
        return parts.all(|part| part.trim().is_empty() || is_type(part));
    }
    // `import type from "x"` and `import type, { y } from "x"` import something that is called so too.
    let rest = clause.strip_prefix("type").unwrap_or_default();
    let begins = |c: char| c.is_whitespace() || matches!(c, '{' | '*');
    rest.starts_with(begins) && !rest.trim_start().starts_with(',')
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn names(name: &str, text: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let found = packages(folder.path(), name, text.as_bytes());
        found.map(|found| found.packages).unwrap_or_default()
    }

    #[test]
    fn i14_5_packages_are_found_where_they_are_imported() {
        let text = "import { Hono } from 'hono';\nimport \"@scope/pkg/sub\";\nexport * from 'zod';\nawait import('late');\n\
                    import fs from 'node:fs'; import x from '#own';\nimport { app } from 'hitchy';\nimport './own.js';\n\
                    // import a from 'comment';\n/* import b from 'comment'; */\n * import c from 'comment';\n\
                    import d from 'https://far.away/d.js';\nconst text = `copied from '${x}'`;";
        let wanted = ["hono", "@scope/pkg/sub", "zod", "late", "node:fs", "#own"];
        assert_eq!(names("a.js", text), wanted);
        assert_eq!(
            names("a.js", "import { app } from 'hitchy';"),
            Vec::<String>::new()
        );
    }

    #[test]
    fn i14_5_imports_of_types_need_no_package() {
        let types = "import type { A } from 'a';\nimport { type B, type C } from 'b';\nimport type D from 'd';\n\
                     export type { E } from 'e';\nimport type {\n    F,\n} from 'f';\nimport type * as G from 'g';";
        assert_eq!(names("a.ts", types), Vec::<String>::new());
        let values = "import { type A, b } from 'a';\nimport type from 'b';\nimport type, { c } from 'c';\nimport types from 'd';\nimport { type as e } from 'e';";
        assert_eq!(names("a.ts", values), ["a", "b", "c", "d", "e"]);
    }

    #[test]
    fn i14_5_packages_of_own_files_count_and_the_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for (name, text) in [
            ("lib/one.ts", "import './two'; import '../a.ts';"),
            ("lib/two/index.ts", "export { x } from 'deep';"),
            ("unused.ts", "import 'unused';"),
        ] {
            fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
            fs::write(root.join(name), text).unwrap();
        }
        let found = packages(root, "a.ts", b"import './lib/one.ts'; import './missing';").unwrap();
        assert_eq!(found.packages, ["deep"]);
        let own: Vec<_> = found.own.into_keys().collect();
        assert_eq!(own, ["a.ts", "lib/one.ts", "lib/two/index.ts"]);
    }
}
