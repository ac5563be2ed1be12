//! The files that a command of `[dev] build` names. Most of them are sources of the project, which are followed in any
//! case; others lie elsewhere or are hidden.

use std::collections::BTreeSet;
use std::path::Path;

use super::{Inputs, without_parents};
use crate::watch::{self, Hidden};

/// Folders of the system, in which nobody keeps sources.
const SYSTEM: [&str; 9] = [
    "/bin", "/dev", "/etc", "/lib", "/lib64", "/proc", "/sbin", "/sys", "/usr",
];

/// Returns the files and folders that the words of a command name, except what lies in the handlers folder `handlers`.
/// The command runs in `folder`.
pub(in crate::cli) fn inputs(command: &str, folder: &Path, handlers: &Path) -> Inputs {
    let mut inputs = Inputs {
        may_write_sources: true,
        ..Inputs::default()
    };
    let mut bases = vec![folder.to_owned()];
    let mut after_cd = false;
    for word in words(command) {
        for path in paths(&word) {
            let there = bases.iter().rev().map(|base| base.join(path));
            let there = there
                .clone()
                .find(|path| path.exists())
                .or_else(|| there.clone().next());
            let Some(path) = there.map(|path| without_parents(&path)) else {
                continue;
            };
            if after_cd && path.is_dir() {
                bases.push(path.clone());
            }
            if is_source(&path, folder, handlers) {
                inputs.add(&path);
            }
        }
        after_cd = word == "cd";
    }
    inputs
}

/// Returns true if builds may read the path, and it is not one of the places that only programs fill.
fn is_source(path: &Path, folder: &Path, handlers: &Path) -> bool {
    if path.starts_with(handlers) || SYSTEM.iter().any(|system| path.starts_with(system)) {
        return false;
    }
    // A folder around the project, or the root of a disk, is no source.
    let is_too_large = folder.starts_with(path) || path.components().count() <= 2;
    if path.is_dir() && is_too_large {
        return false;
    }
    let hidden = watch::hidden(folder, path, &BTreeSet::new());
    matches!(hidden, None | Some(Hidden::Dot(_)))
}

/// Returns the paths that a word may name: the word, or what follows the name of an option.
fn paths(word: &str) -> Vec<&Path> {
    let option = word
        .strip_prefix('-')
        .map(|option| option.trim_start_matches('-'));
    let value = word.split_once('=').map(|(_, value)| value);
    let short = option.and_then(|option| option.get(1..));
    let plain = option.is_none().then_some(word);
    let candidates = [plain, value, short].into_iter().flatten();
    candidates
        .map(|word| word.trim_start_matches('@'))
        .filter(|word| !word.contains(['$', '`', '\0']))
        .map(before_pattern)
        .filter(|word| word.contains(['/', '.']) || Path::new(word).components().count() == 1)
        .filter(|word| !word.contains("://"))
        .map(Path::new)
        .collect()
}

/// Returns the folder of a pattern such as `src/*.js`, or the whole word if it is no pattern.
fn before_pattern(word: &str) -> &str {
    let Some(at) = word.find(['*', '?', '[', '{']) else {
        return word;
    };
    word[..at].rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Splits a command into words as a shell does, without its operators and without the targets of redirections.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut word, mut is_target) = (Vec::new(), None::<String>, false);
    let mut chars = command.chars();
    let mut end = |word: &mut Option<String>, is_target: &mut bool| {
        if let Some(word) = word.take() {
            let is_read = !std::mem::take(is_target);
            words.extend(is_read.then_some(word));
        }
    };
    while let Some(c) = chars.next() {
        match c {
            '\'' | '"' => {
                let quoted: String = chars.by_ref().take_while(|next| *next != c).collect();
                word.get_or_insert_default().push_str(&quoted);
            }
            '\\' => word.get_or_insert_default().extend(chars.next()),
            '>' => {
                end(&mut word, &mut is_target);
                is_target = true;
            }
            c if c.is_whitespace() || ";|&()<".contains(c) => end(&mut word, &mut is_target),
            c => word.get_or_insert_default().push(c),
        }
    }
    end(&mut word, &mut is_target);
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::{Component, PathBuf};

    fn is_plain(path: &Path) -> bool {
        !path.components().any(|part| part == Component::ParentDir)
    }

    #[test]
    fn i11_6_a_command_is_split_as_a_shell_does() {
        let command = "a 'b c'\"d\" e\\ f;g>out.txt 2>&1|h <in >> more i";
        assert_eq!(
            words(command),
            ["a", "b cd", "e f", "g", "2", "1", "h", "in", "i"][..]
                .to_vec()
                .into_iter()
                .filter(|word| *word != "1")
                .collect::<Vec<_>>()
        );
    }

    #[test]
    fn i11_2_the_files_that_a_command_names_are_its_inputs() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        for name in [
            "project/.hidden/x",
            "project/app.js",
            "shared/wit/a.wit",
            "tools/gen.sh",
            "project/target/x.wasm",
            "project/dist/y.js",
            "project/handlers/z.wasm",
            "lib/a.c",
        ] {
            fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
            fs::write(root.join(name), "").unwrap();
        }
        fs::write(root.join("project/.gitignore"), "dist\n").unwrap();
        let project = root.join("project");
        let command = "sh ../tools/gen.sh app.js .hidden/x target/x.wasm dist/y.js --wit=../shared/wit -I../lib \
             ../lib/*.c ../later.txt / .. /usr/bin/env handlers/z.wasm $OUT https://a.b/c > ../log.txt";
        let inputs = inputs(command, &project, &project.join("handlers"));
        let files = [
            "tools/gen.sh",
            "project/app.js",
            "project/.hidden/x",
            "later.txt",
        ];
        let wanted: BTreeSet<PathBuf> = files.map(|name| root.join(name)).into();
        assert!(inputs.files.is_superset(&wanted), "{:?}", inputs.files);
        for not in [
            "project/target/x.wasm",
            "project/dist/y.js",
            "project/handlers/z.wasm",
            "log.txt",
        ] {
            assert!(!inputs.contains(&root.join(not)), "{not}");
        }
        assert_eq!(
            inputs.folders,
            [root.join("shared/wit"), root.join("lib")].into()
        );
        assert!(inputs.files.iter().all(|file| is_plain(file)));
        let inputs = super::inputs("cd ../lib && cc a.c", &project, &project.join("handlers"));
        assert!(inputs.contains(&root.join("lib/a.c")));
    }
}
