//! The build of one handler by cargo.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::SystemTime;

use anyhow::anyhow;

use super::command::{NoCargo, TARGET, cargo};
use super::messages::Report;
use super::metadata::Package;
use crate::cli::inputs::{self, Inputs};
use crate::cli::job::{self, Ended, Stop};
use crate::cli::output::terminal;

/// The settings by which `hitchy dev` changes the release profile, so that new code is served soon after a save: less
/// optimisation, no work at link time, and incremental compilation. Cargo keeps artefacts of other settings beside
/// these. The debug profile is not used, because the editor's own checks lock its folder and the build would wait for
/// them.
const DEV: [&str; 6] = [
    "profile.release.opt-level=1",
    r#"profile.release.lto="off""#,
    "profile.release.incremental=true",
    "profile.release.codegen-units=16",
    r#"profile.release.package."*".codegen-units=1"#,
    r#"profile.release.package."*".opt-level="s""#,
];
/// A stack of 64 KiB instead of Rust's 1 MiB, because a fresh instance clears its stack and each call pays for that.
/// The argument is one of `cargo rustc`, which precede all flags of the author; the linker obeys the last.
const STACK: &str = "-Clink-arg=-zstack-size=65536";

/// The cargo profile of a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Profile {
    /// The package's own release profile, as it is deployed.
    Release,
    /// The release profile changed by [`DEV`], for the shortest time between a save and new code.
    Dev,
}

/// The end of a build.
pub(in crate::cli) enum Build {
    /// The path of the file that was made, and what was read for it.
    Made(PathBuf, Inputs),
    /// The build failed; cargo and the compiler have printed their messages. What was read as far as it is known.
    Failed(Inputs),
    /// The build was stopped.
    Stopped,
}

/// Builds a package, unless `stop` ends the build.
///
/// # Errors
/// Cargo cannot be started, or it made no `.wasm`.
pub(in crate::cli) async fn build(
    package: &Package,
    profile: Profile,
    stop: &Stop,
) -> anyhow::Result<Build> {
    let began = SystemTime::now();
    let mut command = cargo(&package.manifest);
    let format = if terminal::has_coloured_notes() {
        "json-diagnostic-rendered-ansi"
    } else {
        "json"
    };
    command
        .args(["rustc", "--lib", "--release", "--target", TARGET])
        .args(["--message-format", format])
        .arg("--manifest-path")
        .arg(&package.manifest)
        .stdout(Stdio::piped());
    if profile == Profile::Dev {
        command.args(DEV.iter().flat_map(|setting| ["--config", setting]));
    }
    if !job::is_terminal() {
        command.arg("--quiet");
    }
    command.args(["--", STACK]);
    let mut report = Report::default();
    let doing = format!("building {}", package.name);
    let running = job::run(&mut command, &doing, stop, |line| {
        report.read(line, package)
    });
    match running.await.map_err(NoCargo)? {
        Ended::Stopped => Ok(Build::Stopped),
        Ended::By(status) if status.success() => {
            let made = report.artifact.clone();
            let made = made.ok_or_else(|| anyhow!("building {} made no .wasm", package.name))?;
            let inputs = inputs_of(package, &report, &made);
            Ok(Build::Made(made, inputs))
        }
        Ended::By(_) => Ok(Build::Failed(inputs_of_failure(package, &report, began))),
    }
}

/// Returns what a successful build read: what the compiler and build scripts say, manifests and settings of cargo.
fn inputs_of(package: &Package, report: &Report, made: &Path) -> Inputs {
    let mut inputs = Inputs::new(&package.outputs);
    inputs.may_write_sources = !report.scripts.is_empty();
    // The file beside the artifact covers all local packages, and what their build scripts name.
    match inputs::dep_info::read(&made.with_extension("d")) {
        Some(files) => inputs.add_all(files, &package.bases()),
        None => inputs.is_known = false,
    }
    for (out_dir, folder) in &report.scripts {
        if inputs::build_script::reads_whole_package(out_dir) {
            inputs.add(folder);
        }
    }
    add_cargo_files(&mut inputs, package, report);
    inputs
}

/// Returns what is known of the files that a failed build read or missed.
fn inputs_of_failure(package: &Package, report: &Report, began: SystemTime) -> Inputs {
    let mut inputs = Inputs::new(&package.outputs);
    inputs.may_write_sources = !report.scripts.is_empty();
    inputs.is_known = false;
    for output in &package.outputs {
        // It may be the folder of the target itself, where sources lie beside it.
        let above = output.parent().filter(|_| output.ends_with(TARGET));
        let folder = above.unwrap_or(output).join(TARGET).join("release/deps");
        for files in inputs::dep_info::read_since(&folder, began) {
            inputs.add_all(files, &package.bases());
        }
    }
    for manifest in &report.manifests {
        inputs
            .folders
            .extend(manifest.parent().map(ToOwned::to_owned));
    }
    inputs.add_all(report.missing.iter().cloned(), &[]);
    add_cargo_files(&mut inputs, package, report);
    inputs
}

fn add_cargo_files(inputs: &mut Inputs, package: &Package, report: &Report) {
    inputs.add_all(package.files.iter().cloned(), &[]);
    for manifest in &report.manifests {
        inputs.add_all(inputs::cargo_files::of_manifest(manifest), &[]);
    }
}
