//! The files of the handlers folder that are built: how each is made, and from which sources.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::anyhow;

use super::cargo::{self, Package};
use crate::config::Config;
use crate::watch::{self, Roots};

/// The way in which one file of the handlers folder is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Recipe {
    /// The name by which people know it: the package, or the file without its ending.
    pub(super) name: String,
    /// Below the handlers folder.
    pub(super) file: String,
    pub(super) how: How,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// By cargo.
    Cargo(Package),
    /// By a command of `[dev] build`.
    Command(String),
}

/// All that is built below a folder.
#[derive(Default)]
pub(super) struct Sources {
    pub(super) folder: PathBuf,
    /// By file.
    pub(super) recipes: BTreeMap<String, Recipe>,
    /// The parts that could not be understood.
    pub(super) problems: Vec<anyhow::Error>,
    /// Folders that do not belong to the sources.
    without: BTreeSet<PathBuf>,
}

impl Sources {
    /// Looks for what is built below `folder`, with these settings.
    ///
    /// # Errors
    /// There is a manifest and no cargo.
    pub(super) async fn find(folder: &Path, config: &Config) -> anyhow::Result<Self> {
        let without = BTreeSet::from([config.handlers.dir.clone(), config.server.public.clone()]);
        let manifests = watch::files(folder, &without).filter(|path| is_manifest(path));
        let packages = cargo::packages(folder, manifests.collect()).await?;
        let mut sources = Self {
            folder: folder.to_owned(),
            recipes: BTreeMap::new(),
            problems: packages.problems,
            without,
        };
        for package in packages.found {
            sources.add(Recipe {
                name: package.name.clone(),
                file: package.file.clone(),
                how: How::Cargo(package),
            });
        }
        for (path, command) in &config.dev.build {
            match file_of(folder, &config.handlers.dir, path) {
                Ok(file) => sources.add(Recipe {
                    name: file.trim_end_matches(".wasm").to_owned(),
                    file,
                    how: How::Command(command.clone()),
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

    /// Keeps what was there before, as far as it was not found again: what cannot be understood may still be what it
    /// was.
    pub(super) fn keep(&mut self, before: BTreeMap<String, Recipe>) {
        for (file, recipe) in before {
            self.recipes.entry(file).or_insert(recipe);
        }
    }

    /// The folders and files whose changes matter.
    pub(super) fn roots(&self, settings_file: PathBuf) -> Roots {
        let mut roots = Roots {
            folders: [self.folder.clone()].into(),
            files: [settings_file].into(),
            without: self.without.clone(),
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

    /// The files that cargo writes beside the sources.
    pub(super) fn locks(&self) -> BTreeSet<PathBuf> {
        self.packages()
            .map(|package| package.lock.clone())
            .collect()
    }

    /// The recipes that these changes may matter to.
    pub(super) fn concerned(&self, changed: &BTreeSet<PathBuf>) -> BTreeSet<String> {
        let folders: BTreeSet<&Path> = self
            .packages()
            .flat_map(|package| package.folders.iter().map(PathBuf::as_path))
            .collect();
        let is_concerned = |recipe: &Recipe| {
            changed.iter().any(|path| {
                // The innermost package that the file lies in.
                let owner = path.ancestors().find(|folder| folders.contains(folder));
                match &recipe.how {
                    How::Cargo(package) => {
                        owner.is_some_and(|owner| package.folders.contains(owner))
                            || package.files.contains(path)
                    }
                    How::Command(_) => {
                        path.starts_with(&self.folder)
                            && owner.is_none_or(|owner| owner == self.folder && !is_of_cargo(path))
                    }
                }
            })
        };
        self.recipes
            .values()
            .filter(|recipe| is_concerned(recipe))
            .map(|recipe| recipe.file.clone())
            .collect()
    }

    /// The files that cargo builds.
    pub(super) fn packages(&self) -> impl Iterator<Item = &Package> {
        self.recipes
            .values()
            .filter_map(|recipe| match &recipe.how {
                How::Cargo(package) => Some(package),
                How::Command(_) => None,
            })
    }
}

impl Recipe {
    fn made_by(&self, folder: &Path) -> String {
        match &self.how {
            How::Cargo(package) => shown(&package.manifest, folder),
            How::Command(_) => format!("[dev] build of {}", self.file),
        }
    }
}

/// Returns true if a change of the file may change what there is to build.
pub(super) fn is_manifest(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == "Cargo.toml")
}

fn is_of_cargo(path: &Path) -> bool {
    let is_rust = path.extension().is_some_and(|extension| extension == "rs");
    is_rust || is_manifest(path) || path.ends_with("Cargo.lock")
}

/// A path as the person at the terminal names it.
pub(super) fn shown(path: &Path, folder: &Path) -> String {
    let short = path.strip_prefix(folder).unwrap_or(path);
    short.display().to_string()
}

/// The name below the handlers folder of a file of `[dev] build`.
fn file_of(folder: &Path, dir: &Path, path: &str) -> anyhow::Result<String> {
    let whole = folder.join(path);
    let below = whole.strip_prefix(dir).ok();
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
            how: How::Cargo(Package {
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
            how: How::Command("make".to_owned()),
        }
    }

    fn concerned(recipes: Vec<Recipe>, changed: &str) -> Vec<String> {
        let mut sources = Sources {
            folder: "/p".into(),
            ..Sources::default()
        };
        recipes.into_iter().for_each(|recipe| sources.add(recipe));
        let files = sources.concerned(&[PathBuf::from(changed)].into());
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
        assert_eq!(concerned(recipes(), "/p/a/src/lib.rs"), ["a.wasm"]);
        assert_eq!(concerned(recipes(), "/sdk/src/lib.rs"), ["a.wasm"]);
        assert_eq!(concerned(recipes(), "/p/app.js"), ["c.wasm"]);
        let all = ["a.wasm", "b.wasm", "c.wasm"];
        assert_eq!(concerned(recipes(), "/p/Cargo.toml"), all);
    }

    #[test]
    fn a_package_at_the_top_leaves_other_languages_their_files() {
        let recipes = || vec![package("a", &["/p"]), package("b", &["/p/b"]), command("c")];
        assert_eq!(concerned(recipes(), "/p/src/lib.rs"), ["a.wasm"]);
        assert_eq!(concerned(recipes(), "/p/b/src/lib.rs"), ["b.wasm"]);
        assert_eq!(concerned(recipes(), "/p/app.js"), ["a.wasm", "c.wasm"]);
    }
}
