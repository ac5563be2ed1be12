//! Finds out if a cargo workspace around a new handler would include it: then cargo finds two workspaces in one, and
//! refuses both.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

/// The manifest of the workspace among whose members `folder` (a whole path) would be, and the way there from it.
pub(super) fn that_takes_in(folder: &Path) -> Option<(PathBuf, &Path)> {
    let above = folder.ancestors().skip(1);
    let manifests = above.map(|above| above.join("Cargo.toml"));
    let (manifest, workspace) = manifests.filter_map(workspace).next()?;
    let root = manifest.parent()?;
    let has = |key: &str, is_it: &dyn Fn(&Path) -> bool| {
        let paths = workspace.get(key).and_then(Value::as_array);
        let mut paths = paths.into_iter().flatten().filter_map(Value::as_str);
        // Cargo takes `./a` for `a`.
        paths.any(|path| is_it(&root.join(path).components().collect::<PathBuf>()))
    };
    let is_member = has("members", &|pattern| matches(pattern, folder));
    let is_excluded = has("exclude", &|excluded| folder.starts_with(excluded));
    let below = folder.strip_prefix(root).ok()?;
    (is_member && !is_excluded).then(|| (manifest.clone(), below))
}

/// The table `[workspace]` of a manifest.
fn workspace(manifest: PathBuf) -> Option<(PathBuf, Table)> {
    let text = std::fs::read_to_string(&manifest).ok()?;
    let mut table: Table = text.parse().ok()?;
    match table.remove("workspace")? {
        Value::Table(workspace) => Some((manifest, workspace)),
        _ => None,
    }
}

/// Returns true if a pattern with one `*`, in its last part, matches. Other patterns are rare, and cargo says what is
/// wrong with them, too.
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
