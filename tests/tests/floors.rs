//! Keeps the floors of the house: nothing in `host/src` imports from a higher floor, rooms import each other in one direction
//! only, each foreign tool has its rooms, and nothing is a mutable `static`. ARCHITECTURE.md tells why.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use hitchy_tests::sources;

/// The rooms (modules of the crate's root) by floor, lowest first.
const FLOORS: &[&[&str]] = &[
    &[
        "message", "path", "payload", "text", "emitter", "sockets", "session", "outbound", "lock",
        "watch", "metrics",
    ],
    &["runtime"],
    &["registry", "config"],
    &["dispatch"],
    &["server"],
    &["cli"],
    &["main", "lib"],
];

/// Foreign tools and the rooms that may use them.
const TOOLS: &[(&str, &[&str])] = &[
    ("wasmtime", &["runtime"]),
    ("wasmtime_wasi", &["runtime"]),
    ("wasmparser", &["runtime"]),
    ("rustc_demangle", &["runtime"]),
    ("axum", &["server"]),
    ("hyper", &["server"]),
    ("hyper_util", &["server"]),
    ("tower", &["server"]),
    ("tower_http", &["server"]),
    ("socket2", &["server"]),
    ("socketioxide", &["server", "emitter"]),
    ("cookie", &["server"]),
    ("prometheus_client", &["server"]),
    ("notify", &["watch"]),
    ("ignore", &["watch"]),
    ("clap", &["cli"]),
    ("ureq", &["cli"]),
    ("tokio_tungstenite", &["cli"]),
    ("anyhow", &["cli", "main"]),
    ("mimalloc", &["main"]),
];

/// Types that make a `static` mutable.
const MUTABLE: &[&str] = &[
    "mut ", "Mutex", "RwLock", "RefCell", "Cell<", "OnceLock", "OnceCell", "LazyLock", "Atomic",
];

/// A file of the host: its room, and its code without comments and texts.
struct File {
    path: PathBuf,
    room: String,
    /// The modules from the crate's root to the file, itself included: `["runtime", "kinds", "route"]`.
    modules: Vec<String>,
    code: String,
}

impl File {
    fn read(root: &Path, path: &Path) -> Self {
        let inside = path
            .strip_prefix(root)
            .expect("a file of the host")
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
            room: modules[0].clone(),
            modules,
            code,
        }
    }

    /// The whole paths that the file names: those of its `use` lines, and those written out in the code.
    fn paths(&self) -> BTreeSet<String> {
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

    fn is_test(&self) -> bool {
        self.modules.iter().any(|module| module == "tests")
    }

    /// The code without the module of unit tests at its end.
    fn code_in_use(&self) -> &str {
        let end = self.code.find("#[cfg(test)]\nmod tests");
        &self.code[..end.unwrap_or(self.code.len())]
    }

    /// The imports of the file, each with the name that it gets here and its whole path: those that are passed on (`pub use`), or
    /// the others.
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

    /// The whole paths of this crate that are written out in the code.
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

    /// A path of this crate from its root, without the root.
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

    /// The rooms of this crate that the file uses, apart from its own.
    fn rooms(&self) -> BTreeSet<String> {
        let inside = |path: &String| {
            let mut parts = path.split("::");
            let root = parts.next()?;
            let room = parts.next()?.to_string();
            (matches!(root, "crate" | "hitchy") && floor(&room).is_some()).then_some(room)
        };
        self.paths()
            .iter()
            .filter_map(inside)
            .filter(|room| *room != self.room)
            .collect()
    }
}

#[test]
fn every_room_has_a_floor() {
    for file in host() {
        assert!(
            floor(&file.room).is_some(),
            "{}: give the room {} a floor in FLOORS",
            file.path.display(),
            file.room
        );
    }
}

#[test]
fn nothing_imports_from_a_higher_floor() {
    for file in host() {
        for room in file.rooms() {
            let path = file.path.display();
            assert!(
                floor(&room) <= floor(&file.room),
                "{path}: {} uses {room}, which lies above it",
                file.room
            );
        }
        let to_root = "super::".repeat(file.modules.len().max(2));
        assert!(
            !file.code.contains(&to_root),
            "{}: write crate:: instead of {to_root}",
            file.path.display()
        );
    }
}

#[test]
fn rooms_import_each_other_in_one_direction_only() {
    let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in host()
        .into_iter()
        .filter(|file| !matches!(file.room.as_str(), "main" | "lib"))
    {
        uses.entry(file.room.clone())
            .or_default()
            .extend(file.rooms());
    }
    for room in uses.keys() {
        let mut reached = BTreeSet::new();
        let mut next: Vec<&String> = uses[room].iter().collect();
        while let Some(other) = next.pop() {
            assert_ne!(other, room, "{room} uses itself through others: {uses:?}");
            if reached.insert(other) {
                next.extend(uses.get(other).into_iter().flatten());
            }
        }
    }
}

#[test]
fn files_import_each_other_in_one_direction_only() {
    let files: Vec<File> = host().into_iter().filter(|file| !file.is_test()).collect();
    let by_module: BTreeMap<Vec<String>, usize> = (0..)
        .zip(&files)
        .map(|(index, file)| (file.modules.clone(), index))
        .collect();
    let reexports: Vec<_> = files.iter().map(|file| file.imports(true)).collect();
    let resolve = |path: &[String]| target(path, &by_module, &reexports, 8);
    let uses: Vec<BTreeSet<usize>> = (0..)
        .zip(&files)
        .map(|(index, file)| {
            let named = file.imports(false).into_iter().map(|(_, path)| path);
            let targets = named
                .chain(file.inline_paths())
                .filter_map(|path| resolve(&path));
            targets.filter(|target| *target != index).collect()
        })
        .collect();
    let edges: usize = uses.iter().map(BTreeSet::len).sum();
    assert!(edges > 400, "the reader of imports finds only {edges}");
    for start in 0..files.len() {
        if let Some(circle) = circle(start, &uses) {
            let names: Vec<_> = circle
                .iter()
                .map(|at| files[*at].modules.join("/"))
                .collect();
            panic!(
                "these files import each other in a circle: {}",
                names.join(" -> ")
            );
        }
    }
}

/// Finds the file that a path names: the longest prefix that is a module, then through what that module re-exports.
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

/// Finds a way from a file back to itself.
fn circle(start: usize, uses: &[BTreeSet<usize>]) -> Option<Vec<usize>> {
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
            if let std::collections::btree_map::Entry::Vacant(entry) = came_from.entry(used) {
                entry.insert(at);
                next.push(used);
            }
        }
    }
    None
}

#[test]
fn each_foreign_tool_has_its_rooms() {
    for file in host() {
        for (tool, rooms) in TOOLS {
            let used = file
                .paths()
                .iter()
                .any(|path| path.split("::").next() == Some(tool));
            let allowed = rooms.contains(&file.room.as_str());
            assert!(
                !used || allowed,
                "{}: {tool} belongs into {rooms:?}, not into {}",
                file.path.display(),
                file.room
            );
        }
    }
}

#[test]
fn nothing_is_a_mutable_static() {
    for file in host() {
        for line in file.code.lines().map(str::trim_start) {
            let line = line.strip_prefix("pub ").unwrap_or(line);
            let line = line.strip_prefix("pub(crate) ").unwrap_or(line);
            if let Some(what) = line.strip_prefix("static ") {
                let mutable = MUTABLE.iter().find(|mutable| what.contains(**mutable));
                assert_eq!(mutable, None, "{}: static {what}", file.path.display());
            }
        }
    }
}

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

fn host() -> Vec<File> {
    let root = sources().join("../host/src");
    let mut folders = vec![root.clone()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a readable folder") {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(File::read(&root, &path));
            }
        }
    }
    assert!(!files.is_empty(), "the host has files");
    files
}

/// `a::{b, c::{d, e}}` becomes `a::b`, `a::c::d`, `a::c::e`.
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

/// The code alone; each comment and each text becomes nothing.
fn without_comments_and_texts(source: &str) -> String {
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

/// The length of the text in quotes that `rest` begins with.
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

/// The length of the raw text that `rest` begins with; 0 when it does not.
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

#[test]
fn the_reader_of_use_lines_reads_them() {
    let code = r##"
        use crate::{server::{http, hitchy as h}, message};
        // use crate::cli;
        fn f() { pause (}); let s = "use crate::cli;"; let r = r#"crate::cli"#; crate::dispatch::run('"', '\''); wasmtime::Engine::default(); }
    "##;
    let code = without_comments_and_texts(code);
    let file = File {
        path: PathBuf::new(),
        room: "message".into(),
        modules: vec!["message".into()],
        code,
    };
    assert_eq!(
        file.rooms(),
        BTreeSet::from(["dispatch".into(), "server".into()])
    );
    assert!(
        file.paths().contains("wasmtime::Engine"),
        "{:?}",
        file.paths()
    );
}

#[test]
fn the_reader_of_imports_follows_what_is_passed_on() {
    let file = |modules: &[&str], code: &str| File {
        path: PathBuf::new(),
        room: modules[0].to_owned(),
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
    let by_module = (0..)
        .zip(&files)
        .map(|(at, file)| (file.modules.clone(), at))
        .collect();
    let reexports: Vec<_> = files.iter().map(|file| file.imports(true)).collect();
    let found = |file: &File| -> BTreeSet<usize> {
        let named = file.imports(false).into_iter().map(|(_, path)| path);
        let paths = named.chain(file.inline_paths());
        paths
            .filter_map(|path| target(&path, &by_module, &reexports, 8))
            .collect()
    };
    assert_eq!(found(&files[0]), BTreeSet::from([2]));
    assert_eq!(found(&files[1]), BTreeSet::new());
    // `Item` and the path written out lead to b, and what is a's own to a.
    assert_eq!(found(&files[2]), BTreeSet::from([0, 1]));
    let uses = [
        BTreeSet::from([1]),
        BTreeSet::from([2]),
        BTreeSet::from([0]),
    ];
    assert_eq!(circle(0, &uses), Some(vec![0, 1, 2, 0]));
    assert_eq!(circle(0, &[BTreeSet::from([1]), BTreeSet::new()]), None);
}
