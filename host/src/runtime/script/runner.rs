//! The runner: the compiled code that all scripts share.

use std::sync::Arc;

use bytes::Bytes;
use wasmparser::{Parser, Payload};
use wasmtime::component::{Component, InstancePre, Linker};
use wasmtime::{Engine, Module};
use wit_component::ComponentEncoder;

use super::evaluate::{Evaluation, LoadContext};
use super::image::Image;
use super::parts::Unexpected;
use super::skeleton::{IMAGE_MODULE, Split, split};
use super::sources::Sources;
use crate::runtime::compile::Compilation;
use crate::runtime::content_hash::ContentHash;
use crate::runtime::error::LoadError;
use crate::runtime::footprint::Footprint;
use crate::runtime::instance::state::State;
use crate::runtime::services::Services;
use crate::runtime::settings::HandlerSettings;

/// The runner as `host/js/build.sh` makes it: a core module that carries the types of its imports and exports.
const RUNNER: &[u8] = include_bytes!("../../../js/runner.wasm");

/// The section of the runner with the translator of TypeScript.
const TRANSLATOR: &str = "hitchy:typescript";

/// The name that the runner has in the log while it evaluates its own API.
const NAME: &str = "the runner of scripts";

/// Memory in which the runner evaluates its own API, in bytes. It uses a small part of it.
const MEMORY: usize = 64 << 20;

/// What the runtime has for all handlers.
pub(in crate::runtime) struct Shared {
    pub(in crate::runtime) engine: Engine,
    pub(in crate::runtime) linker: Linker<State>,
    pub(in crate::runtime) compilation: Arc<Compilation>,
    pub(in crate::runtime) services: Arc<Services>,
}

/// Compiled code, with the image of the memory before a script was evaluated.
pub(super) struct Runner {
    engine: Engine,
    /// Everything that the skeleton imports but the image.
    linker: Linker<State>,
    skeleton: Component,
    /// The footprint of the runner's own component.
    footprint: Footprint,
    /// The image in which the engine and the API exist already.
    base: Image,
    /// The skeleton with that image.
    pre: InstancePre<State>,
}

/// Makes an error of one that the runner itself has caused.
pub(super) fn broken(error: wasmtime::Error) -> LoadError {
    LoadError::Compiler(format!("{NAME}: {error:#}"))
}

/// Makes an error of the runner of one that its preparation returned.
pub(super) fn not_prepared(error: LoadError) -> LoadError {
    match error {
        LoadError::Compiler(_) => error,
        other => LoadError::Compiler(format!("{NAME}: {other}")),
    }
}

fn unexpected(error: Unexpected) -> LoadError {
    LoadError::Compiler(error.to_string())
}

impl Runner {
    /// Gets the code of the runner, and evaluates its API under the limits of `describe`.
    pub(super) async fn new(shared: &Shared) -> Result<Arc<Self>, LoadError> {
        let parts = tokio::task::spawn_blocking(|| {
            let component = encode()?;
            let footprint = Footprint::of(&component).map_err(Unexpected::new)?;
            Ok::<_, Unexpected>((split(&component)?, footprint))
        });
        let parts = parts.await.map_err(|error| broken(error.into()))?;
        let (split, footprint) = parts.map_err(unexpected)?;
        let Split { skeleton, image } = split;
        let skeleton = native(&shared.compilation, skeleton).await?;
        let (engine, linker) = (shared.engine.clone(), shared.linker.clone());
        let context = LoadContext {
            name: NAME.into(),
            settings: HandlerSettings::computing(MEMORY),
            services: Arc::clone(&shared.services),
            source_map: None,
        };
        let sources = Sources::default();
        let evaluation = Evaluation { context, sources };
        let made = tokio::task::spawn_blocking(move || {
            let pre = link(&engine, &linker, &skeleton, &image).map_err(broken)?;
            let empty = Self {
                engine,
                linker,
                skeleton,
                footprint,
                base: image,
                pre,
            };
            let base = empty.evaluate(evaluation)?;
            let pre = empty.link(&base).map_err(broken)?;
            Ok(Arc::new(Self { base, pre, ..empty }))
        });
        made.await.map_err(|error| broken(error.into()))?
    }

    pub(super) fn component(&self) -> Component {
        self.skeleton.clone()
    }

    /// Evaluates a script on this thread, which must not be one of the async workers.
    pub(super) fn evaluate(&self, evaluation: Evaluation) -> Result<Image, LoadError> {
        evaluation.run(&self.pre, &self.base)
    }

    /// Returns the image in which the engine and the API exist, with its instances.
    pub(super) fn base(&self) -> (&Image, &InstancePre<State>) {
        (&self.base, &self.pre)
    }

    /// Links the skeleton with an image.
    pub(super) fn link(&self, image: &Image) -> wasmtime::Result<InstancePre<State>> {
        link(&self.engine, &self.linker, &self.skeleton, image)
    }

    /// Returns what an instance with an image begins with.
    pub(super) fn footprint(&self, image: &Image) -> Footprint {
        self.footprint.with_memory(image.size())
    }
}

/// Gets the native code of the skeleton: from the cache, or by compiling it.
async fn native(compilation: &Compilation, wasm: Vec<u8>) -> Result<Component, LoadError> {
    let key = compilation.key_of_part(ContentHash::of(&wasm));
    match compilation.kept(&key).await {
        Some(kept) => Ok(kept.code),
        None => {
            let wasm = Bytes::from(wasm);
            compilation.compile(None, key, wasm, false).await
        }
    }
}

/// Returns the text of the module that translates TypeScript. The runner carries it in a section of its own, so that it
/// is in no image of the memory but that of the translator.
pub(super) fn translator() -> Option<&'static str> {
    let sections = Parser::new(0).parse_all(RUNNER);
    let found = sections
        .filter_map(Result::ok)
        .find_map(|payload| match payload {
            Payload::CustomSection(section) if section.name() == TRANSLATOR => Some(section.data()),
            _ => None,
        });
    found.and_then(|text| str::from_utf8(text).ok())
}

/// Makes a component of the runner's core module.
fn encode() -> Result<Vec<u8>, Unexpected> {
    let encode = || {
        ComponentEncoder::default()
            .validate(false)
            .module(RUNNER)?
            .encode()
    };
    encode().map_err(|error| Unexpected::new(format_args!("{error:#}")))
}

fn link(
    engine: &Engine,
    linker: &Linker<State>,
    skeleton: &Component,
    image: &Image,
) -> wasmtime::Result<InstancePre<State>> {
    let module = Module::new(engine, image.encode())?;
    module.initialize_copy_on_write_image()?;
    let mut linker = linker.clone();
    linker.root().module(IMAGE_MODULE, &module)?;
    linker.instantiate_pre(skeleton)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i14_1_the_runner_can_be_taken_apart() {
        let component = encode().unwrap();
        let parts = split(&component).unwrap();
        assert!(parts.image.globals.iter().any(|(ty, _)| ty.mutable));
        assert!(translator().unwrap().contains("translate"));
        wasmparser::Validator::new()
            .validate_all(&parts.skeleton)
            .unwrap();
        wasmparser::Validator::new()
            .validate_all(&parts.image.encode())
            .unwrap();
    }
}
