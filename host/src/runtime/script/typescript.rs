//! From TypeScript to JavaScript. The translator is written in JavaScript, and runs in the runner too: it is another
//! image of its memory, which is made when it is first needed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre};

use super::evaluate::{LoadContext, memory};
use super::runner::{Runner, broken, translator};
use super::text::{MAX_ERROR, cut};
use crate::lock::lock;
use crate::runtime::content_hash::ContentHash;
use crate::runtime::error::CallError;
use crate::runtime::instance::state::State;
use crate::runtime::script_error::TextError;

/// The export of the runner that translates.
const TRANSLATE: &str = "translate";

/// Largest size of all translations that are kept, in bytes.
const MAX_KEPT: usize = 16 << 20;

/// Translates the files of scripts.
#[derive(Default)]
pub(super) struct Translator {
    /// Instances in which the translator is loaded.
    pre: Mutex<Option<InstancePre<State>>>,
    /// What was translated, so that of a handler with many files only those are translated again that have changed.
    translated: Mutex<Translated>,
}

#[derive(Default)]
struct Translated {
    texts: HashMap<(Arc<str>, ContentHash), Arc<str>>,
    size: usize,
}

impl Translated {
    fn keep(&mut self, key: (Arc<str>, ContentHash), text: &Arc<str>) {
        self.size += text.len();
        if self.size > MAX_KEPT {
            *self = Self::default();
            self.size = text.len();
        }
        self.texts.insert(key, Arc::clone(text));
    }
}

impl Translator {
    /// Returns the JavaScript of a file, whose lines are those of the file. It runs on this thread, which must not be
    /// one of the async workers.
    pub(super) fn translate(
        &self,
        runner: &Runner,
        context: &LoadContext,
        name: &str,
        text: &str,
    ) -> Result<Arc<str>, TextError> {
        let key = (Arc::from(name), ContentHash::of(text.as_bytes()));
        if let Some(known) = lock(&self.translated).texts.get(&key) {
            return Ok(Arc::clone(known));
        }
        let pre = self.loaded(runner, context)?;
        let body = async |store: &mut Store<State>, linked: &Instance| {
            translate(store, linked, name, text).await
        };
        let translated = context.run(&pre, body).map_err(failed)?;
        let translated = translated
            .map_err(|error| TextError::TypeScript(cut(error, MAX_ERROR)))?
            .into();
        lock(&self.translated).keep(key, &translated);
        Ok(translated)
    }

    /// Returns the instances in which the translator is loaded.
    fn loaded(
        &self,
        runner: &Runner,
        context: &LoadContext,
    ) -> Result<InstancePre<State>, TextError> {
        // One file loads the translator, and others wait for it.
        let mut loaded = lock(&self.pre);
        if let Some(pre) = &*loaded {
            return Ok(pre.clone());
        }
        let (base, pre) = runner.base();
        let text = translator().unwrap_or_default();
        let body = async |store: &mut Store<State>, linked: &Instance| {
            let nothing = translate(store, linked, "", text).await?;
            nothing.map_err(wasmtime::Error::msg)?;
            memory(store, linked, base).await
        };
        let image = context.run(pre, body).map_err(failed)?;
        let pre = runner.link(&image);
        let pre = pre.map_err(|error| TextError::TranslatorBusy(broken(error).to_string()))?;
        Ok(loaded.insert(pre).clone())
    }
}

fn failed(error: CallError) -> TextError {
    use CallError::{Host, NoInstance, NoMemory, Overloaded};
    match error {
        NoInstance(_) | NoMemory | Overloaded | Host(_) => {
            TextError::TranslatorBusy(error.to_string())
        }
        _ => TextError::Translator(error.to_string()),
    }
}

/// Calls the translator. The inner error is for the author of the file.
async fn translate(
    store: &mut Store<State>,
    linked: &Instance,
    name: &str,
    text: &str,
) -> wasmtime::Result<Result<String, String>> {
    type Answer = (Result<String, String>,);
    let translate = linked.get_typed_func::<(&str, &str), Answer>(&mut *store, TRANSLATE)?;
    let (translated,) = translate.call_async(&mut *store, (name, text)).await?;
    Ok(translated)
}
