//! The files of one reload on their way to handlers, side by side.
//!
//! Two steps of a file take long, and run beside those of other files: reading it with its settings, and loading it. What
//! is known of files is asked and changed between the steps only, by one task.

use std::sync::Arc;
use std::thread::available_parallelism;
use std::vec::IntoIter;

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
use crate::runtime::{Candidate, ContentHash, Handler, HandlerSettings, Runtime};

/// Most files that are checked at the same time. Each is in memory as a whole, up to the largest size of a file.
const MAX_WIDTH: usize = 32;

/// The checks of one reload.
pub(super) struct Checks<'a> {
    runtime: &'a Arc<Runtime>,
    config: &'a Config,
    waiting: IntoIter<Found>,
    running: FuturesUnordered<BoxFuture<'a, Step>>,
    width: usize,
}

/// A step that has ended.
enum Step {
    Read(Found, Result<Content, FileRefusal>),
    Loaded(Found, Checked, Box<Result<Handler, FileRefusal>>),
}

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
            waiting: found.into_iter(),
            running: FuturesUnordered::new(),
            // While some are compiled, others are read and described.
            width: (cores * 2).clamp(4, MAX_WIDTH),
        }
    }

    /// Returns the next file that is done, in no order. Returns `None` when all are.
    pub(super) async fn next(&mut self, files: &mut Files) -> Option<(String, Verdict)> {
        loop {
            let free = self.width.saturating_sub(self.running.len());
            for found in self.waiting.by_ref().take(free) {
                self.running.push(read_step(self.config, found).boxed());
            }
            let done = match self.running.next().await? {
                Step::Read(found, content) => self.go_on(found, content, files),
                Step::Loaded(found, checked, loaded) => {
                    let verdict = conclude(&found, checked, *loaded, files);
                    Some((found.name, verdict))
                }
            };
            if done.is_some() {
                return done;
            }
        }
    }

    /// Begins to load a file that was read, unless its verdict is there already.
    fn go_on(
        &mut self,
        found: Found,
        content: Result<Content, FileRefusal>,
        files: &mut Files,
    ) -> Option<(String, Verdict)> {
        let content = match content {
            Ok(content) => content,
            Err(refusal) => {
                files.remember(&found, None, refusal.is_transient());
                return Some((found.name, Verdict::Refused(refusal)));
            }
        };
        if files.is_known(&found, content.hash, &content.settings) {
            return Some((found.name, Verdict::Unchanged));
        }
        let known = files.with_content(content.hash);
        let step = load_step(Arc::clone(self.runtime), self.config, found, content, known);
        self.running.push(step.boxed());
        None
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
    };
    let known = known.as_deref().map(|known| &**known);
    let loaded = match runtime.load(candidate, known).await {
        Ok(handler) => Ok(handler),
        Err(error) => Err(refusal(config, &found, error).await),
    };
    Step::Loaded(found, checked, Box::new(loaded))
}

/// Notes how a file was loaded, and returns the verdict.
fn conclude(
    found: &Found,
    checked: Checked,
    loaded: Result<Handler, FileRefusal>,
    files: &mut Files,
) -> Verdict {
    let concurrency = checked.1.parallel_calls();
    match loaded {
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
    }
}
