//! The types of core modules whose linker does not add them, as that of Go. A module that exports functions under the
//! names of the contract can have no other types than those of the contract, so they are added here.

use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, SourceMap, UnresolvedPackageGroup, WorldId};

use super::contract;
use super::module_error::ModuleError;
use super::wasm_info::WasmInfo;
use super::wit;

/// Returns true if the types of a core module that carries none are known by the names of its exports.
pub(super) fn are_known(info: &WasmInfo) -> bool {
    contract::of_functions(&info.exports).contains(&"setup")
}

/// Returns the module with the types of the contract.
///
/// # Errors
/// The module is not one that the encoder understands.
pub(super) fn add(module: &[u8], info: &WasmInfo) -> Result<Vec<u8>, ModuleError> {
    let found = contract::of_functions(&info.exports);
    let exports: Vec<&str> = wit::EXPORTS
        .into_iter()
        .filter(|name| found.contains(name))
        .collect();
    let (resolve, world) = resolve(&exports)?;
    let mut typed = module.to_vec();
    embed_component_metadata(&mut typed, &resolve, world, StringEncoding::UTF8)
        .map_err(|error| ModuleError::Unfit(format!("{error:#}")))?;
    Ok(typed)
}

/// Parses the contract, with a world that exports these interfaces.
fn resolve(exports: &[&str]) -> Result<(Resolve, WorldId), ModuleError> {
    let mut package = SourceMap::default();
    for (path, text) in wit::PACKAGE_FILES {
        package.push_str(path, *text);
    }
    package.push_str("chosen.wit", wit::world(exports));
    let dependencies = wit::DEPENDENCIES.iter().map(|(path, text)| {
        let mut map = SourceMap::default();
        map.push_str(path, *text);
        parse(map)
    });
    let dependencies = dependencies.collect::<Result<_, _>>()?;
    let mut resolve = Resolve::default();
    let package = resolve
        .push_groups(parse(package)?, dependencies)
        .map_err(|error| ModuleError::Unfit(error.to_string()))?;
    let world = resolve.select_world(&[package], Some(wit::WORLD));
    let world = world.map_err(|error| ModuleError::Unfit(format!("{error:#}")))?;
    Ok((resolve, world))
}

fn parse(map: SourceMap) -> Result<UnresolvedPackageGroup, ModuleError> {
    map.parse()
        .map_err(|(_, error)| ModuleError::Unfit(error.to_string()))
}
