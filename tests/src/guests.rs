//! Builds the guests that the tests copy into handlers folders. The fixtures of `fixtures/` are built once per process.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use wasmparser::{Parser, Payload};

use crate::{cargo, probe, sources, target_dir};

/// The target of components.
const TARGET: &str = "wasm32-wasip2";
/// The target of core modules.
const CORE_TARGET: &str = "wasm32-wasip1";

/// The mark in the components `scripted` and `storing` after which the script begins.
const MARK: &[u8] = b"@@HITCHY-SCRIPT@@";
const SCRIPT_SPACE: usize = 4096;

/// Returns the component of the guest `name` of `fixtures/`. The guest `probe` is the one in the language that was
/// chosen: see [`crate::probe`].
///
/// # Panics
/// Panics if the guest does not build. The compiler has then printed the errors.
pub fn guest(name: &str) -> Vec<u8> {
    if name == "probe"
        && let Some(file) = probe::file()
    {
        return file;
    }
    let path = built().join(format!("{name}.wasm"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the guest `name` of `fixtures/` as the core module that `cargo build --target wasm32-wasip1` leaves.
///
/// # Panics
/// Panics if the guest does not build. The compiler has then printed the errors.
pub fn core_guest(name: &str) -> Vec<u8> {
    let package = name.replace('_', "-");
    let which = ["--locked", "--package", &package];
    let path = build_for(CORE_TARGET, sources().join("fixtures"), &which)
        .unwrap_or_else(|error| panic!("{error}"))
        .join(format!("{name}.wasm"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the guest `scripted` with these lines as its script, which name the declarations of the handler. See
/// `fixtures/scripted`.
///
/// # Panics
/// Panics if the script is too long.
pub fn scripted(script: &str) -> Vec<u8> {
    with_script("scripted", script)
}

/// Returns the guest `storing`, whose routes lie below `prefix`: `/a`, or empty. See `fixtures/storing`.
///
/// # Panics
/// Panics if the prefix is too long.
pub fn storing(prefix: &str) -> Vec<u8> {
    with_script("storing", prefix)
}

/// Returns the component of a fixture with a script in it.
fn with_script(name: &str, script: &str) -> Vec<u8> {
    let mut component = guest(name);
    let mark = component
        .windows(MARK.len())
        .position(|window| window == MARK)
        .expect("the guest carries the mark");
    let start = mark + MARK.len();
    let space = &mut component[start..mark + SCRIPT_SPACE];
    assert!(
        script.len() <= space.len(),
        "the script is longer than {} bytes",
        space.len()
    );
    space[..script.len()].copy_from_slice(script.as_bytes());
    component
}

/// Returns a file of `fixtures/`.
///
/// # Panics
/// Panics if it cannot be read.
pub fn fixture(path: &str) -> Vec<u8> {
    let path = sources().join("fixtures").join(path);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns an equivalent component with different bytes, by adding a custom section with this text. The probe in
/// JavaScript gets a comment.
pub fn stamped(component: &[u8], text: &str) -> Vec<u8> {
    if probe::is_script(component) {
        return [component, format!("\n// {text}\n").as_bytes()].concat();
    }
    let name = b"stamp";
    let length = u8::try_from(1 + name.len() + text.len())
        .ok()
        .filter(|length| *length < 128)
        .expect("a short stamp");
    let mut stamped = component.to_vec();
    stamped.extend([0, length, name.len() as u8]);
    stamped.extend(name);
    stamped.extend(text.as_bytes());
    stamped
}

/// Returns the component of the example `name` of `examples/`.
///
/// # Panics
/// Panics if the example does not build. The compiler has then printed the errors.
pub fn example(name: &str) -> Vec<u8> {
    let built = build(sources().join("../examples"), &["--package", name]);
    let path = built
        .unwrap_or_else(|error| panic!("{error}"))
        .join(format!("{name}.wasm"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the component of an example, built from a copy of its sources in which `edit` has changed `src/lib.rs`.
///
/// # Panics
/// Panics if the copy does not build, or if `edit` changes nothing.
pub fn changed_example(name: &str, edit: impl FnOnce(&str) -> String) -> Vec<u8> {
    let copy = target_dir().join("changed").join(name);
    let library = copy_example(name, &copy).join("src/lib.rs");
    let source = std::fs::read_to_string(&library).expect("an example is a library");
    let changed = edit(&source);
    assert_ne!(changed, source, "the edit must change something");
    std::fs::write(&library, changed).expect("a file can be written");
    let package = format!("{name}_changed");
    let path = build_unlocked(copy, &[])
        .unwrap_or_else(|error| panic!("{error}"))
        .join(format!("{package}.wasm"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Copies an example, with its page, into a workspace of its own, and returns the folder of the copied package. The
/// workspace has the profile and the dependency versions of the examples, so only the handler itself is built again, as
/// `NAME-changed`.
///
/// # Panics
/// Panics if a file cannot be read or written.
pub fn copy_example(name: &str, workspace: &Path) -> PathBuf {
    let examples = sources().join("../examples");
    let (from, to) = (examples.join(name), workspace.join("handler"));
    for file in ["Cargo.toml", "Cargo.lock"] {
        copy(&examples.join(file), &workspace.join(file));
    }
    for folder in ["src", "public"] {
        // Some examples do not have a page.
        let entries = std::fs::read_dir(from.join(folder));
        for entry in entries.into_iter().flatten() {
            let name = entry.expect("a folder can be read").file_name();
            let file = Path::new(folder).join(name);
            copy(&from.join(&file), &to.join(&file));
        }
    }
    let manifest =
        std::fs::read_to_string(from.join("Cargo.toml")).expect("an example is a package");
    let sdk = sources().join("../guest-sdk");
    let manifest = manifest
        .replace(
            &format!("name = \"{name}\""),
            &format!("name = \"{name}-changed\""),
        )
        .replace("../../guest-sdk", sdk.to_str().expect("a path in UTF-8"));
    std::fs::write(to.join("Cargo.toml"), manifest).expect("a file can be written");
    to
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.parent().expect("a file lies in a folder"))
        .and_then(|()| std::fs::copy(from, to))
        .unwrap_or_else(|error| panic!("{}: {error}", from.display()));
}

/// Returns the interfaces that a component imports, without their versions, for example `wasi:cli/exit`.
///
/// # Panics
/// Panics if the bytes are not a well-formed component.
pub fn imports(component: &[u8]) -> Vec<String> {
    let (mut names, mut depth) = (Vec::new(), 0);
    for payload in Parser::new(0).parse_all(component) {
        match payload.expect("well formed") {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(imports) if depth == 0 => {
                for import in imports {
                    let name = import.expect("well formed").name.name;
                    names.push(name.split('@').next().unwrap_or(name).to_owned());
                }
            }
            _ => {}
        }
    }
    names
}

/// Builds all guests of `fixtures/` on the first call, and returns the folder of the components.
fn built() -> &'static PathBuf {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| build(sources().join("fixtures"), &[]));
    built.as_ref().unwrap_or_else(|error| panic!("{error}"))
}

/// Builds guests of a workspace with its lock file as it is, and returns the folder of the components.
fn build(workspace: PathBuf, which: &[&str]) -> Result<PathBuf, String> {
    build_unlocked(workspace, &[&["--locked"], which].concat())
}

/// Builds guests of a workspace whose lock file may lack the packages of the workspace itself.
fn build_unlocked(workspace: PathBuf, which: &[&str]) -> Result<PathBuf, String> {
    build_for(TARGET, workspace, which)
}

/// Builds guests of a workspace for a target, and returns the folder of the `.wasm` files.
fn build_for(target: &str, workspace: PathBuf, which: &[&str]) -> Result<PathBuf, String> {
    add_target(target);
    let target_dir = target_dir().join("fixtures");
    let built = cargo()
        .args(["build", "--release", "--quiet", "--target", target])
        .args(which)
        .current_dir(&workspace)
        .env("CARGO_TARGET_DIR", &target_dir)
        // The stack comes first in a guest's memory, and a small stack makes calls cheap.
        .env(
            "CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS",
            "-Clink-arg=-zstack-size=65536",
        )
        .env(
            "CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS",
            "-Clink-arg=-zstack-size=65536",
        )
        .status()
        .expect("cargo starts");
    if !built.success() {
        return Err(format!(
            "the guests of {} do not build",
            workspace.display()
        ));
    }
    Ok(target_dir.join(target).join("release"))
}

/// Installs the compilation target through rustup if it is missing. Without rustup, the compiler reports the missing
/// target.
fn add_target(target: &str) {
    let Ok(installed) = Command::new("rustup")
        .args(["target", "list", "--installed"])
        .current_dir(sources())
        .output()
    else {
        return;
    };
    if String::from_utf8_lossy(&installed.stdout)
        .lines()
        .any(|line| line == target)
    {
        return;
    }
    #[expect(
        clippy::print_stderr,
        reason = "it is slow and changes the machine: whoever waits should know"
    )]
    {
        eprintln!("rustup target add {target} (the guests of the tests need it)");
    }
    let added = Command::new("rustup")
        .args(["target", "add", target])
        .current_dir(sources())
        .status();
    assert!(
        added.is_ok_and(|status| status.success()),
        "rustup target add {target} failed"
    );
}
