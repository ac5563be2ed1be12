//! Commands that run cargo and the compiler for one package.

use std::path::Path;

use tokio::process::Command;

use super::environment;

/// The target for which handlers are built.
pub(super) const TARGET: &str = "wasm32-wasip2";

/// The error of a cargo or compiler that cannot be started.
#[derive(Debug, thiserror::Error)]
#[error("cargo cannot be run: {0}; install Rust (https://rustup.rs)")]
pub(super) struct NoCargo(pub(super) std::io::Error);

/// Returns a cargo command in the folder of a manifest, where a toolchain and settings of cargo may be chosen.
pub(super) fn cargo(manifest: &Path) -> Command {
    let folder = manifest.parent().unwrap_or(Path::new("/"));
    let program = environment::program("CARGO", folder);
    tool(program.unwrap_or_else(|| "cargo".into()), folder)
}

/// Returns a command that runs the compiler for the package in `folder`.
pub(super) fn rustc(folder: &Path) -> Command {
    let program = environment::program("RUSTC", folder);
    tool(program.unwrap_or_else(|| "rustc".into()), folder)
}

/// Returns a command that runs rustup for the package in `folder`.
pub(super) fn rustup(folder: &Path) -> Command {
    tool("rustup".into(), folder)
}

fn tool(program: std::ffi::OsString, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder);
    environment::clean(&mut command, folder);
    command
}
