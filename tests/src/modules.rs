//! Core modules that carry the types of a world, as `wasm-tools component embed` makes them.

use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::{PackageId, Resolve};

use crate::sources;

/// Returns a core module that says that it imports and exports nothing.
///
/// # Panics
/// Panics if the bytes are not a core module.
pub fn of_empty_world(module: &[u8]) -> Vec<u8> {
    embed(module, "nothing", |resolve| {
        resolve.push_str("nothing.wit", "package test:nothing; world nothing {}")
    })
}

/// Returns a core module with the types of a world of the contract, for example `http-only`.
///
/// # Panics
/// Panics if the bytes are not a core module, or the contract does not have the world.
pub fn of_contract(module: &[u8], world: &str) -> Vec<u8> {
    embed(module, world, |resolve| {
        resolve
            .push_dir(sources().join("../wit"))
            .map(|(package, _)| package)
    })
}

fn embed<E: std::fmt::Display>(
    module: &[u8],
    world: &str,
    push: impl FnOnce(&mut Resolve) -> Result<PackageId, E>,
) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let package = push(&mut resolve).unwrap_or_else(|error| panic!("{error:#}"));
    let world = resolve
        .select_world(&[package], Some(world))
        .unwrap_or_else(|error| panic!("{error:#}"));
    let mut typed = module.to_vec();
    embed_component_metadata(&mut typed, &resolve, world, StringEncoding::UTF8)
        .unwrap_or_else(|error| panic!("{error:#}"));
    typed
}
