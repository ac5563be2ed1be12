//! Handlers in JavaScript.
//!
//! A script runs in the runner, a component with a JavaScript engine and the API of handlers (`host/js/runner`).
//! Its code is compiled once for the server. A script is a memory image of the runner: the memory after the runner
//! has evaluated the script. Loading a script therefore compiles nothing of it, and each call begins with a script that
//! has been evaluated already.

mod bundle;
mod evaluate;
mod image;
mod imports;
mod indices;
mod modules;
mod packages;
mod parts;
mod runner;
mod skeleton;
mod sources;
mod text;
mod typescript;

use std::num::NonZero;
use std::sync::{Arc, Mutex};
use std::thread::available_parallelism;
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::{OnceCell, Semaphore};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use self::bundle::{bundle_path, is_bundle, write_bundle};
use self::evaluate::{Evaluation, LoadContext};
pub(super) use self::image::REWIND;
pub use self::modules::{ImportedFile, Modules};
use self::packages::packages_of;
pub use self::packages::{instead_of, packages};
use self::runner::Runner;
pub(super) use self::runner::Shared;
use self::sources::Sources;
pub use self::text::MAX_SCRIPT;
use self::text::Translate;
use self::typescript::Translator;
use super::bundler::{BundleError, BundleSource, Bundled, BundlerBackend};
use super::code::{Code, CodeOrigin};
use super::content_hash::ContentHash;
use super::error::LoadError;
use super::script_error::ScriptError;
use super::settings::HandlerSettings;
use crate::lock::lock;

/// Memory in which one file is translated, in bytes.
const TRANSLATOR_MEMORY: usize = 256 << 20;

/// A script that is to be loaded.
pub(super) struct Source<'a> {
    /// The path of the file below the folder of handlers.
    pub(super) name: &'a Arc<str>,
    pub(super) content: Bytes,
    /// The files that it may import.
    pub(super) modules: Modules,
    pub(super) hash: ContentHash,
    pub(super) settings: &'a HandlerSettings,
}

/// Loads scripts, and owns the runner, whose code is got when it is first needed.
pub(super) struct Scripts {
    shared: Arc<Shared>,
    runner: Arc<OnceCell<Arc<Runner>>>,
    translator: Arc<Translator>,
    /// Scripts that are evaluated at the same time: as many as there are cores, because an evaluation only computes.
    turns: Semaphore,
    preparation: Mutex<Option<Preparation>>,
}

/// The task that prepares the runner in the background.
struct Preparation {
    task: JoinHandle<()>,
    /// Cancelled when the task has ended.
    ended: CancellationToken,
}

impl Drop for Preparation {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Scripts {
    pub(super) fn new(shared: Shared) -> Self {
        Self {
            shared: Arc::new(shared),
            runner: Arc::default(),
            translator: Arc::default(),
            turns: Semaphore::new(available_parallelism().map_or(1, NonZero::get)),
            preparation: Mutex::default(),
        }
    }

    /// Begins to prepare the runner, unless it is there or being prepared.
    pub(super) fn prepare(&self) {
        let mut preparation = lock(&self.preparation);
        let runs = |one: &Preparation| !one.ended.is_cancelled();
        if self.is_ready() || preparation.as_ref().is_some_and(runs) {
            return;
        }
        let (shared, cell) = (Arc::clone(&self.shared), Arc::clone(&self.runner));
        let ended = CancellationToken::new();
        let end = ended.clone().drop_guard();
        let task = tokio::spawn(async move {
            let _end = end;
            // The script that needs the runner tries again, and reports what is wrong.
            let _ = runner(&shared, &cell).await;
        });
        *preparation = Some(Preparation { task, ended });
    }

    /// Returns true if the runner is there.
    pub(super) fn is_ready(&self) -> bool {
        self.runner.initialized()
    }

    /// Waits until the preparation that was begun is over.
    pub(super) async fn prepared(&self) {
        let ended = lock(&self.preparation)
            .as_ref()
            .map(|one| one.ended.clone());
        if let Some(ended) = ended {
            ended.cancelled().await;
        }
    }

    /// Evaluates a script, and returns the code of its instances.
    pub(super) async fn load(&self, source: Source<'_>) -> Result<Code, LoadError> {
        let runner = runner(&self.shared, &self.runner).await?;
        let lack = self.bundle(&source).await?;
        // The semaphore is never closed. The clock of the evaluation begins after the wait.
        let _turn = self.turns.acquire().await;
        let began = Instant::now();
        let services = Arc::clone(&self.shared.services);
        let translator = Arc::clone(&self.translator);
        let Source {
            name,
            content,
            modules,
            hash,
            settings,
        } = source;
        let (name, settings) = (Arc::clone(name), settings.clone());
        let work = tokio::task::spawn_blocking(move || {
            let mut context = LoadContext {
                name,
                settings: settings.clone(),
                services: Arc::clone(&services),
                source_map: None,
            };
            let translate = translation(&runner, translator, &context);
            let content = content.into();
            let sources = Sources::of(&context.name, content, modules, translate, lack)?;
            let (size, source_map) = (sources.size(), sources.source_map().cloned());
            context.source_map.clone_from(&source_map);
            let image = runner.evaluate(Evaluation { context, sources })?;
            let footprint = runner.footprint(&image);
            footprint.check(&settings, &services.budget)?;
            let pre = runner.link(&image).map_err(runner::broken)?;
            Ok(Code {
                hash,
                component: runner.component(),
                pre,
                footprint,
                size,
                origin: CodeOrigin::Evaluated,
                can_rewind: image.can_rewind(),
                compile_time: began.elapsed(),
                adapted: None,
                source_map,
            })
        });
        work.await
            .map_err(|error| LoadError::Compiler(error.to_string()))?
    }

    /// Makes the bundle of a script that imports packages, if there is a bundler. Returns why there is nothing to make
    /// it with.
    async fn bundle(&self, source: &Source<'_>) -> Result<Option<BundleError>, LoadError> {
        let backends = &self.shared.services.backends;
        let Some(BundlerBackend(bundler)) = backends.get::<BundlerBackend>() else {
            return Ok(None);
        };
        let (modules, name, content) = (&source.modules, source.name, &source.content);
        let (record, script, text) = (modules.clone(), Arc::clone(name), content.clone());
        let looked = tokio::task::spawn_blocking(move || {
            let root = record.root()?;
            packages_of(&record, root, &script, &text)
        });
        let looked = looked.await;
        let packages = looked.map_err(|error| LoadError::Compiler(error.to_string()))?;
        let is_wanted = |script: &BundleSource| {
            let mut packages = script.packages.iter();
            packages.all(|one| instead_of(one).is_none())
        };
        let Some(script) = packages.filter(is_wanted) else {
            return Ok(None);
        };
        let Bundled { made, read } = bundler.bundle(&script).await;
        read.into_iter()
            .for_each(|path| modules.note_elsewhere(path));
        match made {
            Ok(()) => Ok(None),
            Err(error) if error.is_for_lack_of_tools() => Ok(Some(error)),
            Err(error) => Err(ScriptError::from(error).into()),
        }
    }
}

/// Returns the runner, whose code is got if it is not there.
async fn runner(shared: &Shared, cell: &OnceCell<Arc<Runner>>) -> Result<Arc<Runner>, LoadError> {
    let made = cell.get_or_try_init(|| Runner::new(shared)).await;
    // The script is not at fault.
    made.cloned().map_err(runner::not_prepared)
}

/// Returns the translation of the files of one script, which the runner does in instances of its own.
fn translation(
    runner: &Arc<Runner>,
    translator: Arc<Translator>,
    context: &LoadContext,
) -> Box<Translate> {
    let runner = Arc::clone(runner);
    let context = LoadContext {
        settings: HandlerSettings::computing(TRANSLATOR_MEMORY),
        ..context.clone()
    };
    Box::new(move |name, text| translator.translate(&runner, &context, name, text))
}
