//! A file that is served as a command, and the path at which it answers.

use wasmtime::component::InstancePre;
use wasmtime_wasi::p2::bindings::CommandIndices;

use crate::path::{self, PathError};
use crate::runtime::error::LoadError;
use crate::runtime::instance::state::State;

/// A command. Its guest keeps it among its exports.
pub(in crate::runtime) struct Command {
    /// The path at which it answers, in normal form: `/tools/report`, or empty for the root.
    pub(in crate::runtime) mount: String,
    pub(in crate::runtime) run: CommandIndices,
}

impl Command {
    /// Looks up `wasi:cli/run` of a component. `name` is the path of its file below the folder of handlers.
    pub(in crate::runtime) fn new(name: &str, pre: &InstancePre<State>) -> Result<Self, LoadError> {
        let run = CommandIndices::new(pre)
            .map_err(|error| LoadError::NoCommand(format!("no usable wasi:cli/run ({error:#})")))?;
        let mount = mount(name).map_err(|error| {
            LoadError::Declaration(format!(
                "its name is the path at which it would answer, and {error}; rename it"
            ))
        })?;
        Ok(Self { mount, run })
    }
}

/// Returns the path at which a file answers, in normal form. `index.wasm` answers its folder, and the root is empty.
fn mount(name: &str) -> Result<String, PathError> {
    let bare = name.strip_suffix(".wasm").unwrap_or(name);
    let place = match bare.strip_suffix("index") {
        Some(folder) if folder.is_empty() || folder.ends_with('/') => folder,
        _ => bare,
    };
    let normal = path::normal(&format!("/{}", place.replace('%', "%25")))?;
    Ok(normal.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i12_7_a_file_answers_at_its_path() {
        for (name, path) in [
            ("report.wasm", "/report"),
            ("tools/report.wasm", "/tools/report"),
            ("index.wasm", ""),
            ("tools/index.wasm", "/tools"),
            ("tools/windex.wasm", "/tools/windex"),
            ("a b/100%.wasm", "/a%20b/100%25"),
            ("{x}.wasm", "/%7Bx%7D"),
        ] {
            assert_eq!(mount(name).as_deref(), Ok(path), "{name}");
        }
    }
}
