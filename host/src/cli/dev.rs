//! `hitchy dev`: builds the Rust handlers below a folder, and serves them.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, anyhow, bail};
use serde::Deserialize;

use super::{CommandError, DevArgs, log, say, serve};
use crate::config::Config;

/// What handlers are built for.
const TARGET: &str = "wasm32-wasip2";
/// A stack of 64 KiB instead of Rust's 1 MiB: what a fresh instance has to clear is what a call costs.
const RUSTFLAGS: &str = r#"target.wasm32-wasip2.rustflags=["-Clink-arg=-zstack-size=65536"]"#;
/// Folders in which nobody keeps handlers.
const SKIPPED: [&str; 2] = ["target", "node_modules"];

/// For `--help`.
pub(super) const EXAMPLES: &str = "\
Examples:
  hitchy dev
  hitchy dev examples/hello --listen localhost:8080";

/// Runs `hitchy dev`.
pub(super) fn main(args: DevArgs) -> Result<(), CommandError> {
    let folder = args.path.canonicalize();
    let folder = folder.map_err(|error| {
        CommandError::Usage(anyhow!(
            "{} cannot be read: {error}; name a folder",
            args.path.display()
        ))
    })?;
    let sources = args.settings.sources(Some(folder.clone()));
    let config = Config::load(&sources)?;
    log::start(&config.log);
    let packages = packages(&folder)?;
    if packages.is_empty() {
        return Err(anyhow!(
            "there is no Rust handler below {}: no Cargo.toml of a library with crate-type cdylib",
            folder.display()
        )
        .into());
    }
    ensure_target(&folder)?;
    let dir = &config.handlers.dir;
    fs::create_dir_all(dir)
        .with_context(|| format!("the handlers folder {} cannot be made", dir.display()))?;
    for package in &packages {
        build(package, dir)?;
    }
    Ok(serve::run(config, sources)?)
}

/// A library that becomes a handler.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Package {
    name: String,
    manifest: PathBuf,
}

/// What `cargo metadata` says, as far as it matters here.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<MetadataPackage>,
}

#[derive(Deserialize)]
struct MetadataPackage {
    name: String,
    manifest_path: PathBuf,
    targets: Vec<MetadataTarget>,
}

#[derive(Deserialize)]
struct MetadataTarget {
    crate_types: Vec<String>,
}

/// The handlers below a folder.
fn packages(folder: &Path) -> anyhow::Result<BTreeSet<Package>> {
    let mut manifests = Vec::new();
    find_manifests(folder, &mut manifests);
    let mut packages = BTreeSet::new();
    for manifest in manifests {
        for package in metadata(&manifest)?.packages {
            let is_handler = package
                .targets
                .iter()
                .any(|target| target.crate_types.iter().any(|kind| kind == "cdylib"));
            if is_handler && package.manifest_path.starts_with(folder) {
                packages.insert(Package {
                    name: package.name,
                    manifest: package.manifest_path,
                });
            }
        }
    }
    Ok(packages)
}

fn find_manifests(folder: &Path, found: &mut Vec<PathBuf>) {
    let manifest = folder.join("Cargo.toml");
    if manifest.is_file() {
        found.push(manifest);
    }
    // A folder that cannot be read has nothing for us.
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let skipped = name.as_encoded_bytes().starts_with(b".")
            || SKIPPED.iter().any(|skipped| name == *skipped);
        if !skipped && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            find_manifests(&entry.path(), found);
        }
    }
}

fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

fn no_cargo(error: std::io::Error) -> anyhow::Error {
    anyhow!("cargo cannot be run: {error}; install Rust (https://rustup.rs)")
}

fn metadata(manifest: &Path) -> anyhow::Result<Metadata> {
    let output = cargo()
        .args([
            "metadata",
            "--no-deps",
            "--format-version",
            "1",
            "--manifest-path",
        ])
        .arg(manifest)
        .stderr(Stdio::inherit())
        .output()
        .map_err(no_cargo)?;
    if !output.status.success() {
        bail!(
            "{} cannot be understood; cargo says why above",
            manifest.display()
        );
    }
    serde_json::from_slice(&output.stdout).context("cargo metadata answered something unexpected")
}

/// Sees to it that the standard library for the target is there.
fn ensure_target(folder: &Path) -> anyhow::Result<()> {
    let sysroot = Command::new("rustc")
        .args(["--print", "sysroot"])
        .current_dir(folder)
        .output()
        .map_err(no_cargo)?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&sysroot.stdout).trim());
    if sysroot.join("lib/rustlib").join(TARGET).is_dir() {
        return Ok(());
    }
    say(format_args!("adding the Rust target {TARGET}"));
    let added = Command::new("rustup")
        .args(["target", "add", TARGET])
        .current_dir(folder)
        .status();
    match added {
        Ok(status) if status.success() => Ok(()),
        _ => bail!(
            "the Rust target {TARGET} is missing and could not be added; run: rustup target add {TARGET}"
        ),
    }
}

/// One line of cargo's `--message-format=json`.
#[derive(Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
enum Message {
    CompilerArtifact {
        manifest_path: PathBuf,
        filenames: Vec<PathBuf>,
    },
    #[serde(other)]
    Other,
}

/// Builds a handler and moves it into the folder. Cargo shows its own messages.
fn build(package: &Package, dir: &Path) -> anyhow::Result<()> {
    let began = Instant::now();
    say(format_args!("building {}", package.name));
    let mut child = cargo()
        .args([
            "build",
            "--release",
            "--target",
            TARGET,
            "--config",
            RUSTFLAGS,
        ])
        .args([
            "--message-format",
            "json-render-diagnostics",
            "--manifest-path",
        ])
        .arg(&package.manifest)
        .stdout(Stdio::piped())
        .spawn()
        .map_err(no_cargo)?;
    let mut built = None;
    let lines = child
        .stdout
        .take()
        .map(BufReader::new)
        .into_iter()
        .flat_map(BufRead::lines);
    for line in lines.map_while(Result::ok) {
        if let Ok(Message::CompilerArtifact {
            manifest_path,
            filenames,
        }) = serde_json::from_str(&line)
        {
            let wasm = filenames.into_iter().find(|file| {
                file.extension()
                    .is_some_and(|extension| extension == "wasm")
            });
            built = wasm.filter(|_| manifest_path == package.manifest).or(built);
        }
    }
    if !child.wait()?.success() {
        bail!(
            "building {} failed; the compiler says why above",
            package.name
        );
    }
    let built = built.ok_or_else(|| anyhow!("building {} made no .wasm", package.name))?;
    let name = built.file_name().unwrap_or_default();
    install(&built, &dir.join(name))?;
    say(format_args!(
        "built {} in {:.1} s",
        name.display(),
        began.elapsed().as_secs_f64()
    ));
    Ok(())
}

/// Puts a file in its place as a whole: the server never sees half of it.
fn install(from: &Path, to: &Path) -> anyhow::Result<()> {
    let part = to.with_extension("wasm.part");
    let copied = fs::copy(from, &part).and_then(|_| fs::rename(&part, to));
    copied.with_context(|| format!("{} cannot be written", to.display()))
}
