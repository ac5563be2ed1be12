//! Asks cargo for the packages below a folder that become handlers and for the local folders that go into them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail};
use serde::Deserialize;

use super::command::{NoCargo, TARGET, cargo};
use crate::cli::inputs::cargo_files;
use crate::cli::job;

/// A library that becomes a handler.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::cli) struct Package {
    pub(in crate::cli) name: String,
    /// The name of the file that cargo makes, for example `my_chat.wasm`.
    pub(in crate::cli) file: String,
    pub(in crate::cli) manifest: PathBuf,
    /// The root of its workspace.
    pub(in crate::cli) root: PathBuf,
    /// The package's folder, those of local packages that it depends on, and those that replace dependencies.
    pub(in crate::cli) folders: BTreeSet<PathBuf>,
    /// Manifests, settings of cargo and other files that change how it is built.
    pub(in crate::cli) files: BTreeSet<PathBuf>,
    /// The folders into which cargo writes.
    pub(in crate::cli) outputs: BTreeSet<PathBuf>,
}

impl Package {
    /// Returns the path of the workspace's `Cargo.lock`, which cargo writes beside the sources.
    pub(in crate::cli) fn lock(&self) -> PathBuf {
        self.root.join("Cargo.lock")
    }

    /// Returns the folders in which relative paths of the compiler may lie.
    pub(in crate::cli) fn bases(&self) -> [&Path; 2] {
        let folder = self.manifest.parent().unwrap_or(Path::new("/"));
        [&self.root, folder]
    }
}

/// Packages below a folder, and an error for each manifest that cargo refuses.
#[derive(Default)]
pub(in crate::cli) struct Packages {
    pub(in crate::cli) found: BTreeSet<Package>,
    pub(in crate::cli) problems: Vec<anyhow::Error>,
}

/// The fields of `cargo metadata` that are needed here.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<MetadataPackage>,
    workspace_root: PathBuf,
    target_directory: PathBuf,
    /// Where cargo puts intermediate files, if that is another folder.
    build_directory: Option<PathBuf>,
}

#[derive(Clone, Deserialize)]
struct MetadataPackage {
    name: String,
    manifest_path: PathBuf,
    targets: Vec<MetadataTarget>,
    dependencies: Vec<MetadataDependency>,
    #[serde(skip)]
    root: PathBuf,
    #[serde(skip)]
    outputs: BTreeSet<PathBuf>,
}

#[derive(Clone, Deserialize)]
pub(super) struct MetadataTarget {
    name: String,
    /// The crate types of a library; one word such as `bin` or `example` for other targets.
    kind: Vec<String>,
}

impl MetadataTarget {
    /// Returns true if it is a library that becomes a handler.
    pub(super) fn is_handler(&self) -> bool {
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
pub(in crate::cli) async fn packages(
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
        let mut files = cargo_files::of_manifest(&package.manifest_path);
        files.extend(["Cargo.toml", "Cargo.lock"].map(|name| package.root.join(name)));
        found.insert(Package {
            file: format!("{library}.wasm"),
            folders,
            files,
            root: package.root,
            outputs: package.outputs,
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
    next.extend(cargo_files::patched(&package.root.join("Cargo.toml")));
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
        let filled = [
            Some(&metadata.target_directory),
            metadata.build_directory.as_ref(),
        ];
        for folder in filled.into_iter().flatten() {
            package
                .outputs
                .extend(outputs(folder, &metadata.workspace_root));
        }
        known.insert(package.manifest_path.clone(), package);
    }
    Ok(())
}

/// Returns the folders that cargo fills in its target folder: the folder itself, or those in it if it holds sources
/// too.
fn outputs(target: &Path, root: &Path) -> Vec<PathBuf> {
    let filled = [TARGET, "release", "debug", "doc", "package", "tmp", "build"];
    if root.starts_with(target) {
        return filled.map(|name| target.join(name)).into();
    }
    vec![target.to_owned()]
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
