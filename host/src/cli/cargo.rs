//! Asks cargo for the packages below a folder that become handlers and for the local folders that go into them, and
//! runs cargo to build one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, anyhow, bail};
use serde::Deserialize;
use tokio::process::Command;

use super::job;
use super::output::print;

/// The target for which handlers are built.
const TARGET: &str = "wasm32-wasip2";
/// A stack of 64 KiB instead of Rust's 1 MiB, because a fresh instance clears its stack and each call pays for that.
const RUSTFLAGS: &str = r#"target.wasm32-wasip2.rustflags=["-Clink-arg=-zstack-size=65536"]"#;
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

/// The cargo profile of a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Profile {
    /// The package's own release profile, as it is deployed.
    Release,
    /// The release profile changed by [`DEV`], for the shortest time between a save and new code.
    Dev,
}

/// A library that becomes a handler.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Package {
    pub(super) name: String,
    /// The name of the file that cargo makes, for example `my_chat.wasm`.
    pub(super) file: String,
    pub(super) manifest: PathBuf,
    /// The package's folder and those of local packages that it depends on.
    pub(super) folders: BTreeSet<PathBuf>,
    /// Files in the root of its workspace that change how it is built.
    pub(super) files: BTreeSet<PathBuf>,
    /// The workspace's `Cargo.lock`, which cargo writes beside the sources.
    pub(super) lock: PathBuf,
}

/// Packages below a folder, and an error for each manifest that cargo refuses.
#[derive(Default)]
pub(super) struct Packages {
    pub(super) found: BTreeSet<Package>,
    pub(super) problems: Vec<anyhow::Error>,
}

/// The fields of `cargo metadata` that are needed here.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<MetadataPackage>,
    workspace_root: PathBuf,
}

#[derive(Clone, Deserialize)]
struct MetadataPackage {
    name: String,
    manifest_path: PathBuf,
    targets: Vec<MetadataTarget>,
    dependencies: Vec<MetadataDependency>,
    #[serde(skip)]
    root: PathBuf,
}

#[derive(Clone, Deserialize)]
struct MetadataTarget {
    name: String,
    /// The crate types of a library; one word such as `bin` or `example` for other targets.
    kind: Vec<String>,
}

impl MetadataTarget {
    fn is_handler(&self) -> bool {
        self.kind.iter().any(|kind| kind == "cdylib")
    }
}

#[derive(Clone, Deserialize)]
struct MetadataDependency {
    kind: Option<String>,
    path: Option<PathBuf>,
}

impl MetadataPackage {
    fn folder(&self) -> &Path {
        self.manifest_path.parent().unwrap_or(Path::new("/"))
    }

    /// Returns the name of the library if it becomes a handler.
    fn library(&self) -> Option<&str> {
        let library = self.targets.iter().find(|target| target.is_handler());
        library.map(|target| target.name.as_str())
    }
}

/// Returns the packages below `folder` that become handlers, from these manifests and their workspaces.
///
/// # Errors
/// Cargo cannot be started.
pub(super) async fn packages(
    folder: &Path,
    manifests: BTreeSet<PathBuf>,
) -> anyhow::Result<Packages> {
    let (mut known, mut problems) = (BTreeMap::new(), Vec::new());
    for manifest in manifests {
        match add_workspace(&manifest, &mut known, Stdio::inherit()).await {
            Err(error) if error.is::<NoCargo>() => return Err(error),
            Err(error) => problems.push(error),
            Ok(()) => {}
        }
    }
    let handlers: Vec<MetadataPackage> = known
        .values()
        .filter(|package| package.library().is_some() && package.folder().starts_with(folder))
        .cloned()
        .collect();
    let mut found = BTreeSet::new();
    for package in handlers {
        let folders = folders_of(&package, &mut known).await;
        let library = package.library().unwrap_or_default().replace('-', "_");
        found.insert(Package {
            file: format!("{library}.wasm"),
            folders,
            files: [
                "Cargo.toml",
                "Cargo.lock",
                "rust-toolchain.toml",
                ".cargo/config.toml",
            ]
            .map(|name| package.root.join(name))
            .into(),
            lock: package.root.join("Cargo.lock"),
            name: package.name,
            manifest: package.manifest_path,
        });
    }
    Ok(Packages { found, problems })
}

/// Returns the folders of a package and of the local packages that it depends on.
async fn folders_of(
    package: &MetadataPackage,
    known: &mut BTreeMap<PathBuf, MetadataPackage>,
) -> BTreeSet<PathBuf> {
    let mut folders = BTreeSet::new();
    let mut next = vec![package.folder().to_owned()];
    while let Some(folder) = next.pop() {
        if !folders.insert(folder.clone()) {
            continue;
        }
        let manifest = folder.join("Cargo.toml");
        // Errors of the manifest are ignored here, because cargo reports them when it builds.
        let _ = add_workspace(&manifest, known, Stdio::null()).await;
        let dependencies = known
            .get(&manifest)
            .map(|package| package.dependencies.clone());
        let local = dependencies
            .into_iter()
            .flatten()
            .filter(|dependency| dependency.kind.as_deref() != Some("dev"))
            .filter_map(|dependency| dependency.path);
        next.extend(local);
    }
    folders
}

/// Adds the packages of a manifest's workspace to `known`, unless the manifest is there. Cargo's own messages go to
/// `stderr`.
async fn add_workspace(
    manifest: &Path,
    known: &mut BTreeMap<PathBuf, MetadataPackage>,
    stderr: Stdio,
) -> anyhow::Result<()> {
    if known.contains_key(manifest) {
        return Ok(());
    }
    let metadata = metadata(manifest, stderr).await?;
    for mut package in metadata.packages {
        package.root.clone_from(&metadata.workspace_root);
        known.insert(package.manifest_path.clone(), package);
    }
    Ok(())
}

/// Runs `cargo metadata` for a manifest.
async fn metadata(manifest: &Path, stderr: Stdio) -> anyhow::Result<Metadata> {
    let mut command = cargo(manifest);
    command
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .arg("--manifest-path")
        .arg(manifest)
        .stderr(stderr);
    let output = job::output(&mut command).await.map_err(NoCargo)?;
    if !output.status.success() {
        bail!(
            "{} cannot be understood; cargo says why above",
            manifest.display()
        );
    }
    serde_json::from_slice(&output.stdout).context("cargo metadata answered something unexpected")
}

/// Returns a cargo command in the folder of a manifest, where a toolchain and settings of cargo may be chosen.
fn cargo(manifest: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    if let Some(folder) = manifest.parent() {
        command.current_dir(folder);
    }
    // Under `cargo run` these variables describe the package that was run. They are removed, because build scripts that
    // depend on them would run again.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    command
}

/// The error of a cargo or compiler that cannot be started.
#[derive(Debug, thiserror::Error)]
#[error("cargo cannot be run: {0}; install Rust (https://rustup.rs)")]
struct NoCargo(std::io::Error);

/// Adds the standard library for the target where it is missing. Each package may choose its own toolchain, so the
/// check runs in the folder of each.
///
/// # Errors
/// The compiler cannot be started, or rustup cannot add the target.
pub(super) async fn ensure_targets<'a>(
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
    let mut rustc = Command::new("rustc");
    rustc.args(["--print", "sysroot"]).current_dir(folder);
    rustc.stderr(Stdio::null());
    let output = job::output(&mut rustc).await.map_err(NoCargo)?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    if sysroot.join("lib/rustlib").join(TARGET).is_dir() {
        return Ok(());
    }
    print(format_args!("adding the Rust target {TARGET}"));
    let mut rustup = Command::new("rustup");
    rustup.args(["target", "add", TARGET]).current_dir(folder);
    match job::run(&mut rustup, "adding it", |_| {}).await {
        Ok(status) if status.success() => Ok(()),
        _ => bail!(
            "the Rust target {TARGET} is missing and could not be added; run: rustup target add {TARGET} (in {})",
            folder.display()
        ),
    }
}

/// One line of the output of `cargo build --message-format json`.
#[derive(Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
enum Message {
    CompilerArtifact {
        manifest_path: PathBuf,
        target: MetadataTarget,
        filenames: Vec<PathBuf>,
    },
    #[serde(other)]
    Other,
}

/// Builds a package. Returns the file that was made, or none if the build failed; cargo and the compiler print their
/// own messages.
///
/// # Errors
/// Cargo cannot be started, or it made no `.wasm`.
pub(super) async fn build(package: &Package, profile: Profile) -> anyhow::Result<Option<PathBuf>> {
    let mut command = cargo(&package.manifest);
    command
        .args(["build", "--lib", "--release", "--target", TARGET])
        .args(["--config", RUSTFLAGS])
        .args(["--message-format", "json-render-diagnostics"])
        .arg("--manifest-path")
        .arg(&package.manifest)
        .stdout(Stdio::piped());
    if profile == Profile::Dev {
        command.args(DEV.iter().flat_map(|setting| ["--config", setting]));
    }
    if !job::is_terminal() {
        command.arg("--quiet");
    }
    let mut built = None;
    let doing = format!("building {}", package.name);
    let running = job::run(&mut command, &doing, |line| {
        built = artifact(line, package).or(built.take());
    });
    if !running.await.map_err(NoCargo)?.success() {
        return Ok(None);
    }
    built
        .map(Some)
        .ok_or_else(|| anyhow!("building {} made no .wasm", package.name))
}

/// Returns the path of the package's handler if the line reports it.
fn artifact(line: &str, package: &Package) -> Option<PathBuf> {
    let Ok(Message::CompilerArtifact {
        manifest_path,
        target,
        filenames,
    }) = serde_json::from_str(line)
    else {
        return None;
    };
    let is_wasm = |file: &PathBuf| {
        file.extension()
            .is_some_and(|extension| extension == "wasm")
    };
    let wasm = filenames.into_iter().find(is_wasm);
    wasm.filter(|_| manifest_path == package.manifest && target.is_handler())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_beside_the_library_is_no_handler() {
        let package = Package {
            name: "shop".to_owned(),
            file: "shop.wasm".to_owned(),
            manifest: "/shop/Cargo.toml".into(),
            folders: BTreeSet::new(),
            files: BTreeSet::new(),
            lock: "/shop/Cargo.lock".into(),
        };
        let line = |kind: &str, name: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","manifest_path":"/shop/Cargo.toml","target":{{"name":"{name}","kind":["{kind}"]}},"filenames":["/t/{name}.wasm"]}}"#
            )
        };
        let library = artifact(&line("cdylib", "shop"), &package);
        assert_eq!(library, Some("/t/shop.wasm".into()));
        for kind in ["bin", "example", "rlib"] {
            assert_eq!(artifact(&line(kind, "tool"), &package), None, "{kind}");
        }
    }
}
