//! One file on its way to become a handler: what a call of it may use, its content, and, for whoever asks about a single file,
//! whether it would be served.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Semaphore;

use super::folder::{self, Found};
use super::table::bare;
use crate::config::Config;
use crate::runtime::{Candidate, ContentHash, Handler, Limits, Runtime};

/// What is known of a file that was looked at by itself.
pub struct CheckedFile {
    /// The name it has, or would have, in the handlers folder.
    pub name: String,
    /// Its content, if it could be read.
    pub content: Option<Bytes>,
    /// The handler, or the sentence with which it would be refused.
    pub verdict: Result<Handler, String>,
}

/// Looks at a file as a pass does, wherever it lies. What other files serve is left out of account.
///
/// # Errors
/// The file is not there, or is none.
pub async fn check_file(
    runtime: &Runtime,
    config: &Config,
    path: &Path,
) -> Result<CheckedFile, std::io::Error> {
    let found = folder::found(path, &config.handlers.dir)?;
    let content = read(found.path.clone()).await;
    let (content, verdict) = match (content, limits(config, &found).await) {
        (Ok(content), Ok(limits)) => {
            let loaded = load(runtime, &found.name, content.clone(), limits).await;
            (Some(content), loaded)
        }
        (content, Err(cause)) => (content.ok(), Err(cause)),
        (Err(cause), Ok(_)) => (None, Err(cause)),
    };
    Ok(CheckedFile {
        name: found.name,
        content,
        verdict,
    })
}

async fn load(
    runtime: &Runtime,
    name: &str,
    wasm: Bytes,
    limits: Limits,
) -> Result<Handler, String> {
    let candidate = Candidate {
        name: name.into(),
        hash: ContentHash::of(&wasm),
        wasm,
        generation: 1,
        permits: Arc::new(Semaphore::new(limits.concurrency)),
        calls: Arc::default(),
        limits,
    };
    let loaded = runtime.load(candidate, None).await;
    loaded.map_err(|error| error.to_string())
}

/// What a call of a file may use, by its sidecar and the settings.
pub(super) async fn limits(config: &Config, found: &Found) -> Result<Limits, String> {
    let path = found.sidecar_path();
    let text = match found.sidecar {
        Some(_) => {
            let path = path.clone();
            let read = tokio::task::spawn_blocking(move || folder::read_sidecar(&path)).await;
            Some(read.map_err(|error| error.to_string())??)
        }
        None => None,
    };
    let sidecar = text.as_deref().map(|text| (path.as_path(), text));
    let own = config
        .handler_limits(bare(&found.name), sidecar)
        .map_err(|error| error.to_string())?;
    Ok(Limits {
        memory: own.memory,
        deadline: own.deadline,
        cpu: own.cpu,
        concurrency: own.concurrency,
        emits: u32::try_from(own.emits_per_call).unwrap_or(u32::MAX),
        emit_bytes: own.emit_bytes_per_call,
        dispatches: u32::try_from(own.dispatches_per_call).unwrap_or(u32::MAX),
        payload: config.server.body_limit,
        answer: config.server.answer_limit,
    })
}

/// The content of a file.
pub(super) async fn read(path: PathBuf) -> Result<Bytes, String> {
    let read = tokio::task::spawn_blocking(move || folder::read(&path)).await;
    let bytes = read.map_err(|error| error.to_string())?;
    bytes.map(Bytes::from).map_err(|error| error.to_string())
}
