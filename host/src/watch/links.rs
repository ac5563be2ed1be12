//! The symbolic links on the way to a path.

use std::ffi::OsString;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// The largest number of links that are followed, as on Linux (`path_resolution(7)`).
const MAX_LINKS: usize = 40;

/// A path with the links on the way to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Resolved {
    /// The path without links. What does not exist is named as it was written.
    pub(super) real: PathBuf,
    /// The links that were followed, without links on the way to them, each with its target.
    links: Vec<(PathBuf, PathBuf)>,
}

impl Resolved {
    /// Returns true if `path` is one of the links, or the path itself: whatever happens to it may change what the path
    /// leads to.
    pub(super) fn is_way(&self, path: &Path) -> bool {
        path == self.real || self.links.iter().any(|(link, _)| link == path)
    }

    /// Returns the folders in which the path itself and the links lie.
    pub(super) fn parents(&self) -> impl Iterator<Item = &Path> {
        let ways = self.links.iter().map(|(link, _)| link).chain([&self.real]);
        ways.filter_map(|way| way.parent())
    }
}

/// Follows the links on the way to a path.
pub(super) fn resolve(path: &Path) -> Resolved {
    let mut resolved = Resolved::default();
    let absolute = std::path::absolute(path);
    let mut rest = parts(absolute.as_deref().unwrap_or(path));
    while let Some(part) = rest.pop() {
        if part == ".." {
            resolved.real.pop();
            continue;
        }
        let way = resolved.real.join(part);
        match fs::read_link(&way) {
            Ok(target) if resolved.links.len() < MAX_LINKS => {
                rest.extend(parts(&target));
                resolved.links.push((way, target));
            }
            _ => resolved.real = way,
        }
    }
    resolved
}

/// Returns the parts of a path, the last one first. An absolute path begins with the root.
fn parts(path: &Path) -> Vec<OsString> {
    let parts = path.components().rev();
    parts
        .filter(|part| *part != Component::CurDir)
        .map(|part| part.as_os_str().to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn i11_16_every_link_on_the_way_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("releases/1/h")).unwrap();
        symlink("releases/1", root.join("now")).unwrap();
        symlink(root.join("now"), root.join("current")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        let resolved = resolve(&root.join("current/../1/./h"));
        assert_eq!(resolved.real, root.join("releases/1/h"));
        let parents: Vec<_> = resolved.parents().collect();
        assert_eq!(parents, [root.as_path(), &root, &root.join("releases/1")]);
        assert!(resolved.is_way(&root.join("now")) && resolved.is_way(&root.join("current")));
        assert_eq!(resolve(&root.join("loop/x")).real, root.join("loop/x"));
        assert_eq!(resolve(&root.join("none/x")).real, root.join("none/x"));
    }
}
