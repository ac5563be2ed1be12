//! Bindings for C.

use wit_bindgen_core::Files;

use super::{Written, collected, resolve};

/// The name of the files and the prefix of the types.
const NAME: &str = "handler";

/// Returns `handler.h`, `handler.c`, and `handler_component_type.o`, which carries the types into the module.
pub(super) fn bindings(exports: &[&str]) -> anyhow::Result<Written> {
    let (mut resolve, world) = resolve(exports)?;
    let mut files = Files::default();
    let options = wit_bindgen_c::Opts {
        rename_world: Some(NAME.to_owned()),
        ..wit_bindgen_c::Opts::default()
    };
    options.build().generate(&mut resolve, world, &mut files)?;
    Ok(collected(&files))
}
