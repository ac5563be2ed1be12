//! Finds a cargo workspace around a new handler that includes the handler as a member. The handler is a workspace of
//! its own, so cargo refuses the workspace around it until that excludes the handler.
//!
//! The patterns are read here because no command of cargo answers this question. For a package that has a
//! `[workspace]`, `cargo locate-project --workspace` names the package itself, and `cargo metadata` of the workspace
//! fails at the first of its members that is wrong. Besides, `hitchy new` works without cargo.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

/// Returns the manifest of the workspace that includes `folder`, an absolute path, as a member, and the path of
/// `folder` relative to the workspace.
pub(super) fn containing(folder: &Path) -> Option<(PathBuf, &Path)> {
    let above = folder.ancestors().skip(1);
    let manifests = above.map(|above| above.join("Cargo.toml"));
    let (manifest, workspace) = manifests.filter_map(workspace).next()?;
    let root = manifest.parent()?;
    let has = |key: &str, is_match: &dyn Fn(&Path) -> bool| {
        let values = workspace.get(key).and_then(Value::as_array);
        let mut paths = values.into_iter().flatten().filter_map(Value::as_str);
        // Collecting the components turns `./a` into `a`, as cargo does.
        paths.any(|path| is_match(&root.join(path).components().collect::<PathBuf>()))
    };
    let is_member = has("members", &|pattern| matches(pattern, folder));
    let is_excluded = has("exclude", &|excluded| folder.starts_with(excluded));
    let below = folder.strip_prefix(root).ok()?;
    (is_member && !is_excluded).then(|| (manifest.clone(), below))
}

/// Returns the table `[workspace]` of a manifest, with the manifest's path.
fn workspace(manifest: PathBuf) -> Option<(PathBuf, Table)> {
    let text = std::fs::read_to_string(&manifest).ok()?;
    let mut table: Table = text.parse().ok()?;
    match table.remove("workspace")? {
        Value::Table(workspace) => Some((manifest, workspace)),
        _ => None,
    }
}

/// Returns true if the pattern matches the folder. A pattern may have one `*`, in its last part. Other patterns are
/// rare, and for them cargo itself reports the two workspaces.
fn matches(pattern: &Path, folder: &Path) -> bool {
    let names = (pattern.file_name(), folder.file_name());
    let (Some(Some(pattern_name)), Some(Some(name))) = (
        names.0.map(|name| name.to_str()),
        names.1.map(|name| name.to_str()),
    ) else {
        return false;
    };
    let name_matches = match pattern_name.split_once('*') {
        Some((before, after)) => {
            let rest = name.strip_prefix(before);
            rest.is_some_and(|rest| rest.ends_with(after))
        }
        None => pattern_name == name,
    };
    name_matches && pattern.parent() == folder.parent()
}
