//! The files of the handlers folder that are built, each with its build method and the sources that go into it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::anyhow;

use super::cargo::{self, Package};
use crate::config::Config;
use crate::watch::{self, Roots};

/// The build of one file of the handlers folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Recipe {
    /// The name that messages use: the package's name, or the file's name without `.wasm`.
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
    excluded: BTreeSet<PathBuf>,
}

impl Sources {
    /// Finds the cargo packages below `folder` and adds the commands of `[dev] build`.
    ///
    /// # Errors
    /// A manifest was found and cargo cannot be started.
    pub(super) async fn find(folder: &Path, config: &Config) -> anyhow::Result<Self> {
        let excluded = BTreeSet::from([config.handlers.dir.clone(), config.server.public.clone()]);
        let manifests = watch::files(folder, &excluded).filter(|path| is_manifest(path));
        let packages = cargo::packages(folder, manifests.collect()).await?;
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
                    name: file.trim_end_matches(".wasm").to_owned(),
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

    /// Returns the folders and files to watch.
    pub(super) fn roots(&self, settings_file: PathBuf) -> Roots {
        let mut roots = Roots {
            folders: [self.folder.clone()].into(),
            files: [settings_file].into(),
            without: self.excluded.clone(),
        };
        for package in self.packages() {
            let elsewhere = |path: &&PathBuf| !path.starts_with(&self.folder);
            roots
                .folders
                .extend(package.folders.iter().filter(elsewhere).cloned());
            roots.files.extend(package.files.iter().cloned());
        }
        roots
    }

    /// Returns the paths of the `Cargo.lock` files, which cargo writes beside the sources.
    pub(super) fn locks(&self) -> BTreeSet<PathBuf> {
        self.packages()
            .map(|package| package.lock.clone())
            .collect()
    }

    /// Returns the files whose recipes may be affected by these changes.
    pub(super) fn affected(&self, changed: &BTreeSet<PathBuf>) -> BTreeSet<String> {
        let folders: BTreeSet<&Path> = self
            .packages()
            .flat_map(|package| package.folders.iter().map(PathBuf::as_path))
            .collect();
        let is_affected = |recipe: &Recipe| {
            changed.iter().any(|path| {
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
            })
        };
        self.recipes
            .values()
            .filter(|recipe| is_affected(recipe))
            .map(|recipe| recipe.file.clone())
            .collect()
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
                folders: folders.iter().map(PathBuf::from).collect(),
                files: [PathBuf::from("/p/Cargo.toml")].into(),
                lock: PathBuf::from("/p/Cargo.lock"),
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
        let mut sources = Sources {
            folder: "/p".into(),
            ..Sources::default()
        };
        recipes.into_iter().for_each(|recipe| sources.add(recipe));
        let files = sources.affected(&[PathBuf::from(changed)].into());
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
}
