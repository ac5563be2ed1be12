//! Source folders for `hitchy dev` and `hitchy build`: the smallest handler in Rust, built in the target folder of the
//! fixtures.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::server::Plan;
use crate::{Server, sources, target_dir};

/// The time limit of a build. Cargo may have to wait for another build, and the machine may be busy.
pub const BUILT: Duration = Duration::from_secs(300);

/// Returns the source of a handler that answers `GET /NAME` and the event `NAME` with `answer`.
pub fn source(name: &str, answer: &str) -> String {
    format!(
        "use hitchy_guest::{{App, Result}};\n\
         fn app() -> App {{ App::new().get(\"/{name}\", route).on(\"{name}\", event) }}\n\
         fn route() -> &'static str {{ ANSWER }}\n\
         fn event() -> Result<&'static str> {{ Ok(ANSWER) }}\n\
         const ANSWER: &str = \"{answer}\";\n\
         hitchy_guest::export!(app);\n"
    )
}

/// Returns the manifest of a handler in Rust.
///
/// # Panics
/// Panics if the SDK is not there.
pub fn manifest(name: &str) -> String {
    let sdk = sources()
        .join("../guest-sdk")
        .canonicalize()
        .expect("the SDK is there");
    format!(
        "[package]\nname = \"{name}\"\nedition = \"2024\"\n\
         [lib]\ncrate-type = [\"cdylib\"]\n\
         [dependencies]\nhitchy-guest = {{ path = {sdk:?} }}\n\
         [workspace]\n\
         [profile.release]\nopt-level = \"s\"\nlto = true\ncodegen-units = 1\nstrip = \"debuginfo\"\n"
    )
}

/// Returns the plan of `hitchy dev` over an empty folder. Builds use the target folder of the fixtures, where the
/// dependencies are compiled already.
///
/// # Panics
/// Panics if the path of the target folder is not UTF-8.
pub fn project() -> Plan {
    let target = target_dir().join("fixtures");
    Server::prepare().command("dev").env(
        "CARGO_TARGET_DIR",
        target.to_str().expect("paths are UTF-8"),
    )
}

/// Adds a handler in Rust in the folder `name`. Each test uses a name of its own, because cargo writes the output of
/// all tests into one folder.
///
/// # Panics
/// Panics if the handler's files cannot be written.
pub fn with_package(plan: Plan, name: &str, answer: &str) -> Plan {
    package(plan.dir(), name, answer);
    plan
}

/// Writes the package of a handler in Rust into the folder `name` of `dir`.
///
/// # Panics
/// Panics if a file cannot be written.
pub fn package(dir: &Path, name: &str, answer: &str) {
    let folder = dir.join(name);
    fs::create_dir_all(folder.join("src")).expect("a folder can be made");
    let lock = sources().join("fixtures/Cargo.lock");
    fs::copy(lock, folder.join("Cargo.lock")).expect("a file can be copied");
    fs::write(folder.join("src/lib.rs"), source(name, answer)).expect("a file can be written");
    fs::write(folder.join("Cargo.toml"), manifest(name)).expect("a file can be written");
}

/// Writes the package of a library that needs nothing and is built in a moment. It becomes a component, but declares
/// nothing that a server could serve.
///
/// # Panics
/// Panics if a file cannot be written.
pub fn bare_package(folder: &Path, name: &str) {
    fs::create_dir_all(folder.join("src")).expect("a folder can be made");
    let library = "#[unsafe(no_mangle)] pub extern \"C\" fn answer() -> u32 { unused() }\nfn unused() -> u32 { let x = 1; 42 }\n";
    fs::write(folder.join("src/lib.rs"), library).expect("a file can be written");
    let manifest = format!(
        "[package]\nname = \"{name}\"\nedition = \"2024\"\n[lib]\ncrate-type = [\"cdylib\"]\n[workspace]\n"
    );
    fs::write(folder.join("Cargo.toml"), manifest).expect("a file can be written");
}
