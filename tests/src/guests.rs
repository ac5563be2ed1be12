//! The guests that the tests drop into folders: built once per process, from `fixtures/`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use wasmparser::{Parser, Payload};

use crate::{cargo, sources, target_dir};

const TARGET: &str = "wasm32-wasip2";

/// What the guest `scripted` looks for its script behind.
const MARK: &[u8] = b"@@HITCHY-SCRIPT@@";
const SCRIPT_SPACE: usize = 4096;

/// The component of the guest `name` of `fixtures/`.
///
/// # Panics
/// When it cannot be built: the compiler's words stand above.
pub fn guest(name: &str) -> Vec<u8> {
    let path = built().join(format!("{name}.wasm"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The guest `scripted` with these lines as its script: a handler that declares what they say. See `fixtures/scripted`.
///
/// # Panics
/// When the script is too long.
pub fn scripted(script: &str) -> Vec<u8> {
    let mut component = guest("scripted");
    let mark = component
        .windows(MARK.len())
        .position(|window| window == MARK)
        .expect("scripted carries its mark");
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

/// The same component with other bytes: a custom section with this text is added.
pub fn stamped(component: &[u8], text: &str) -> Vec<u8> {
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

/// The component of the example `name` of `examples/`.
///
/// # Panics
/// When it cannot be built: the compiler's words stand above.
pub fn example(name: &str) -> Vec<u8> {
    let built = build(sources().join("../examples"), &["--package", name]);
    let path = built
        .unwrap_or_else(|error| panic!("{error}"))
        .join(format!("{name}.wasm"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The same built from a copy of its sources in which `edit` has changed `src/lib.rs`.
///
/// # Panics
/// When it cannot be built, or `edit` changed nothing.
pub fn changed_example(name: &str, edit: impl FnOnce(&str) -> String) -> Vec<u8> {
    let copy = target_dir().join("changed").join(name);
    copy_example(name, &copy, edit);
    let built = build_unlocked(copy, &[]);
    let package = format!("{name}-changed").replace('-', "_");
    let path = built
        .unwrap_or_else(|error| panic!("{error}"))
        .join(format!("{package}.wasm"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A workspace of its own beside the examples: the same profile and versions, so that only the example itself is built anew, under
/// another name.
fn copy_example(name: &str, copy: &Path, edit: impl FnOnce(&str) -> String) {
    let examples = sources().join("../examples");
    let read = |path: &str| {
        let path = examples.join(path);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let write = |path: PathBuf, text: String| {
        std::fs::create_dir_all(path.parent().expect("a file lies in a folder"))
            .and_then(|()| std::fs::write(&path, text))
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    };
    let sdk = sources().join("../guest-sdk");
    let package = read(&format!("{name}/Cargo.toml"))
        .replace(
            &format!("name = \"{name}\""),
            &format!("name = \"{name}-changed\""),
        )
        .replace("../../guest-sdk", sdk.to_str().expect("a path in UTF-8"));
    write(copy.join("Cargo.toml"), read("Cargo.toml"));
    write(copy.join("Cargo.lock"), read("Cargo.lock"));
    write(copy.join("handler/Cargo.toml"), package);
    let folder = examples.join(name).join("src");
    for file in std::fs::read_dir(&folder).expect("an example has sources") {
        let file = file.expect("a folder can be read").file_name();
        let file = file.to_str().expect("a name in UTF-8");
        write(
            copy.join("handler/src").join(file),
            read(&format!("{name}/src/{file}")),
        );
    }
    let library = read(&format!("{name}/src/lib.rs"));
    let changed = edit(&library);
    assert_ne!(changed, library, "the edit must change something");
    write(copy.join("handler/src/lib.rs"), changed);
}

/// The interfaces that a component imports, without their versions: `wasi:cli/exit`.
///
/// # Panics
/// When the bytes are no component.
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

/// Builds all guests of `fixtures/`, and says where they are.
fn built() -> &'static PathBuf {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| build(sources().join("fixtures"), &[]));
    built.as_ref().unwrap_or_else(|error| panic!("{error}"))
}

/// Builds guests of a workspace, and says where they are.
fn build(workspace: PathBuf, which: &[&str]) -> Result<PathBuf, String> {
    build_unlocked(workspace, &[&["--locked"], which].concat())
}

/// The same where the lock file need not name the packages of the workspace itself.
fn build_unlocked(workspace: PathBuf, which: &[&str]) -> Result<PathBuf, String> {
    add_target();
    let target_dir = target_dir().join("fixtures");
    let built = cargo()
        .args(["build", "--release", "--quiet", "--target", TARGET])
        .args(which)
        .current_dir(&workspace)
        .env("CARGO_TARGET_DIR", &target_dir)
        // The stack comes first in a guest's memory, and a small one makes calls cheap.
        .env(
            "CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS",
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
    Ok(target_dir.join(TARGET).join("release"))
}

/// Adds the target through rustup when it is missing; without rustup the compiler says what is missing.
fn add_target() {
    let Ok(installed) = Command::new("rustup")
        .args(["target", "list", "--installed"])
        .current_dir(sources())
        .output()
    else {
        return;
    };
    if String::from_utf8_lossy(&installed.stdout)
        .lines()
        .any(|line| line == TARGET)
    {
        return;
    }
    #[expect(
        clippy::print_stderr,
        reason = "it is slow and changes the machine: whoever waits should know"
    )]
    {
        eprintln!("rustup target add {TARGET} (the guests of the tests need it)");
    }
    let added = Command::new("rustup")
        .args(["target", "add", TARGET])
        .current_dir(sources())
        .status();
    assert!(
        added.is_ok_and(|status| status.success()),
        "rustup target add {TARGET} failed"
    );
}
