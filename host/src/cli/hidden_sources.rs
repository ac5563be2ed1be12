//! The reasons why a folder with sources has nothing to build.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::sources::{Sources, is_manifest, relative};
use crate::watch;

/// The most folders that are searched for hidden manifests.
const MAX_FOLDERS: usize = 10_000;
/// The most reasons that are given.
const MAX_REASONS: usize = 5;
/// Folders with many manifests of others.
const PACKED: [&str; 2] = ["node_modules", ".git"];

/// Returns sentences that say which rule or file hides each manifest below the folder; empty without manifests.
pub(super) fn explain(sources: &Sources) -> String {
    let manifests = manifests(&sources.folder);
    let many = manifests.len();
    let mut text = String::new();
    for manifest in manifests.iter().take(MAX_REASONS) {
        text.push_str(&format!(
            "; {}: {}",
            relative(manifest, &sources.folder),
            reason(manifest, sources)
        ));
    }
    if many > MAX_REASONS {
        text.push_str(&format!("; and {} more", many - MAX_REASONS));
    }
    text
}

/// Returns the reason why the package of a manifest is not built.
fn reason(manifest: &Path, sources: &Sources) -> String {
    if let Some(hidden) = watch::hidden(&sources.folder, manifest, &sources.excluded) {
        return format!("not searched, because {hidden}");
    }
    let text = fs::read_to_string(manifest).unwrap_or_default();
    let table: toml::Table = text.parse().unwrap_or_default();
    if !table.contains_key("package") {
        return "a workspace without a package; its members are built if they lie below the folder"
            .to_owned();
    }
    let folder = manifest.parent().unwrap_or(Path::new("/"));
    let library = table.get("lib");
    let path = library.and_then(|library| library.get("path")?.as_str());
    if library.is_none() && !folder.join("src/lib.rs").exists() {
        return "a package without a library; move its code to src/lib.rs and add [lib] crate-type = [\"cdylib\"]".to_owned();
    }
    if let Some(path) = path.filter(|path| !folder.join(path).exists()) {
        return format!("the library {path} does not exist");
    }
    "a library without crate-type; add [lib] crate-type = [\"cdylib\"]".to_owned()
}

/// Returns the manifests below a folder, also hidden ones.
fn manifests(folder: &Path) -> BTreeSet<PathBuf> {
    let (mut found, mut next, mut count) = (BTreeSet::new(), vec![folder.to_owned()], 0);
    while let Some(folder) = next.pop() {
        count += 1;
        if count > MAX_FOLDERS {
            break;
        }
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            if is_manifest(&path) {
                found.insert(path);
            } else if entry.file_type().is_ok_and(|kind| kind.is_dir())
                && !PACKED.iter().any(|packed| name == *packed)
            {
                next.push(path);
            }
        }
    }
    found
}
