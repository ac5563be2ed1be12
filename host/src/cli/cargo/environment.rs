//! The environment variables that cargo, rustc and rustup read. Handlers are built as their authors wrote it, whatever
//! the environment of this machine says: variables that would change or break a build for WebAssembly are not passed
//! on, and variables that say where tools are and where they write are.

use std::env;
use std::ffi::OsString;
use std::path::Path;

use tokio::process::Command;

/// The files in which an author chooses a toolchain, for a folder and everything below it.
pub(super) const TOOLCHAIN_FILES: [&str; 2] = ["rust-toolchain.toml", "rust-toolchain"];

/// What happens to a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    /// It is passed on.
    Kept,
    /// It is not passed to cargo and rustc.
    Dropped,
    /// `cargo run` sets it about the package that it runs, so it is not passed to commands of `[dev]` either.
    OfCargoRun,
    /// It chooses the toolchain. It is passed on unless the author chose one in a `rust-toolchain.toml`.
    Toolchain,
}

/// The decisions. A `*` at the end stands for any end. The first row that fits decides; other variables are kept.
const DECISIONS: &[(&str, Decision)] = &[
    // These are meant for the machine's own programs: a linker such as mold, -Dwarnings, target-cpu=native. The first
    // two would also replace all flags of the author's .cargo/config.toml.
    ("RUSTFLAGS", Decision::Dropped),
    ("CARGO_ENCODED_RUSTFLAGS", Decision::Dropped),
    ("CARGO_BUILD_RUSTFLAGS", Decision::Dropped),
    // These name the target of handlers, so they are meant. Cargo adds the flags to the author's.
    ("CARGO_TARGET_WASM32_WASIP2_*", Decision::Kept),
    // Handlers have one target, which the command line names.
    ("CARGO_BUILD_TARGET", Decision::Dropped),
    ("CARGO_TARGET_APPLIES_TO_HOST", Decision::Dropped),
    // Where cargo writes does not change what it makes.
    ("CARGO_TARGET_DIR", Decision::Kept),
    ("CARGO_BUILD_TARGET_DIR", Decision::Kept),
    ("CARGO_BUILD_BUILD_DIR", Decision::Kept),
    ("CARGO_BUILD_JOBS", Decision::Kept),
    // The program would not be where dev looks for it, and its sources would not be found by their paths.
    ("CARGO_BUILD_ARTIFACT_DIR", Decision::Dropped),
    ("CARGO_BUILD_OUT_DIR", Decision::Dropped),
    ("CARGO_BUILD_DEP_INFO_BASEDIR", Decision::Dropped),
    // Wrappers cache, lint or measure the machine's own programs; some add flags that WebAssembly does not have.
    ("RUSTC_WRAPPER", Decision::Dropped),
    ("RUSTC_WORKSPACE_WRAPPER", Decision::Dropped),
    ("CARGO_BUILD_RUSTC_WRAPPER", Decision::Dropped),
    ("CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER", Decision::Dropped),
    // The profile is the author's. `hitchy dev` changes it on the command line.
    ("CARGO_PROFILE_*", Decision::Dropped),
    ("CARGO_INCREMENTAL", Decision::Dropped),
    ("CARGO_BUILD_INCREMENTAL", Decision::Dropped),
    // Warnings are no errors unless the author says so.
    ("CARGO_BUILD_WARNINGS", Decision::Dropped),
    // For example build-std, which needs sources that are not installed.
    ("CARGO_UNSTABLE_*", Decision::Dropped),
    // The toolchain. The proxies of rustup set RUSTUP_TOOLCHAIN, and `cargo run` sets CARGO.
    ("RUSTUP_TOOLCHAIN", Decision::Toolchain),
    ("CARGO", Decision::Toolchain),
    ("RUSTC", Decision::Toolchain),
    ("CARGO_BUILD_RUSTC", Decision::Toolchain),
    // Build scripts and `env!` would see another package, and would run again because of it.
    ("CARGO_PKG_*", Decision::OfCargoRun),
    ("CARGO_MANIFEST_*", Decision::OfCargoRun),
    ("CARGO_CRATE_NAME", Decision::OfCargoRun),
    ("CARGO_BIN_*", Decision::OfCargoRun),
    ("CARGO_PRIMARY_PACKAGE", Decision::OfCargoRun),
    ("CARGO_TARGET_TMPDIR", Decision::OfCargoRun),
    ("CARGO_CFG_*", Decision::OfCargoRun),
    ("CARGO_FEATURE_*", Decision::OfCargoRun),
    ("CARGO_RUSTC_CURRENT_DIR", Decision::OfCargoRun),
    ("CARGO_MAKEFLAGS", Decision::OfCargoRun),
    ("OUT_DIR", Decision::OfCargoRun),
    // No documentation is built.
    ("RUSTDOCFLAGS", Decision::Kept),
    ("CARGO_ENCODED_RUSTDOCFLAGS", Decision::Kept),
];

/// Removes the variables that must not reach a build of the package in `folder` from the environment of a command.
pub(super) fn clean(command: &mut Command, folder: &Path) {
    let pinned = is_pinned(folder);
    remove(command, |decision| match decision {
        Decision::Kept => false,
        Decision::Dropped | Decision::OfCargoRun => true,
        Decision::Toolchain => pinned,
    });
}

/// Removes the variables by which `cargo run` describes the package that it runs from the environment of a command.
pub(in crate::cli) fn remove_cargo_run(command: &mut Command) {
    remove(command, |decision| decision == Decision::OfCargoRun);
}

/// Returns the program of this variable if it reaches builds of the package in `folder`.
pub(super) fn program(variable: &str, folder: &Path) -> Option<OsString> {
    let named = env::var_os(variable).filter(|program| !program.is_empty());
    named.filter(|_| !is_pinned(folder))
}

/// Returns true if the author chose a toolchain for the folder.
fn is_pinned(folder: &Path) -> bool {
    let is_there = |folder: &Path| {
        TOOLCHAIN_FILES
            .iter()
            .any(|name| folder.join(name).is_file())
    };
    folder.ancestors().any(is_there)
}

fn remove(command: &mut Command, is_removed: impl Fn(Decision) -> bool) {
    for (name, _) in env::vars_os() {
        if is_removed(decision(&name.to_string_lossy())) {
            command.env_remove(name);
        }
    }
}

fn decision(name: &str) -> Decision {
    let fits = |pattern: &str| match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    };
    let row = DECISIONS.iter().find(|(pattern, _)| fits(pattern));
    row.map_or(Decision::Kept, |(_, decision)| *decision)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i11_8_each_variable_has_its_decision() {
        for (name, wanted) in [
            ("RUSTFLAGS", Decision::Dropped),
            ("RUSTFLAGS_OF_MINE", Decision::Kept),
            ("CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS", Decision::Kept),
            (
                "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER",
                Decision::Kept,
            ),
            ("CARGO_PROFILE_RELEASE_LTO", Decision::Dropped),
            ("CARGO_HOME", Decision::Kept),
            ("CARGO_NET_OFFLINE", Decision::Kept),
            ("CARGO_REGISTRIES_MINE_TOKEN", Decision::Kept),
            ("CARGO_TERM_COLOR", Decision::Kept),
            ("CARGO_MANIFEST_DIR", Decision::OfCargoRun),
            ("CARGO_PKG_VERSION", Decision::OfCargoRun),
            ("RUSTUP_TOOLCHAIN", Decision::Toolchain),
            ("RUSTUP_HOME", Decision::Kept),
            ("PATH", Decision::Kept),
        ] {
            assert_eq!(decision(name), wanted, "{name}");
        }
    }
}
