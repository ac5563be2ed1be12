//! The files by which cargo and rustup decide how a package is built: manifests, settings and the choice of a
//! toolchain. They count when they appear, too.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// The names that count in the folder of a manifest and in every folder above.
const NAMES: [&str; 5] = [
    "Cargo.toml",
    ".cargo/config.toml",
    ".cargo/config",
    "rust-toolchain.toml",
    "rust-toolchain",
];
/// The most settings files that include each other.
const MAX_INCLUDES: usize = 16;

/// Returns the files that decide how the package of a manifest is built.
pub(in crate::cli) fn of_manifest(manifest: &Path) -> BTreeSet<PathBuf> {
    let folder = manifest.parent().unwrap_or(Path::new("/"));
    let mut files: BTreeSet<PathBuf> = folder
        .ancestors()
        .flat_map(|folder| NAMES.map(|name| folder.join(name)))
        .collect();
    // Cargo builds it when it is there and the manifest names no other.
    files.insert(folder.join("build.rs"));
    files.extend(settings(folder));
    files
}

/// Returns the settings files of cargo that hold for a folder, with those that they include.
fn settings(folder: &Path) -> BTreeSet<PathBuf> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(env::home_dir()?.join(".cargo")));
    let folders = folder
        .ancestors()
        .map(|folder| folder.join(".cargo"))
        .chain(home);
    let mut next: Vec<PathBuf> = folders
        .flat_map(|folder| ["config.toml", "config"].map(|name| folder.join(name)))
        .collect();
    let mut files = BTreeSet::new();
    for _ in 0..MAX_INCLUDES {
        // A file that was read is not read again, so that files may include each other.
        next.retain(|file| files.insert(file.clone()));
        next = next.iter().flat_map(|file| included(file)).collect();
    }
    files
}

/// Returns the files that a settings file includes: a path, or a list of paths or of tables with a path.
fn included(file: &Path) -> Vec<PathBuf> {
    let Some(table) = read(file) else {
        return Vec::new();
    };
    let Some(include) = table.get("include") else {
        return Vec::new();
    };
    let many = include
        .as_array()
        .cloned()
        .unwrap_or_else(|| vec![include.clone()]);
    let path = |one: &toml::Value| {
        let path = one.as_str().or_else(|| one.get("path")?.as_str())?;
        Some(file.parent()?.join(path))
    };
    many.iter().filter_map(path).collect()
}

/// Returns the local folders that replace dependencies of a package: `[patch]` of its workspace, and `[patch]` and
/// `paths` of cargo's settings.
pub(in crate::cli) fn patched(root_manifest: &Path) -> BTreeSet<PathBuf> {
    let folder = root_manifest.parent().unwrap_or(Path::new("/"));
    let mut folders = BTreeSet::new();
    add_patches(root_manifest, folder, &mut folders);
    for file in settings(folder) {
        // Paths in settings are relative to the folder that holds `.cargo`.
        if let Some(base) = file.parent().and_then(Path::parent) {
            add_patches(&file, base, &mut folders);
        }
    }
    folders
}

fn add_patches(file: &Path, base: &Path, folders: &mut BTreeSet<PathBuf>) {
    let Some(table) = read(file) else { return };
    let tables = |value: Option<&toml::Value>| -> Vec<toml::Value> {
        let table = value.and_then(toml::Value::as_table);
        table
            .into_iter()
            .flatten()
            .map(|(_, value)| value.clone())
            .collect()
    };
    let sources = tables(table.get("patch")).into_iter();
    let replaced = sources
        .flat_map(|source| tables(Some(&source)))
        .chain(tables(table.get("replace")));
    let paths = replaced.filter_map(|one| Some(base.join(one.get("path")?.as_str()?)));
    folders.extend(paths);
    let overrides = table.get("paths").and_then(toml::Value::as_array);
    folders.extend(
        overrides
            .into_iter()
            .flatten()
            .filter_map(|path| Some(base.join(path.as_str()?))),
    );
}

fn read(file: &Path) -> Option<toml::Table> {
    // Named pipes and devices would keep the reader waiting.
    fs::metadata(file).ok().filter(fs::Metadata::is_file)?;
    fs::read_to_string(file).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i11_2_patches_and_included_settings_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let write = |name: &str, text: &str| {
            fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
            fs::write(root.join(name), text).unwrap();
        };
        write(
            "w/Cargo.toml",
            "[workspace]\n[patch.crates-io]\na = { path = \"../a\" }\n[patch.\"https://x\"]\nb = { git = \"y\" }\n",
        );
        write(
            ".cargo/config.toml",
            "include = [\"more.toml\", { path = \"x/last.toml\", optional = true }]\npaths = [\"over\"]\n",
        );
        write(
            ".cargo/more.toml",
            "[patch.crates-io]\nc = { path = \"c\" }\n",
        );
        let patched = patched(&root.join("w/Cargo.toml"));
        let all: BTreeSet<_> = ["w/../a", "over", "c"].map(|name| root.join(name)).into();
        assert!(patched.is_superset(&all), "{patched:?}");
        let files = of_manifest(&root.join("w/p/Cargo.toml"));
        for name in [
            "w/Cargo.toml",
            "w/p/build.rs",
            "w/p/.cargo/config",
            "w/rust-toolchain",
            ".cargo/more.toml",
            ".cargo/x/last.toml",
        ] {
            assert!(files.contains(&root.join(name)), "{name}");
        }
    }
}
