//! Where a script's packages are: the `package.json` beside it or above it, and the esbuild that is installed there.

use std::path::{Path, PathBuf};

use crate::runtime::BundleError;

/// The file that says which packages a project has.
const MANIFEST: &str = "package.json";
/// The place of esbuild below the folder of a `package.json`.
const LOCAL: &str = "node_modules/.bin/esbuild";
/// The name of esbuild in `PATH`.
const PROGRAM: &str = "esbuild";
/// Files below the folder of a `package.json` that decide about bundles besides the sources: what installers of
/// packages write last, and settings of TypeScript.
const INPUTS: [&str; 4] = [
    MANIFEST,
    "tsconfig.json",
    "node_modules/.package-lock.json",
    "node_modules/.modules.yaml",
];

/// The folders in which the packages of a script may be.
pub(super) struct Project {
    /// From that of the script up to that of the project.
    folders: Vec<PathBuf>,
    /// Files whose appearance makes another bundle possible.
    pub(super) looked_for: Vec<PathBuf>,
}

impl Project {
    /// Returns the folders for a script: its own and those above it, up to the folder of the project or, if the script
    /// does not lie in it, up to the one that the handlers folder `root` lies in.
    pub(super) fn of(script: &Path, project: &Path, root: &Path) -> Self {
        let top = match script.starts_with(project) {
            true => project,
            false => root.parent().unwrap_or(root),
        };
        let folders = script.ancestors().skip(1);
        let folders = folders.take_while(|folder| folder.starts_with(top));
        let folders: Vec<PathBuf> = folders.map(Path::to_owned).collect();
        let looked_for = folders
            .iter()
            .flat_map(|folder| [folder.join(MANIFEST), folder.join(LOCAL)]);
        Self {
            looked_for: looked_for.collect(),
            folders,
        }
    }

    /// Returns the folder of the nearest `package.json`, and esbuild. `packages` are those that the script imports.
    pub(super) fn tools(&self, packages: &[String]) -> Result<(PathBuf, PathBuf), BundleError> {
        let mut folders = self.folders.iter();
        let Some(folder) = folders.find(|folder| folder.join(MANIFEST).is_file()) else {
            let mut packages: Vec<String> =
                packages.iter().filter_map(|one| package(one)).collect();
            packages.dedup();
            return Err(BundleError::NoPackageJson {
                folder: self.folders.last().cloned().unwrap_or_default(),
                packages,
            });
        };
        let local = self.folders.iter().map(|folder| folder.join(LOCAL));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let everywhere = std::env::split_paths(&path).map(|folder| folder.join(PROGRAM));
        let esbuild = local.chain(everywhere).find(|program| program.is_file());
        match esbuild {
            Some(esbuild) => Ok((folder.clone(), esbuild)),
            None => Err(BundleError::NoEsbuild {
                folder: folder.clone(),
            }),
        }
    }
}

/// Returns the files of a folder with a `package.json` that decide about bundles besides the sources.
pub(super) fn inputs_of(folder: &Path) -> impl Iterator<Item = PathBuf> {
    INPUTS.into_iter().map(|name| folder.join(name))
}

/// Returns the name of the package in what an import names, as `@scope/name` for `@scope/name/part`.
fn package(specifier: &str) -> Option<String> {
    let parts = if specifier.starts_with('@') { 2 } else { 1 };
    let name: Vec<&str> = specifier.split('/').take(parts).collect();
    (!specifier.starts_with('#')).then(|| name.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn i14_5_the_nearest_package_and_esbuild_up_to_the_project_count() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path();
        let write = |name: &str| {
            fs::create_dir_all(top.join(name).parent().unwrap()).unwrap();
            fs::write(top.join(name), "").unwrap();
        };
        write("package.json");
        write("node_modules/.bin/esbuild");
        let (project, root) = (top.join("project"), top.join("project/handlers"));
        let of = |script: &str| Project::of(&root.join(script), &project, &root);
        let packages = ["@a/b/c", "@a/b", "d/e", "#own"].map(str::to_owned);
        let missing = of("api/a.js").tools(&packages);
        let wanted = BundleError::NoPackageJson {
            folder: project.clone(),
            packages: vec!["@a/b".to_owned(), "d".to_owned()],
        };
        assert_eq!(
            missing,
            Err(wanted),
            "what lies above the project does not count"
        );

        write("project/package.json");
        write("project/node_modules/.bin/esbuild");
        let esbuild = project.join(LOCAL);
        assert_eq!(
            of("a.js").tools(&packages),
            Ok((project.clone(), esbuild.clone()))
        );
        write("project/handlers/api/package.json");
        assert_eq!(
            of("api/a.js").tools(&packages),
            Ok((root.join("api"), esbuild))
        );
        // Handlers that do not lie in the project.
        let elsewhere = Project::of(
            &top.join("other/handlers/a.js"),
            &project,
            &top.join("other/handlers"),
        );
        assert_eq!(
            elsewhere.folders,
            [top.join("other/handlers"), top.join("other")]
        );
    }
}
