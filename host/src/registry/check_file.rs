//! One file on its way to become a handler: its settings, its content, and, for `hitchy inspect`, the check of a single
//! file.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::folder::{self, Found};
use super::refusal::FileRefusal;
use super::table::bare;
use crate::config::Config;
use crate::runtime::{Candidate, ContentHash, Handler, HandlerSettings, Runtime};

/// The result of checking a file by itself.
pub struct CheckedFile {
    /// The name that the file has, or would have, in the handlers folder.
    pub name: String,
    /// Its content, if it could be read.
    pub content: Option<Bytes>,
    /// The handler, or why the file would be refused.
    pub verdict: Result<Handler, FileRefusal>,
}

/// Checks a file as a reload does, wherever it lies. The routes of other files are not considered.
///
/// # Errors
/// The file does not exist, or is a folder.
pub async fn check_file(
    runtime: &Runtime,
    config: &Config,
    path: &Path,
) -> Result<CheckedFile, std::io::Error> {
    let found = folder::found(path, &config.handlers.dir)?;
    let content = read(found.path.clone()).await;
    let (content, verdict) = match (content, settings(config, &found).await) {
        (Ok(content), Ok(settings)) => {
            let loaded = load(runtime, &found.name, content.clone(), settings).await;
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
    settings: HandlerSettings,
) -> Result<Handler, FileRefusal> {
    let candidate = Candidate {
        name: name.into(),
        hash: ContentHash::of(&wasm),
        wasm,
        settings,
    };
    Ok(runtime.load(candidate, None).await?)
}

/// Returns the settings of a file: the defaults, over them its sidecar, over it its section of the settings file.
pub(super) async fn settings(
    config: &Config,
    found: &Found,
) -> Result<HandlerSettings, FileRefusal> {
    let path = found.sidecar_path();
    let text = match found.sidecar {
        Some(_) => {
            let path = path.clone();
            let read = tokio::task::spawn_blocking(move || folder::read_sidecar(&path)).await;
            Some(read??)
        }
        None => None,
    };
    let sidecar = text.as_deref().map(|text| (path.as_path(), text));
    Ok(config.handler_settings(bare(&found.name), sidecar)?)
}

/// Reads the content of a file.
pub(super) async fn read(path: PathBuf) -> Result<Bytes, FileRefusal> {
    let read = tokio::task::spawn_blocking(move || folder::read(&path)).await;
    Ok(Bytes::from(read??))
}
