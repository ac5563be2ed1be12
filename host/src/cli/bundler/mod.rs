//! Bundles scripts that import packages of npm, with the esbuild of their project. The runtime of `hitchy dev` asks for
//! a bundle whenever it loads such a script, and `hitchy build` makes those of all scripts.

mod esbuild;
mod project;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;

use self::esbuild::{Esbuild, Made};
use self::project::{Project, inputs_of};
use super::output::print;
use crate::lock::lock;
use crate::runtime::{
    self, BundleError, BundleSource, Bundled, ContentHash, MAX_SCRIPT, bundle_path, is_bundle,
    write_bundle,
};
use crate::text::visible;

/// Bundles that are made at the same time. Each run of esbuild uses all cores.
const WIDTH: usize = 2;
/// The folder of packages. What lies below it is no file of the handlers, wherever it is.
const PACKAGES: &str = "node_modules";

/// Makes bundles of scripts.
#[derive(Debug)]
pub(super) struct Bundler {
    /// The folder of the project, without links.
    project: PathBuf,
    turns: Semaphore,
    /// The files that were read for the latest bundles, by the names of the scripts. An error may lie in one of them.
    read: Mutex<HashMap<String, Vec<PathBuf>>>,
}

impl runtime::Bundler for Bundler {
    fn bundle<'a>(&'a self, script: &'a BundleSource) -> BoxFuture<'a, Bundled> {
        self.make(script).boxed()
    }
}

impl Bundler {
    /// Returns a bundler for scripts of the project in `folder`.
    pub(super) fn new(folder: &Path) -> Self {
        Self {
            project: folder.to_owned(),
            turns: Semaphore::new(WIDTH),
            read: Mutex::default(),
        }
    }

    /// Makes the bundle of a script and puts it into the handlers folder, unless it is there already.
    pub(super) async fn make(&self, script: &BundleSource) -> Bundled {
        let mut read = Vec::new();
        let made = self.try_make(script, &mut read).await;
        if made.is_err()
            && let Some(before) = lock(&self.read).get(&script.name)
        {
            read.extend(before.iter().cloned());
        }
        Bundled { made, read }
    }

    /// Adds the files that are read, or looked for, to `read`.
    async fn try_make(
        &self,
        script: &BundleSource,
        read: &mut Vec<PathBuf>,
    ) -> Result<(), BundleError> {
        // The semaphore is never closed.
        let _turn = self.turns.acquire().await;
        let began = Instant::now();
        let unreadable = |error: std::io::Error| BundleError::Failed(error.to_string());
        let root = script.root.canonicalize().map_err(unreadable)?;
        let entry = root.join(&script.name).canonicalize().map_err(unreadable)?;
        let project = Project::of(&entry, &self.project, &root);
        read.extend(project.looked_for.iter().cloned());
        let (folder, program) = project.tools(&script.packages)?;
        read.extend(inputs_of(&folder));
        let esbuild = Esbuild {
            program,
            folder,
            entry,
            name: visible(&script.name).into_owned(),
        };
        let mut made = esbuild.run(false, read).await?;
        if made.code.len() as u64 > MAX_SCRIPT {
            made = esbuild.run(true, read).await?;
        }
        let size = made.code.len() as u64;
        if size > MAX_SCRIPT {
            return Err(BundleError::TooLarge {
                size,
                max: MAX_SCRIPT,
            });
        }
        lock(&self.read).insert(script.name.clone(), made.inputs.clone());
        let own = own_files(script, &root, &esbuild.entry, &made, read);
        for source in &mut made.map.sources {
            *source = name_of(Path::new(source), &root, &esbuild.folder);
        }
        let bundle = write_bundle(&own, &made.code, &made.map);
        let is_new = put(&root, &bundle_path(&script.name), &bundle)?;
        print(format_args!(
            "bundled {} in {:.1} s ({} KiB{})",
            esbuild.name,
            began.elapsed().as_secs_f64(),
            size.div_ceil(1024),
            if is_new { "" } else { ", unchanged" }
        ));
        Ok(())
    }
}

/// Returns the files of the handlers folder of which a bundle was made, by which a server tells if they have changed.
/// The others are added to `read`.
fn own_files(
    script: &BundleSource,
    root: &Path,
    entry: &Path,
    made: &Made,
    read: &mut Vec<PathBuf>,
) -> BTreeMap<String, ContentHash> {
    let mut own = BTreeMap::new();
    // What was read before esbuild read it is older at most, so that a later save is noticed.
    let mut add = |name: String, path: &Path| {
        let known = script.own.get(&name).copied();
        let hash = known.or_else(|| Some(ContentHash::of(&fs::read(path).ok()?)));
        own.extend(hash.map(|hash| (name, hash)));
    };
    add(script.name.clone(), entry);
    for input in made.inputs.iter().filter(|input| *input != entry) {
        let below = input.strip_prefix(root).ok().and_then(Path::to_str);
        match below.filter(|name| !name.split('/').any(|part| part == PACKAGES)) {
            Some(name) => add(name.to_owned(), input),
            None => read.push(input.clone()),
        }
    }
    own
}

/// Returns the name of a file in errors: its path in the handlers folder, in `node_modules`, or in the project.
fn name_of(path: &Path, root: &Path, folder: &Path) -> String {
    let name = path.display().to_string();
    if let Some((_, package)) = name.rsplit_once("/node_modules/") {
        return format!("{PACKAGES}/{package}");
    }
    let below = [root, folder].map(|folder| path.strip_prefix(folder).ok());
    let below = below.into_iter().flatten().next();
    below.map_or(name, |below| below.display().to_string())
}

/// Puts a file into the handlers folder by a rename, unless it is there. Returns true if it was not.
fn put(root: &Path, name: &str, content: &[u8]) -> Result<bool, BundleError> {
    let path = root.join(name);
    let put = || {
        let parent = path.parent().unwrap_or(root);
        fs::create_dir_all(parent)?;
        if !parent.canonicalize()?.starts_with(root) {
            return Err(std::io::Error::other("its folder is a link to elsewhere"));
        }
        if fs::read(&path).is_ok_and(|there| there == content) {
            return Ok(false);
        }
        let part = path.with_file_name(format!(
            ".{}.part",
            path.file_name().unwrap_or_default().display()
        ));
        let written = fs::write(&part, content).and_then(|()| fs::rename(&part, &path));
        if written.is_err() {
            let _ = fs::remove_file(&part);
        }
        written.map(|()| true)
    };
    put().map_err(|error| BundleError::NotWritten {
        path: path.clone(),
        cause: error.to_string(),
    })
}

/// Removes the bundles of scripts that are not among `scripts`. Returns the names of the scripts.
pub(super) fn remove_obsolete(root: &Path, scripts: &[String]) -> Vec<String> {
    let (mut removed, folder) = (Vec::new(), root.join(bundle_path("")));
    let mut next = vec![folder.clone()];
    while let Some(at) = next.pop() {
        for entry in fs::read_dir(&at).into_iter().flatten().flatten() {
            let path = entry.path();
            // Links are left alone.
            let kind = entry.file_type().ok();
            if kind.is_some_and(|kind| kind.is_dir()) {
                next.push(path);
                continue;
            }
            let name = path.strip_prefix(&folder).unwrap_or(&path).display();
            let name = name.to_string();
            let is_ours = kind.is_some_and(|kind| kind.is_file())
                && fs::read(&path).is_ok_and(|content| is_bundle(&content));
            if is_ours && !scripts.contains(&name) && fs::remove_file(&path).is_ok() {
                removed.push(name);
            }
        }
    }
    removed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i14_5_files_are_named_as_their_authors_know_them() {
        let name = |path: &str| name_of(Path::new(path), Path::new("/p/handlers"), Path::new("/p"));
        assert_eq!(name("/p/handlers/api/shop.ts"), "api/shop.ts");
        assert_eq!(
            name("/p/node_modules/a/node_modules/@b/c/x.js"),
            "node_modules/@b/c/x.js"
        );
        assert_eq!(name("/p/shared/x.ts"), "shared/x.ts");
        assert_eq!(name("/q/x.ts"), "/q/x.ts");
    }

    #[test]
    fn i14_5_a_bundle_is_written_into_the_folder_only_and_only_if_it_is_new() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("handlers");
        fs::create_dir(&root).unwrap();
        let root = root.canonicalize().unwrap();
        assert_eq!(put(&root, ".bundles/api/a.js", b"one"), Ok(true));
        assert_eq!(put(&root, ".bundles/api/a.js", b"one"), Ok(false));
        assert_eq!(put(&root, ".bundles/api/a.js", b"two"), Ok(true));
        fs::create_dir(folder.path().join("out")).unwrap();
        std::os::unix::fs::symlink("../../out", root.join(".bundles/out")).unwrap();
        let refused = put(&root, ".bundles/out/a.js", b"one");
        assert!(
            matches!(refused, Err(BundleError::NotWritten { .. })),
            "{refused:?}"
        );
        assert_eq!(fs::read_dir(folder.path().join("out")).unwrap().count(), 0);
    }

    #[test]
    fn i14_5_only_bundles_without_a_script_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let map =
            runtime::SourceMap::parse(br#"{"version":3,"sources":[],"mappings":""}"#).unwrap();
        let bundle = write_bundle(&BTreeMap::new(), "", &map);
        for (name, content) in [
            (".bundles/api/old.js", &bundle[..]),
            (".bundles/api/new.js", &bundle),
            (".bundles/notes.js", b"// mine"),
        ] {
            put(folder.path(), name, content).unwrap();
        }
        let removed = remove_obsolete(folder.path(), &["api/new.js".to_owned()]);
        assert_eq!(removed, ["api/old.js"]);
        assert!(!folder.path().join(".bundles/api/old.js").exists());
        assert!(folder.path().join(".bundles/notes.js").exists());
    }
}
