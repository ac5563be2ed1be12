//! The sources below a folder: what a person would commit. Files that `.gitignore` lists, hidden files, output of build
//! tools (`target`, `node_modules`, folders tagged as a cache) and an editor's temporary files do not belong to them.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use ignore::gitignore::Gitignore;
use ignore::{DirEntry, Match, WalkBuilder};

/// Names of folders that tools fill.
const TOOLS: [&str; 2] = ["target", "node_modules"];
/// The file that tags a folder as a cache.
const CACHE_TAG: &str = "CACHEDIR.TAG";
/// Files whose patterns leave out files below their folder.
const IGNORE_FILES: [&str; 2] = [".ignore", ".gitignore"];

/// Returns the sources of one folder, without the folders `without`.
pub fn files(root: &Path, without: &BTreeSet<PathBuf>) -> impl Iterator<Item = PathBuf> + use<> {
    walk(root, without)
        .filter(|entry| entry.file_type().is_some_and(|kind| kind.is_file()))
        .map(DirEntry::into_path)
}

/// Returns the sources of one folder and their folders. Links are followed, each linked folder once.
pub(super) fn walk(
    root: &Path,
    without: &BTreeSet<PathBuf>,
) -> impl Iterator<Item = DirEntry> + use<> {
    let without = without.clone();
    let linked = LinkedFolders::new(root);
    WalkBuilder::new(root)
        .require_git(false)
        .follow_links(true)
        .filter_entry(move |entry| {
            entry.depth() == 0
                || (hidden_by_itself(entry.path(), is_folder(entry), &without).is_none()
                    && linked.admit(entry))
        })
        .build()
        .filter_map(Result::ok)
}

fn is_folder(entry: &DirEntry) -> bool {
    entry.file_type().is_some_and(|kind| kind.is_dir())
}

/// Folders that were reached through links. Each is admitted once, so that links to each other end.
struct LinkedFolders {
    /// The folder that is walked, without links in its path.
    root: PathBuf,
    admitted: Arc<Mutex<HashSet<PathBuf>>>,
}

impl LinkedFolders {
    fn new(root: &Path) -> Self {
        Self {
            root: root.canonicalize().unwrap_or_else(|_| root.to_owned()),
            admitted: Arc::default(),
        }
    }

    /// Returns true unless the entry is a link to a folder which contains the root or which was admitted before.
    fn admit(&self, entry: &DirEntry) -> bool {
        if !entry.path_is_symlink() || !is_folder(entry) {
            return true;
        }
        let Ok(target) = entry.path().canonicalize() else {
            return false;
        };
        let mut admitted = self
            .admitted
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        !self.root.starts_with(&target) && admitted.insert(target)
    }
}

/// The rule because of which a file or folder is not among the sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hidden {
    /// A pattern of this file, for example of a `.gitignore`.
    Pattern {
        /// The file that holds the pattern.
        file: PathBuf,
        /// The pattern as it is written.
        pattern: String,
    },
    /// The name of this file or folder begins with a dot.
    Dot(PathBuf),
    /// Tools fill folders of this name.
    Tool(PathBuf),
    /// The folder is tagged as a cache.
    Cache(PathBuf),
    /// The folder is left out by the caller.
    LeftOut(PathBuf),
    /// Editors make files of this name while they save.
    Temporary(PathBuf),
}

impl fmt::Display for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pattern { file, pattern } => write!(f, "{} lists {pattern}", file.display()),
            Self::Dot(path) => write!(
                f,
                "{} is hidden, because its name begins with a dot",
                path.display()
            ),
            Self::Tool(path) => write!(
                f,
                "{} has the name of a folder that build tools fill",
                path.display()
            ),
            Self::Cache(path) => write!(
                f,
                "{} is tagged as a cache by its {CACHE_TAG}",
                path.display()
            ),
            Self::LeftOut(path) => {
                write!(f, "{} is a folder that holds no sources", path.display())
            }
            Self::Temporary(path) => write!(
                f,
                "{} has the name of an editor's temporary file",
                path.display()
            ),
        }
    }
}

/// Returns the rule because of which `path`, which lies below `root`, is not among the sources of `root`.
pub fn hidden(root: &Path, path: &Path, without: &BTreeSet<PathBuf>) -> Option<Hidden> {
    let below = path.strip_prefix(root).ok()?;
    let mut at = root.to_owned();
    for name in below {
        at.push(name);
        let is_folder = at.is_dir();
        let hidden = hidden_by_itself(&at, is_folder, without)
            .or_else(|| hidden_by_dot(&at))
            .or_else(|| hidden_by_pattern(&at, is_folder));
        if hidden.is_some() {
            return hidden;
        }
    }
    None
}

fn hidden_by_itself(path: &Path, is_folder: bool, without: &BTreeSet<PathBuf>) -> Option<Hidden> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if !is_folder {
        return is_temporary(&name).then(|| Hidden::Temporary(path.to_owned()));
    }
    if TOOLS.contains(&&*name) {
        return Some(Hidden::Tool(path.to_owned()));
    }
    if without.contains(path) {
        return Some(Hidden::LeftOut(path.to_owned()));
    }
    path.join(CACHE_TAG)
        .exists()
        .then(|| Hidden::Cache(path.to_owned()))
}

fn hidden_by_dot(path: &Path) -> Option<Hidden> {
    let name = path.file_name()?.to_string_lossy();
    name.starts_with('.').then(|| Hidden::Dot(path.to_owned()))
}

/// Returns the pattern that leaves out the file. The nearest file with a pattern for it decides.
fn hidden_by_pattern(path: &Path, is_folder: bool) -> Option<Hidden> {
    let global = Gitignore::global().0;
    let near = path
        .ancestors()
        .skip(1)
        .flat_map(|folder| IGNORE_FILES.map(|name| Gitignore::new(folder.join(name)).0));
    let excluded = path
        .ancestors()
        .skip(1)
        .filter(|folder| folder.join(".git").exists());
    let excluded = excluded.map(exclude_file);
    for patterns in near.chain(excluded).chain([global]) {
        match patterns.matched(path, is_folder) {
            Match::None => {}
            Match::Whitelist(_) => return None,
            Match::Ignore(pattern) => {
                return Some(Hidden::Pattern {
                    file: pattern
                        .from()
                        .unwrap_or(Path::new("git's settings"))
                        .to_owned(),
                    pattern: pattern.original().to_owned(),
                });
            }
        }
    }
    None
}

/// Returns the patterns of a repository that are not committed.
fn exclude_file(repository: &Path) -> Gitignore {
    let file = repository.join(".git/info/exclude");
    let mut builder = ignore::gitignore::GitignoreBuilder::new(repository);
    let text = fs::read_to_string(&file).unwrap_or_default();
    for line in text.lines() {
        // A wrong pattern is passed over, as git does.
        let _ = builder.add_line(Some(file.clone()), line);
    }
    builder.build().unwrap_or_else(|_| Gitignore::empty())
}

/// Returns true if editors make files of this name while they save: backups, locks of Emacs, Vim's test for writing,
/// copies of JetBrains.
fn is_temporary(name: &str) -> bool {
    name.ends_with('~')
        || name.starts_with('#')
        || name.ends_with(".tmp")
        || name.ends_with(".swp")
        || name.ends_with("___jb_tmp___")
        || name.ends_with("___jb_old___")
        || name == "4913"
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn folder_with(files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        for (name, text) in files {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        (folder, root)
    }

    fn names(root: &Path) -> Vec<String> {
        let mut names: Vec<_> = files(root, &BTreeSet::new())
            .map(|path| path.strip_prefix(root).unwrap().display().to_string())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn i11_3_linked_folders_and_files_are_sources_and_loops_end() {
        let (_folder, root) = folder_with(&[
            ("project/src/lib.rs", ""),
            ("linked/mod.rs", ""),
            ("linked/deep/x.rs", ""),
            ("other/y.rs", ""),
            ("single.rs", ""),
        ]);
        let project = root.join("project");
        for (target, link) in [
            ("../../linked", "project/src/linked"),
            ("../../single.rs", "project/src/single.rs"),
            ("..", "project/src/above"),
            ("/", "project/src/everything"),
            ("self", "project/src/self"),
            ("nowhere", "project/src/dangling"),
            ("../other", "linked/to_other"),
            ("../linked", "other/to_linked"),
        ] {
            symlink(target, root.join(link)).unwrap();
        }
        let all = [
            "src/lib.rs",
            "src/linked/deep/x.rs",
            "src/linked/mod.rs",
            "src/linked/to_other/y.rs",
            "src/single.rs",
        ];
        assert_eq!(names(&project), all);
    }

    #[test]
    fn i11_6_the_rule_that_hides_a_file_is_named() {
        let (_folder, root) = folder_with(&[
            (".gitignore", "# comment\n/dist/\n*.gen.rs\n"),
            ("a/.ignore", "left\n"),
            ("a/left/x.rs", ""),
            ("a/kept/x.rs", ""),
            ("dist/x.rs", ""),
            ("a/x.gen.rs", ""),
            (".cargo/x.rs", ""),
            ("b/target/x.rs", ""),
            ("cache/CACHEDIR.TAG", ""),
            ("cache/x.rs", ""),
            ("public/x.rs", ""),
            ("x.rs~", ""),
        ]);
        let without = [root.join("public")].into();
        let rule = |path: &str| hidden(&root, &root.join(path), &without);
        let pattern = |file: &str, pattern: &str| {
            Some(Hidden::Pattern {
                file: root.join(file),
                pattern: pattern.into(),
            })
        };
        assert_eq!(rule("dist/x.rs"), pattern(".gitignore", "/dist/"));
        assert_eq!(rule("a/x.gen.rs"), pattern(".gitignore", "*.gen.rs"));
        assert_eq!(rule("a/left/x.rs"), pattern("a/.ignore", "left"));
        assert_eq!(rule("a/kept/x.rs"), None);
        assert_eq!(rule(".cargo/x.rs"), Some(Hidden::Dot(root.join(".cargo"))));
        assert_eq!(
            rule("b/target/x.rs"),
            Some(Hidden::Tool(root.join("b/target")))
        );
        assert_eq!(rule("cache/x.rs"), Some(Hidden::Cache(root.join("cache"))));
        assert_eq!(
            rule("public/x.rs"),
            Some(Hidden::LeftOut(root.join("public")))
        );
        assert_eq!(rule("x.rs~"), Some(Hidden::Temporary(root.join("x.rs~"))));
    }
}
