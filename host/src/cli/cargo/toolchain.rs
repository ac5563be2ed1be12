//! The Rust toolchain of a package, and the standard library for the target of handlers.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::bail;

use super::command::{NoCargo, TARGET, rustc, rustup};
use super::metadata::Package;
use crate::cli::job;
use crate::cli::output::print;

/// Adds the standard library for the target where it is missing. Each package may choose its own toolchain, so the
/// check runs in the folder of each.
///
/// # Errors
/// The compiler cannot be started, or rustup cannot add the target.
pub(in crate::cli) async fn ensure_targets<'a>(
    packages: impl IntoIterator<Item = &'a Package>,
) -> anyhow::Result<()> {
    let folders: BTreeSet<_> = packages
        .into_iter()
        .filter_map(|package| package.manifest.parent())
        .collect();
    for folder in folders {
        ensure_target(folder).await?;
    }
    Ok(())
}

async fn ensure_target(folder: &Path) -> anyhow::Result<()> {
    let mut rustc = rustc(folder);
    rustc.args(["--print", "sysroot"]).stderr(Stdio::null());
    let output = job::output(&mut rustc).await.map_err(NoCargo)?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    if sysroot.join("lib/rustlib").join(TARGET).is_dir() {
        return Ok(());
    }
    print(format_args!("adding the Rust target {TARGET}"));
    let mut rustup = rustup(folder);
    rustup.args(["target", "add", TARGET]);
    match job::run_to_end(&mut rustup, "adding it").await {
        Ok(status) if status.success() => Ok(()),
        _ => bail!(
            "the Rust target {TARGET} is missing and could not be added; run: rustup target add {TARGET} (in {})",
            folder.display()
        ),
    }
}
