//! Evaluates a script once, and takes an image of the memory that it leaves behind.

use std::sync::Arc;

use tokio::runtime::Handle;
use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre, WasmList};

use super::image::{Image, PEEK};
use super::sources::{Missing, SourceFile, Sources};
use super::text::{MAX_ERROR, cut};
use crate::runtime::call::CallContext;
use crate::runtime::error::{CallError, LoadError};
use crate::runtime::guest::new_call;
use crate::runtime::handler::describing;
use crate::runtime::instance::lease::Lease;
use crate::runtime::instance::state::{Phase, State};
use crate::runtime::instance::store::{Linked, Template};
use crate::runtime::script_error::ScriptError;
use crate::runtime::services::Services;
use crate::runtime::settings::HandlerSettings;
use crate::runtime::source_map::SourceMap;

/// The export of the runner that evaluates a script.
const INIT: &str = "init";

/// Evaluations of one script at most. Another one follows if files were missing whose names are made by the script.
const MAX_ROUNDS: usize = 20;

/// What the instances have that a script is loaded with.
#[derive(Clone)]
pub(super) struct LoadContext {
    /// The path of the script's file below the folder of handlers, for the log.
    pub(super) name: Arc<str>,
    pub(super) settings: HandlerSettings,
    pub(super) services: Arc<Services>,
    /// The places of the script's bundle.
    pub(super) source_map: Option<Arc<SourceMap>>,
}

impl LoadContext {
    /// Runs `body` in an instance of `pre`, under the limits of `describe`. It runs on this thread, which must not be
    /// one of the async workers.
    pub(super) fn run<T>(
        &self,
        pre: &InstancePre<State>,
        body: impl AsyncFnOnce(&mut Store<State>, &Instance) -> wasmtime::Result<T>,
    ) -> Result<T, CallError> {
        let context = CallContext::without_client("load".into());
        let settings = Arc::new(describing(&self.settings));
        let call = new_call(context, Phase::Describe, settings);
        let template = Template {
            name: &self.name,
            pre,
            services: &self.services,
            source_map: self.source_map.as_ref(),
        };
        let body = async |store: &mut Store<State>, linked: &mut Linked| {
            body(store, linked.component()).await
        };
        let mut lease = Lease::fresh();
        Handle::current().block_on(lease.call(template, call, body))
    }
}

/// The evaluation of a script.
pub(super) struct Evaluation {
    pub(super) context: LoadContext,
    pub(super) sources: Sources,
}

impl Evaluation {
    /// Evaluates the script in an instance of `pre`, whose memory is that of `base`. It runs on this thread, which must
    /// not be one of the async workers.
    pub(super) fn run(
        mut self,
        pre: &InstancePre<State>,
        base: &Image,
    ) -> Result<Image, LoadError> {
        let mut rounds = 0;
        loop {
            let texts = self.sources.texts();
            let init = async |store: &mut Store<State>, linked: &Instance| {
                init(store, linked, texts, base).await
            };
            let evaluated = self.context.run(pre, init);
            let Evaluated { missing, result } = evaluated.map_err(LoadError::Evaluate)?;
            rounds += 1;
            if rounds < MAX_ROUNDS && self.sources.add(&missing)? {
                continue;
            }
            let error = match result {
                // A script may do without what it could not import.
                Ok(image) => return Ok(image),
                Err(error) => error,
            };
            let known = self.sources.unanswered_of(&missing, &error);
            let known = known.or_else(|| self.sources.missing_export(&error));
            return Err(known.unwrap_or_else(|| self.failed(&error)).into());
        }
    }
}

impl Evaluation {
    /// Returns what the script did wrong. Places of a bundle become those of its files.
    fn failed(&self, error: &str) -> ScriptError {
        let map = self.context.source_map.as_ref();
        let resolved = map.map(|map| map.resolve(&self.context.name, error));
        ScriptError::Evaluation(resolved.unwrap_or(error.into()).into_owned())
    }
}

/// The result of an evaluation.
struct Evaluated {
    /// Imports without a file.
    missing: Vec<Missing>,
    /// The memory, or what the script did wrong.
    result: Result<Image, String>,
}

/// Calls `init`, and reads the memory.
async fn init(
    store: &mut Store<State>,
    linked: &Instance,
    texts: &[SourceFile],
    base: &Image,
) -> wasmtime::Result<Evaluated> {
    type Files<'a> = (&'a [SourceFile],);
    type Answer = ((Vec<(String, String, String)>, Option<String>),);
    let init = linked.get_typed_func::<Files<'_>, Answer>(&mut *store, INIT)?;
    let ((missing, error),) = init.call_async(&mut *store, (texts,)).await?;
    let missing = missing.into_iter().map(Missing::new).collect();
    let result = match error {
        Some(error) => Err(cut(error, MAX_ERROR)),
        None => Ok(memory(store, linked, base).await?),
    };
    Ok(Evaluated { missing, result })
}

/// Takes an image of the memory of an instance.
pub(super) async fn memory(
    store: &mut Store<State>,
    linked: &Instance,
    base: &Image,
) -> wasmtime::Result<Image> {
    let peek = linked.get_typed_func::<(), (WasmList<u8>,)>(&mut *store, PEEK)?;
    let (memory,) = peek.call_async(&mut *store, ()).await?;
    Ok(base.with_content(memory.as_le_slice(&*store)))
}
