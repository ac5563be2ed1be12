//! The files of the handlers folder that are built, each with its build method and the sources that go into it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::anyhow;

use super::cargo::{self, Package};
use super::inputs::Inputs;
use crate::config::Config;
use crate::names::bare;
use crate::watch::{self, Roots};

/// The build of one file of the handlers folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Recipe {
    /// The name that messages use: the package's name, or the file's name without its end.
    pub(super) name: String,
    /// The file's path relative to the handlers folder.
    pub(super) file: String,
    pub(super) method: BuildMethod,
}

/// The program that makes a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BuildMethod {
    /// Cargo, which builds this package.
    Cargo(Package),
    /// A shell command of `[dev] build`.
    Command(String),
}

/// All recipes that were found below a folder.
#[derive(Default)]
pub(super) struct Sources {
    pub(super) folder: PathBuf,
    /// The recipes, keyed by their file.
    pub(super) recipes: BTreeMap<String, Recipe>,
    /// Errors in manifests and settings; each leaves out the handlers that it concerns.
    pub(super) problems: Vec<anyhow::Error>,
    /// Folders that are not searched and not watched.
    pub(super) excluded: BTreeSet<PathBuf>,
}

impl Sources {
    /// Finds the cargo packages below `folder` and adds the commands of `[dev] build`.
    ///
    /// # Errors
    /// A manifest was found and cargo cannot be started.
    pub(super) async fn find(folder: &Path, config: &Config) -> anyhow::Result<Self> {
        // What handlers store is no source, and every value that they set would be a save.
        let (handlers, public) = (config.handlers.dir.clone(), config.server.public.clone());
        let mut excluded = BTreeSet::from([handlers, public, config.kv.path.clone()]);
        let manifests = manifests(folder, &excluded);
        let mut packages = cargo::packages(folder, manifests).await?;
        for package in &packages.found {
            excluded.extend(package.outputs.iter().cloned());
        }
        // Cargo puts copies of packages into its target folder.
        let is_output = |folder: &Path| excluded.contains(folder);
        packages
            .found
            .retain(|package| !package.manifest.ancestors().any(is_output));
        let mut sources = Self {
            folder: folder.to_owned(),
            recipes: BTreeMap::new(),
            problems: packages.problems,
            excluded,
        };
        for package in packages.found {
            sources.add(Recipe {
                name: package.name.clone(),
                file: package.file.clone(),
                method: BuildMethod::Cargo(package),
            });
        }
        for (path, command) in &config.dev.build {
            match file_of(folder, &config.handlers.dir, path) {
                Ok(file) => sources.add(Recipe {
                    name: bare(&file).to_owned(),
                    file,
                    method: BuildMethod::Command(command.clone()),
                }),
                Err(error) => sources.problems.push(error),
            }
        }
        Ok(sources)
    }

    fn add(&mut self, recipe: Recipe) {
        let Some(other) = self.recipes.get(&recipe.file) else {
            self.recipes.insert(recipe.file.clone(), recipe);
            return;
        };
        self.problems.push(anyhow!(
            "{} and {} both make {}, so only the first is built; rename one of them",
            other.made_by(&self.folder),
            recipe.made_by(&self.folder),
            recipe.file
        ));
    }

    /// Adds the recipes of `before` whose files were not found again. A manifest with an error may still describe them.
    pub(super) fn keep_missing(&mut self, before: BTreeMap<String, Recipe>) {
        for (file, recipe) in before {
            self.recipes.entry(file).or_insert(recipe);
        }
    }

    /// Returns the folders and files to watch. `inputs` holds what the latest builds read, keyed by their files.
    pub(super) fn roots(&self, settings_file: PathBuf, inputs: &BTreeMap<String, Inputs>) -> Roots {
        let mut roots = Roots {
            folders: [self.folder.clone()].into(),
            files: [settings_file].into(),
            without: self.excluded.clone(),
        };
        for package in self.packages() {
            roots.files.extend(package.files.iter().cloned());
        }
        let packages = self.packages().flat_map(|package| &package.folders);
        let read = inputs.values().flat_map(|inputs| &inputs.folders);
        let is_elsewhere = |folder: &Path| {
            !folder.starts_with(&self.folder)
                || watch::hidden(&self.folder, folder, &self.excluded).is_some()
        };
        let folders: BTreeSet<&PathBuf> = packages.chain(read).collect();
        for folder in folders.into_iter().filter(|folder| is_elsewhere(folder)) {
            roots.folders.insert(folder.clone());
            // It may not exist yet.
            roots.files.insert(folder.clone());
        }
        let files = inputs.values().flat_map(|inputs| &inputs.files);
        roots.files.extend(files.cloned());
        roots
    }

    /// Returns the paths of the `Cargo.lock` files, which cargo writes beside the sources.
    pub(super) fn locks(&self) -> BTreeSet<PathBuf> {
        self.packages().map(Package::lock).collect()
    }

    /// Returns the files whose recipes may be affected by these changes. `inputs` holds what the latest builds read.
    pub(super) fn affected(
        &self,
        changed: &BTreeSet<PathBuf>,
        inputs: &BTreeMap<String, Inputs>,
    ) -> BTreeSet<String> {
        let folders: BTreeSet<&Path> = self
            .packages()
            .flat_map(|package| package.folders.iter().map(PathBuf::as_path))
            .collect();
        let is_affected = |recipe: &Recipe| {
            let read = inputs.get(&recipe.file);
            changed.iter().any(|path| {
                read.is_some_and(|read| read.contains(path))
                    || !read.is_some_and(|read| read.is_known)
                        && self.may_read(recipe, path, &folders)
            })
        };
        self.recipes
            .values()
            .filter(|recipe| is_affected(recipe))
            .map(|recipe| recipe.file.clone())
            .collect()
    }

    /// Returns true if a build of which it is not known what it reads may read the file. `folders` are those of all
    /// packages.
    fn may_read(&self, recipe: &Recipe, path: &Path, folders: &BTreeSet<&Path>) -> bool {
        // A file belongs to the innermost package around it.
        let owner = path.ancestors().find(|folder| folders.contains(folder));
        match &recipe.method {
            BuildMethod::Cargo(package) => {
                owner.is_some_and(|owner| package.folders.contains(owner))
                    || package.files.contains(path)
            }
            BuildMethod::Command(_) => {
                path.starts_with(&self.folder)
                    && owner.is_none_or(|owner| owner == self.folder && !is_of_cargo(path))
            }
        }
    }

    /// Returns the packages that cargo builds.
    pub(super) fn packages(&self) -> impl Iterator<Item = &Package> {
        self.recipes
            .values()
            .filter_map(|recipe| match &recipe.method {
                BuildMethod::Cargo(package) => Some(package),
                BuildMethod::Command(_) => None,
            })
    }
}

impl Recipe {
    /// Returns the source of a recipe as messages name it: the manifest's path or the key of the settings.
    fn made_by(&self, folder: &Path) -> String {
        match &self.method {
            BuildMethod::Cargo(package) => relative(&package.manifest, folder),
            BuildMethod::Command(_) => format!("[dev] build of {}", self.file),
        }
    }
}

/// Returns true if the path is that of a `Cargo.toml`, which may add or remove handlers.
pub(super) fn is_manifest(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == "Cargo.toml")
}

/// Returns the manifests below a folder. One that links lead to as well is named by the path without links.
fn manifests(folder: &Path, excluded: &BTreeSet<PathBuf>) -> BTreeSet<PathBuf> {
    let mut manifests: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
    for path in watch::files(folder, excluded).filter(|path| is_manifest(path)) {
        let real = path.canonicalize().unwrap_or_else(|_| path.clone());
        if real == path || !manifests.contains_key(&real) {
            manifests.insert(real, path);
        }
    }
    manifests.into_values().collect()
}

/// Returns true if only cargo reads such a file: Rust sources, manifests and lock files.
fn is_of_cargo(path: &Path) -> bool {
    let is_rust = path.extension().is_some_and(|extension| extension == "rs");
    is_rust || is_manifest(path) || path.ends_with("Cargo.lock")
}

/// Returns a path relative to `folder` if it lies below, for messages.
pub(super) fn relative(path: &Path, folder: &Path) -> String {
    let short = path.strip_prefix(folder).unwrap_or(path);
    short.display().to_string()
}

/// Returns the path relative to the handlers folder `dir` of a file that `[dev] build` makes.
///
/// # Errors
/// The file does not lie in the handlers folder.
fn file_of(folder: &Path, dir: &Path, path: &str) -> anyhow::Result<String> {
    let full = folder.join(path);
    let below = full.strip_prefix(dir).ok();
    let file = below.and_then(Path::to_str).filter(|file| !file.is_empty());
    file.map(ToOwned::to_owned).ok_or_else(|| {
        anyhow!(
            "[dev] build makes {path}, which is not in the handlers folder {}; write the path of a file in it",
            dir.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, folders: &[&str]) -> Recipe {
        let file = format!("{name}.wasm");
        Recipe {
            name: name.to_owned(),
            file: file.clone(),
            method: BuildMethod::Cargo(Package {
                name: name.to_owned(),
                file,
                manifest: Path::new(folders[0]).join("Cargo.toml"),
                root: "/p".into(),
                folders: folders.iter().map(PathBuf::from).collect(),
                files: [PathBuf::from("/p/Cargo.toml")].into(),
                outputs: BTreeSet::new(),
            }),
        }
    }

    fn command(name: &str) -> Recipe {
        Recipe {
            name: name.to_owned(),
            file: format!("{name}.wasm"),
            method: BuildMethod::Command("make".to_owned()),
        }
    }

    fn affected(recipes: Vec<Recipe>, changed: &str) -> Vec<String> {
        affected_with(recipes, changed, &BTreeMap::new())
    }

    fn affected_with(
        recipes: Vec<Recipe>,
        changed: &str,
        inputs: &BTreeMap<String, Inputs>,
    ) -> Vec<String> {
        let mut sources = Sources {
            folder: "/p".into(),
            ..Sources::default()
        };
        recipes.into_iter().for_each(|recipe| sources.add(recipe));
        let files = sources.affected(&[PathBuf::from(changed)].into(), inputs);
        files.into_iter().collect()
    }

    #[test]
    fn a_save_concerns_what_is_made_of_it() {
        let recipes = || {
            vec![
                package("a", &["/p/a", "/sdk"]),
                package("b", &["/p/b"]),
                command("c"),
            ]
        };
        assert_eq!(affected(recipes(), "/p/a/src/lib.rs"), ["a.wasm"]);
        assert_eq!(affected(recipes(), "/sdk/src/lib.rs"), ["a.wasm"]);
        assert_eq!(affected(recipes(), "/p/app.js"), ["c.wasm"]);
        let all = ["a.wasm", "b.wasm", "c.wasm"];
        assert_eq!(affected(recipes(), "/p/Cargo.toml"), all);
    }

    #[test]
    fn a_package_at_the_top_leaves_other_languages_their_files() {
        let recipes = || vec![package("a", &["/p"]), package("b", &["/p/b"]), command("c")];
        assert_eq!(affected(recipes(), "/p/src/lib.rs"), ["a.wasm"]);
        assert_eq!(affected(recipes(), "/p/b/src/lib.rs"), ["b.wasm"]);
        assert_eq!(affected(recipes(), "/p/app.js"), ["a.wasm", "c.wasm"]);
    }

    #[test]
    fn i11_2_what_a_build_read_decides_once_it_is_known() {
        let recipes = || {
            vec![
                package("a", &["/p/a"]),
                package("b", &["/p/b"]),
                command("c"),
            ]
        };
        let mut read = Inputs::new(&BTreeSet::new());
        read.add(Path::new("/p/a/src/lib.rs"));
        read.add(Path::new("/elsewhere/text.txt"));
        let mut inputs = BTreeMap::from([("a.wasm".to_owned(), read.clone())]);
        let affected = |changed: &str, inputs: &_| affected_with(recipes(), changed, inputs);
        assert_eq!(affected("/p/a/src/lib.rs", &inputs), ["a.wasm"]);
        assert_eq!(affected("/elsewhere/text.txt", &inputs), ["a.wasm"]);
        assert_eq!(affected("/p/a/dev.log", &inputs), Vec::<String>::new());
        assert_eq!(affected("/p/b/notes.md", &inputs), ["b.wasm"]);
        // After a failure, the package may read anything in its folder.
        read.is_known = false;
        inputs.insert("a.wasm".to_owned(), read);
        assert_eq!(affected("/p/a/dev.log", &inputs), ["a.wasm"]);
        assert_eq!(affected("/elsewhere/text.txt", &inputs), ["a.wasm"]);
    }
}
