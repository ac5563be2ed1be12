//! The messages that cargo prints as JSON while it builds.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::metadata::{MetadataTarget, Package};
use crate::cli::output::terminal;

/// One line of the output of `cargo rustc --message-format json`.
#[derive(Deserialize)]
#[serde(tag = "reason")]
enum Message {
    #[serde(rename = "compiler-artifact")]
    Artifact {
        package_id: String,
        manifest_path: PathBuf,
        target: MetadataTarget,
        filenames: Vec<PathBuf>,
    },
    #[serde(rename = "compiler-message")]
    Compiler {
        package_id: String,
        manifest_path: PathBuf,
        message: Diagnostic,
    },
    #[serde(rename = "build-script-executed")]
    Script {
        package_id: String,
        out_dir: PathBuf,
    },
    #[serde(other)]
    Other,
}

/// A message of the compiler.
#[derive(Deserialize)]
struct Diagnostic {
    message: String,
    /// The text for a person.
    rendered: Option<String>,
    #[serde(default)]
    children: Vec<Diagnostic>,
}

/// What cargo reported during one build.
#[derive(Default)]
pub(super) struct Report {
    /// The handler that was made.
    pub(super) artifact: Option<PathBuf>,
    /// The manifests of local packages that were compiled or were up to date.
    pub(super) manifests: BTreeSet<PathBuf>,
    /// The output folders of build scripts of local packages, each with the folder of its package.
    pub(super) scripts: Vec<(PathBuf, PathBuf)>,
    /// Files that the compiler missed.
    pub(super) missing: BTreeSet<PathBuf>,
    /// The manifests of local packages, keyed by cargo's names for the packages.
    packages: BTreeMap<String, PathBuf>,
}

impl Report {
    /// Takes a line of cargo's output, and prints the compiler's message if it carries one.
    pub(super) fn read(&mut self, line: &str, package: &Package) {
        match serde_json::from_str(line) {
            Ok(Message::Artifact {
                package_id,
                manifest_path,
                target,
                filenames,
            }) => {
                self.add_local(package_id, &manifest_path);
                let wasm = artifact(&manifest_path, &target, filenames, package);
                self.artifact = wasm.or(self.artifact.take());
            }
            Ok(Message::Compiler {
                package_id,
                manifest_path,
                message,
            }) => {
                self.add_local(package_id, &manifest_path);
                if let Some(rendered) = &message.rendered {
                    terminal::pass_on(rendered);
                }
                let folder = manifest_path.parent().unwrap_or(Path::new("/"));
                // The compiler runs in the root of the workspace, or in the folder of a package elsewhere.
                for base in [&package.root, folder] {
                    self.missing
                        .extend(missing(&message).map(|path| base.join(path)));
                }
            }
            Ok(Message::Script {
                package_id,
                out_dir,
            }) => {
                let manifest = self.packages.get(&package_id);
                if let Some(folder) = manifest.and_then(|manifest| manifest.parent()) {
                    self.scripts.push((out_dir, folder.to_owned()));
                }
            }
            Ok(Message::Other) | Err(_) => {}
        }
    }

    fn add_local(&mut self, package_id: String, manifest: &Path) {
        if package_id.starts_with("path+") {
            self.manifests.insert(manifest.to_owned());
            self.packages.insert(package_id, manifest.to_owned());
        }
    }
}

/// Returns the path of the package's handler if it is among these files.
fn artifact(
    manifest: &Path,
    target: &MetadataTarget,
    files: Vec<PathBuf>,
    package: &Package,
) -> Option<PathBuf> {
    let is_wasm = |file: &PathBuf| {
        file.extension()
            .is_some_and(|extension| extension == "wasm")
    };
    let wasm = files.into_iter().find(is_wasm);
    wasm.filter(|_| manifest == package.manifest && target.is_handler())
}

/// Returns the files that the compiler missed, relative to the folder in which it runs.
fn missing(message: &Diagnostic) -> impl Iterator<Item = &str> {
    let read = message.message.strip_prefix("couldn't read `");
    let read = read.and_then(|rest| Some(rest.rsplit_once("`: ")?.0));
    let of_module = |child: &'_ Diagnostic| child.message.starts_with("to create the module");
    let help = message
        .children
        .iter()
        .filter(move |child| of_module(child));
    // The names stand in quotation marks.
    let named = help.flat_map(|help| help.message.split('"').skip(1).step_by(2));
    read.into_iter().chain(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package() -> Package {
        Package {
            name: "shop".to_owned(),
            file: "shop.wasm".to_owned(),
            manifest: "/shop/Cargo.toml".into(),
            root: "/shop".into(),
            folders: BTreeSet::new(),
            files: BTreeSet::new(),
            outputs: BTreeSet::new(),
        }
    }

    fn report(lines: &[&str]) -> Report {
        let mut report = Report::default();
        lines.iter().for_each(|line| report.read(line, &package()));
        report
    }

    #[test]
    fn a_program_beside_the_library_is_no_handler() {
        let line = |kind: &str, name: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","package_id":"path+file:///shop#0.1.0","manifest_path":"/shop/Cargo.toml","target":{{"name":"{name}","kind":["{kind}"]}},"filenames":["/t/{name}.wasm"]}}"#
            )
        };
        let library = report(&[&line("cdylib", "shop"), &line("bin", "tool")]);
        assert_eq!(library.artifact, Some("/t/shop.wasm".into()));
        for kind in ["bin", "example", "rlib"] {
            assert_eq!(report(&[&line(kind, "tool")]).artifact, None, "{kind}");
        }
    }

    #[test]
    fn i11_2_what_the_compiler_missed_is_known() {
        let line = |message: &str| {
            format!(
                r#"{{"reason":"compiler-message","package_id":"path+file:///dep#0.1.0","manifest_path":"/dep/Cargo.toml","message":{message}}}"#
            )
        };
        let read = line(
            r#"{"message":"couldn't read `src/../../a b`c`: d`: No such file or directory (os error 2)"}"#,
        );
        let module = line(
            r#"{"message":"file not found for module `x`","children":[{"message":"to create the module `x`, create file \"src/x.rs\" or \"src/x/mod.rs\""},{"message":"if there is a `mod x` elsewhere"}]}"#,
        );
        let missing = report(&[&read, &module]).missing;
        let all = [
            "/dep/src/../../a b`c`: d",
            "/dep/src/x.rs",
            "/dep/src/x/mod.rs",
            "/shop/src/../../a b`c`: d",
            "/shop/src/x.rs",
            "/shop/src/x/mod.rs",
        ];
        assert_eq!(missing, all.map(PathBuf::from).into());
    }
}
