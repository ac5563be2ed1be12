//! The files of one reload on their way to handlers, side by side.
//!
//! Two steps of a file take long, and run beside those of other files: reading it with its settings, and loading it.
//! What is known of files is asked and changed between the steps only, by one task.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::thread::available_parallelism;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};

use super::check_file::{read, refusal, settings, warn_of_settings};
use super::files::{Files, Verdict};
use super::folder::Found;
use super::refusal::FileRefusal;
use super::served::Served;
use crate::config::Config;
use crate::runtime::{
    Candidate, ContentHash, Handler, HandlerSettings, ImportedFile, Modules, Runtime,
};

/// Most files that are checked at the same time.
const MAX_WIDTH: usize = 32;
/// Most bytes of files that are checked at the same time, each in memory as a whole. A larger file is checked alone.
const MAX_BYTES: u64 = 256 << 20;

/// The checks of one reload.
pub(super) struct Checks<'a> {
    runtime: &'a Arc<Runtime>,
    config: &'a Config,
    waiting: VecDeque<Found>,
    running: FuturesUnordered<BoxFuture<'a, Step>>,
    width: usize,
    /// Size of the files that are running or held, as they were found.
    bytes: u64,
    /// Contents that are being loaded.
    loading: HashSet<ContentHash>,
    /// Files that wait for another one of the same content, so that equal files are compiled once.
    held: Vec<(Found, Content)>,
    /// Handlers of this reload, by content.
    loaded: HashMap<ContentHash, Arc<Served>>,
}

/// A step that has ended.
enum Step {
    Read(Found, Result<Content, FileRefusal>),
    Loaded(Found, Checked, Box<Loaded>),
}

/// The result of loading a file, and the files that it imports or has looked for.
type Loaded = (Result<Handler, FileRefusal>, Vec<ImportedFile>);

/// A file that was read.
struct Content {
    wasm: Bytes,
    hash: ContentHash,
    settings: HandlerSettings,
}

/// The content and the settings with which a file was loaded.
type Checked = (ContentHash, HandlerSettings);

impl<'a> Checks<'a> {
    pub(super) fn new(runtime: &'a Arc<Runtime>, config: &'a Config, found: Vec<Found>) -> Self {
        let cores = available_parallelism().map_or(1, |cores| cores.get());
        Self {
            runtime,
            config,
            waiting: found.into(),
            running: FuturesUnordered::new(),
            // While some are compiled, others are read and described.
            width: (cores * 2).clamp(4, MAX_WIDTH),
            bytes: 0,
            loading: HashSet::new(),
            held: Vec::new(),
            loaded: HashMap::new(),
        }
    }

    /// Returns the next file that is done, in no order. Returns `None` when all are.
    pub(super) async fn next(&mut self, files: &mut Files) -> Option<(String, Verdict)> {
        loop {
            self.read_next();
            let (found, verdict) = match self.running.next().await? {
                Step::Read(found, content) => match self.load_or_hold(found, content, files) {
                    Some(done) => done,
                    None => continue,
                },
                Step::Loaded(found, checked, loaded) => {
                    let hash = checked.0;
                    let verdict = conclude(&found, checked, *loaded, files);
                    self.release(hash, &verdict, files);
                    (found, verdict)
                }
            };
            self.bytes = self.bytes.saturating_sub(found.stamp.size());
            return Some((found.name, verdict));
        }
    }

    /// Begins to read as many files as there is room for.
    fn read_next(&mut self) {
        while let Some(found) = self.waiting.front() {
            let size = found.stamp.size();
            let is_full = self.running.len() >= self.width
                || (self.bytes > 0 && self.bytes + size > MAX_BYTES);
            if is_full {
                return;
            }
            self.bytes += size;
            if let Some(found) = self.waiting.pop_front() {
                self.running.push(read_step(self.config, found).boxed());
            }
        }
    }

    /// Begins to load a file that was read, unless its verdict is there already or another file of the same content is
    /// being loaded.
    fn load_or_hold(
        &mut self,
        found: Found,
        content: Result<Content, FileRefusal>,
        files: &mut Files,
    ) -> Option<(Found, Verdict)> {
        let content = match content {
            Ok(content) => content,
            Err(refusal) => {
                files.remember(&found, None, refusal.is_transient());
                return Some((found, Verdict::Refused(refusal)));
            }
        };
        if files.is_known(&found, content.hash, &content.settings) {
            return Some((found, Verdict::Unchanged));
        }
        if self.loading.contains(&content.hash) {
            self.held.push((found, content));
        } else {
            self.load(found, content, files);
        }
        None
    }

    /// Begins to load a file.
    fn load(&mut self, found: Found, content: Content, files: &Files) {
        let loaded = self.loaded.get(&content.hash).cloned();
        let known = loaded.or_else(|| files.with_content(content.hash));
        self.loading.insert(content.hash);
        let step = load_step(Arc::clone(self.runtime), self.config, found, content, known);
        self.running.push(step.boxed());
    }

    /// Goes on with the files that waited for one of the same content. If that was refused, each is loaded by itself.
    fn release(&mut self, hash: ContentHash, verdict: &Verdict, files: &Files) {
        if let Verdict::Loaded(handler) = verdict {
            self.loaded.insert(hash, Arc::clone(handler));
        }
        self.loading.remove(&hash);
        let held = std::mem::take(&mut self.held).into_iter();
        let (free, held) = held.partition::<Vec<_>, _>(|(_, content)| content.hash == hash);
        self.held = held;
        for (found, content) in free {
            self.load(found, content, files);
        }
    }
}

/// Reads a file and its settings.
async fn read_step(config: &Config, found: Found) -> Step {
    let content = async {
        let settings = settings(config, &found).await?;
        let wasm = read(found.path.clone()).await?;
        let hashed = wasm.clone();
        let hash = tokio::task::spawn_blocking(move || ContentHash::of(&hashed)).await?;
        Ok(Content {
            wasm,
            hash,
            settings,
        })
    };
    let content = content.await;
    Step::Read(found, content)
}

/// Loads a file that was read. `known` is a handler of the same content.
async fn load_step(
    runtime: Arc<Runtime>,
    config: &Config,
    found: Found,
    content: Content,
    known: Option<Arc<Served>>,
) -> Step {
    let checked = (content.hash, content.settings.clone());
    let candidate = Candidate {
        name: found.name.as_str().into(),
        wasm: content.wasm,
        hash: content.hash,
        settings: content.settings,
        modules: Modules::below(&config.handlers.dir),
    };
    let known = known.as_deref().map(|known| &**known);
    let modules = candidate.modules.clone();
    let loaded = match runtime.load(candidate, known).await {
        Ok(handler) => Ok(handler),
        Err(error) => Err(refusal(config, &found, error).await),
    };
    Step::Loaded(found, checked, Box::new((loaded, modules.seen())))
}

/// Notes how a file was loaded, and returns the verdict.
fn conclude(
    found: &Found,
    checked: Checked,
    (loaded, imports): Loaded,
    files: &mut Files,
) -> Verdict {
    let concurrency = checked.1.parallel_calls();
    let verdict = match loaded {
        Ok(mut handler) => {
            warn_of_settings(&mut handler);
            files.remember(found, Some(checked), false);
            let (generation, permits, calls) = files.history(&found.name, concurrency);
            let served = Served::new(handler, generation, permits, calls);
            Verdict::Loaded(Arc::new(served))
        }
        Err(refusal) => {
            files.remember(found, Some(checked), refusal.is_transient());
            Verdict::Refused(refusal)
        }
    };
    files.remember_imports(&found.name, imports);
    verdict
}
