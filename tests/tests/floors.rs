//! Checks the layout of `host/src`: nothing imports from a higher floor, neither folders nor files import each other in
//! circles, each foreign crate has its folders, and no `static` is mutable. ARCHITECTURE.md says why.

use std::collections::{BTreeMap, BTreeSet};

use hitchy_tests::imports::{SourceFile, circle, source_files, uses};
use hitchy_tests::sources;

/// The folders, which are the modules at the crate's root, by floor, the lowest first.
const FLOORS: &[&[&str]] = &[
    &[
        "message",
        "cluster",
        "names",
        "path",
        "payload",
        "text",
        "emitter",
        "sockets",
        "session",
        "outbound",
        "lock",
        "kv",
        "watch",
        "metrics",
        "parent",
        "stamp",
        "ending",
        "shedding",
        "timetable",
    ],
    &["runtime"],
    &["registry", "config"],
    &["dispatch"],
    &["server"],
    &["cli"],
    &["main", "lib"],
];

/// Foreign crates and the folders that may use them.
const CRATES: &[(&str, &[&str])] = &[
    ("wasmtime", &["runtime"]),
    ("wasmtime_wasi", &["runtime"]),
    ("wasm_encoder", &["runtime"]),
    ("wasmparser", &["runtime"]),
    ("wit_component", &["runtime"]),
    ("wasi_preview1_component_adapter_provider", &["runtime"]),
    ("ipnet", &["config"]),
    ("wasmtime_wasi_http", &["runtime"]),
    ("rustls", &["runtime", "cluster"]),
    ("tokio_rustls", &["runtime"]),
    ("rustls_native_certs", &["runtime"]),
    ("rustc_demangle", &["runtime"]),
    ("hmac", &["runtime", "cluster"]),
    ("getrandom", &["runtime", "cluster"]),
    ("croner", &["timetable"]),
    ("jiff", &["timetable"]),
    ("axum", &["server"]),
    ("hyper", &["server", "runtime"]),
    ("hyper_util", &["server", "runtime"]),
    ("tower", &["server"]),
    ("tower_http", &["server"]),
    ("mime_guess", &["server"]),
    ("httpdate", &["server"]),
    ("socket2", &["server"]),
    ("socketioxide", &["server", "emitter"]),
    ("cookie", &["server"]),
    ("prometheus_client", &["server"]),
    ("notify", &["watch"]),
    ("ignore", &["watch"]),
    ("redb", &["kv"]),
    ("redis", &["cluster"]),
    ("postcard", &["cluster"]),
    ("crc32fast", &["kv"]),
    ("clap", &["cli"]),
    ("ureq", &["cli"]),
    ("wit_bindgen_core", &["cli"]),
    ("wit_bindgen_c", &["cli"]),
    ("wit_bindgen_go", &["cli"]),
    ("wit_parser", &["runtime"]),
    ("tokio_tungstenite", &["cli", "server"]),
    ("anyhow", &["cli", "main"]),
    ("mimalloc", &["main"]),
];

/// Types that make a `static` mutable.
const MUTABLE: &[&str] = &[
    "mut ", "Mutex", "RwLock", "RefCell", "Cell<", "OnceLock", "OnceCell", "LazyLock", "Atomic",
];

#[test]
fn every_folder_has_a_floor() {
    for file in host() {
        assert!(
            floor(folder(&file)).is_some(),
            "{}: give the folder {} a floor in FLOORS",
            file.path.display(),
            folder(&file)
        );
    }
}

#[test]
fn nothing_imports_from_a_higher_floor() {
    for file in host() {
        for used in imported_folders(&file) {
            let path = file.path.display();
            assert!(
                floor(&used) <= floor(folder(&file)),
                "{path}: {} uses {used}, which lies above it",
                folder(&file)
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
fn folders_import_each_other_in_one_direction_only() {
    let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in host()
        .into_iter()
        .filter(|file| !matches!(folder(file), "main" | "lib"))
    {
        uses.entry(folder(&file).to_owned())
            .or_default()
            .extend(imported_folders(&file));
    }
    for folder in uses.keys() {
        let mut reached = BTreeSet::new();
        let mut next: Vec<&String> = uses[folder].iter().collect();
        while let Some(other) = next.pop() {
            assert_ne!(
                other, folder,
                "{folder} uses itself through others: {uses:?}"
            );
            if reached.insert(other) {
                next.extend(uses.get(other).into_iter().flatten());
            }
        }
    }
}

#[test]
fn files_import_each_other_in_one_direction_only() {
    let files: Vec<SourceFile> = host().into_iter().filter(|file| !file.is_test()).collect();
    let uses = uses(&files);
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

#[test]
fn each_foreign_crate_has_its_folders() {
    for file in host() {
        for (tool, folders) in CRATES {
            let used = file
                .paths()
                .iter()
                .any(|path| path.split("::").next() == Some(tool));
            let allowed = folders.contains(&folder(&file));
            assert!(
                !used || allowed,
                "{}: {tool} belongs into {folders:?}, not into {}",
                file.path.display(),
                folder(&file)
            );
        }
    }
}

/// Variables of a thread that mirror something which the system keeps for the thread, by file and beginning.
const OF_A_THREAD: &[(&str, &str)] = &[("runtime/instance/cpu.rs", "THREAD: Cell<")];

#[test]
fn nothing_is_a_mutable_static() {
    for file in host() {
        for line in file.code.lines().map(str::trim_start) {
            let line = line.strip_prefix("pub ").unwrap_or(line);
            let line = line.strip_prefix("pub(crate) ").unwrap_or(line);
            if let Some(what) = line.strip_prefix("static ") {
                let of_a_thread = |(path, beginning): &(&str, &str)| {
                    file.path.ends_with(path) && what.starts_with(beginning)
                };
                if OF_A_THREAD.iter().any(of_a_thread) {
                    continue;
                }
                let mutable = MUTABLE.iter().find(|mutable| what.contains(**mutable));
                assert_eq!(mutable, None, "{}: static {what}", file.path.display());
            }
        }
    }
}

fn host() -> Vec<SourceFile> {
    source_files(&sources().join("../host/src"))
}

fn floor(folder: &str) -> Option<usize> {
    FLOORS.iter().position(|folders| folders.contains(&folder))
}

/// Returns the module at the crate's root to which a file belongs.
fn folder(file: &SourceFile) -> &str {
    &file.modules[0]
}

/// Returns the other folders of the host from which a file imports.
fn imported_folders(file: &SourceFile) -> BTreeSet<String> {
    let inside = |path: &String| {
        let mut parts = path.split("::");
        let root = parts.next()?;
        let folder = parts.next()?.to_owned();
        (matches!(root, "crate" | "hitchy") && floor(&folder).is_some()).then_some(folder)
    };
    let paths = file.paths();
    let folders = paths.iter().filter_map(inside);
    folders.filter(|name| name != folder(file)).collect()
}
