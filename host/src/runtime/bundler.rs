//! Bundles of scripts that import packages of npm. Who makes them lies above this folder: `hitchy dev` and
//! `hitchy build` have a bundler, and a server takes the bundles that they made.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::content_hash::ContentHash;

/// A script that imports packages.
#[derive(Clone, Debug)]
pub struct BundleSource {
    /// The folder of handlers.
    pub root: PathBuf,
    /// The path of the script's file below it.
    pub name: String,
    /// The packages that the script and its own files import, as they are written there.
    pub packages: Vec<String>,
    /// The script and its own files, by their paths below the folder, as far as they were read before.
    pub own: BTreeMap<String, ContentHash>,
}

/// Makes bundles.
pub trait Bundler: fmt::Debug + Send + Sync {
    /// Makes the bundle of a script, and puts it where the script's loader looks for it.
    fn bundle<'a>(&'a self, script: &'a BundleSource) -> BoxFuture<'a, Bundled>;
}

/// What came of making a bundle.
#[derive(Debug)]
pub struct Bundled {
    /// An error if there is no new bundle.
    pub made: Result<(), BundleError>,
    /// Other files whose changes make another bundle: those of packages, and what says which packages there are.
    pub read: Vec<PathBuf>,
}

/// The bundler as a backend of the runtime, which finds it by this type.
#[derive(Clone, Debug)]
pub struct BundlerBackend(pub Arc<dyn Bundler>);

/// Reasons why there is no bundle of a script.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// No bundle was made, and nothing here makes one.
    #[error(
        "packages of npm are bundled with the script, and it has no bundle: where package.json and esbuild are, hitchy dev does \
         it, and hitchy build for hitchy serve"
    )]
    Absent,
    /// The bundle was made of other files.
    #[error(
        "the bundle with its packages was made of another {file}; make it again with hitchy build"
    )]
    Stale {
        /// The path of the first file that differs, below the folder of handlers.
        file: String,
    },
    /// The bundle cannot be used.
    #[error("the bundle {path} {cause}; make it again with hitchy build")]
    Unusable {
        /// The path of the bundle below the folder of handlers.
        path: String,
        /// What is wrong with it.
        cause: String,
    },
    /// There is no `package.json`.
    #[error(
        "packages of npm need a package.json, and there is none beside the script or above it up to {}; make one: \
         npm init -y && npm install {} && npm install --save-dev esbuild",
        folder.display(),
        packages.join(" ")
    )]
    NoPackageJson {
        /// The folder of the project.
        folder: PathBuf,
        /// The names of the packages.
        packages: Vec<String>,
    },
    /// There is no esbuild.
    #[error(
        "packages of npm are bundled by esbuild, which is neither in {}/node_modules/.bin nor in PATH; install it there: \
         npm install --save-dev esbuild",
        folder.display()
    )]
    NoEsbuild {
        /// The folder of `package.json`.
        folder: PathBuf,
    },
    /// The bundler cannot be run.
    #[error("{} cannot be run: {cause}", program.display())]
    NotRun {
        /// The bundler.
        program: PathBuf,
        /// What the system says, and what to do.
        cause: String,
    },
    /// The bundler found an error.
    #[error("bundling it failed: {0}")]
    Failed(String),
    /// The bundle is larger than a script may be.
    #[error(
        "its bundle has {size} bytes, also without comments and spaces, and a script may have {max}; import less, or only the parts \
         of packages that it needs"
    )]
    TooLarge {
        /// Size of the bundle in bytes.
        size: u64,
        /// Largest permitted size in bytes.
        max: u64,
    },
    /// The bundle cannot be written.
    #[error("{} cannot be written: {cause}; the folder has to be one in the handlers folder that this user may write", path.display())]
    NotWritten {
        /// The path of the bundle.
        path: PathBuf,
        /// What the system says.
        cause: String,
    },
}

impl BundleError {
    /// Returns true if nobody has tried to make a bundle, because there is nothing to make it with. A script that only
    /// seems to import packages, in a comment for example, can do without.
    pub fn is_for_lack_of_tools(&self) -> bool {
        matches!(self, Self::NoPackageJson { .. } | Self::NoEsbuild { .. })
    }
}
