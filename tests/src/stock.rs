//! Components of `wasi:http` that were not made for this server: sites in JavaScript and Python, each built once by its
//! language's own toolchain, whose version is pinned in `stock/`. They are built again when their sources change.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::{sources, target_dir};

/// The version of `wasi:http` and its companions in `wit/deps`.
const OURS: &str = "0.2.12";
/// The version that the JavaScript engine of componentize-js 0.23 has.
const STARLING: &str = "0.2.10";

/// Returns the site in JavaScript, made by componentize-js from a listener of `fetch`.
///
/// # Panics
/// Panics if npm or the toolchain fails.
pub fn javascript() -> Vec<u8> {
    static BUILT: OnceLock<Vec<u8>> = OnceLock::new();
    let files = ["app.js", "build.mjs", "package.json", "package-lock.json"];
    let build = || {
        once("js", &files, STARLING, |folder| {
            run(folder, "npm", ["ci", "--no-audit", "--no-fund", "--silent"]);
            run(folder, "node", ["build.mjs", "wit", "site.wasm"]);
        })
    };
    BUILT.get_or_init(build).clone()
}

/// Returns the site in Python, made by componentize-py.
///
/// # Panics
/// Panics if Python has no virtual environments, or if pip or the toolchain fails.
pub fn python() -> Vec<u8> {
    static BUILT: OnceLock<Vec<u8>> = OnceLock::new();
    let build = || {
        once("python", &["app.py", "requirements.txt"], OURS, |folder| {
            run(folder, "python3", ["-m", "venv", "venv"]);
            let pip = ["install", "--quiet", "--requirement", "requirements.txt"];
            run(folder, "venv/bin/pip", pip);
            let build = [
                "-d",
                "wit",
                "-w",
                "site",
                "componentize",
                "app",
                "-o",
                "site.wasm",
            ];
            run(folder, "venv/bin/componentize-py", build);
        })
    };
    BUILT.get_or_init(build).clone()
}

/// Builds the component of a folder of `stock/`, unless it was built from the same files before.
fn once(name: &str, files: &[&str], version: &str, build: impl FnOnce(&Path)) -> Vec<u8> {
    let (from, to) = (
        sources().join("stock").join(name),
        target_dir().join("stock").join(name),
    );
    let wit = interfaces(version);
    let inputs = inputs(&from, files, &wit);
    let (built, mark) = (to.join("site.wasm"), to.join("built-from"));
    if fs::read(&mark).is_ok_and(|known| known == inputs) {
        return read(&built);
    }
    let _ = fs::remove_file(&mark);
    for file in files {
        write(&to.join(file), &read(&from.join(file)));
    }
    for (path, text) in &wit {
        write(&to.join("wit").join(path), text.as_bytes());
    }
    build(&to);
    write(&mark, &inputs);
    read(&built)
}

/// Returns the interfaces that the sites are built against, with their paths: those of `wit/deps` in this version.
fn interfaces(version: &str) -> Vec<(PathBuf, String)> {
    let world = sources().join("stock/wit/world.wit");
    let mut files = vec![(PathBuf::from("world.wit"), world)];
    for name in [
        "cli",
        "clocks",
        "filesystem",
        "http",
        "io",
        "random",
        "sockets",
    ] {
        let path = Path::new("deps").join(format!("{name}.wit"));
        let source = sources().join("../wit").join(&path);
        files.push((path, source));
    }
    let text = |path: &Path| String::from_utf8(read(path)).expect("WIT is text");
    let in_version = |path: &Path| text(path).replace(OURS, version);
    files
        .into_iter()
        .map(|(path, source)| (path, in_version(&source)))
        .collect()
}

/// Returns everything that a component is built from, as one.
fn inputs(from: &Path, files: &[&str], wit: &[(PathBuf, String)]) -> Vec<u8> {
    let own = files.iter().flat_map(|file| read(&from.join(file)));
    let wit = wit.iter().flat_map(|(_, text)| text.bytes());
    own.chain(wit).collect()
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn write(path: &Path, content: &[u8]) {
    fs::create_dir_all(path.parent().expect("a file lies in a folder"))
        .and_then(|()| fs::write(path, content))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// Runs a program in a folder to its end.
fn run<const N: usize>(folder: &Path, program: &str, arguments: [&str; N]) {
    // A program in a subfolder is named from the folder in which it runs.
    let path = folder.join(program);
    let program = if program.contains('/') {
        path.as_os_str()
    } else {
        OsStr::new(program)
    };
    let status = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .status();
    let status = status.unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    assert!(
        status.success(),
        "{} failed in {}",
        program.display(),
        folder.display()
    );
}
