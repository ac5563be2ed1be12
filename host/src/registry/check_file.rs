//! One file on its way to become a handler: what a call of it may use, its content, and, for whoever asks about a single file,
//! whether it would be served.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::folder::{self, Found};
use super::table::bare;
use crate::config::Config;
use crate::runtime::{Candidate, ContentHash, Handler, HandlerSettings, Runtime};

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
) -> Result<Handler, String> {
    let candidate = Candidate {
        name: name.into(),
        hash: ContentHash::of(&wasm),
        wasm,
        settings,
    };
    let loaded = runtime.load(candidate, None).await;
    loaded.map_err(|error| error.to_string())
}

/// Returns the settings of a file: the defaults, over them its sidecar, over it its section of the settings file.
pub(super) async fn settings(config: &Config, found: &Found) -> Result<HandlerSettings, String> {
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
    config
        .handler_settings(bare(&found.name), sidecar)
        .map_err(|error| error.to_string())
}

/// The content of a file.
pub(super) async fn read(path: PathBuf) -> Result<Bytes, String> {
    let read = tokio::task::spawn_blocking(move || folder::read(&path)).await;
    let bytes = read.map_err(|error| error.to_string())?;
    bytes.map(Bytes::from).map_err(|error| error.to_string())
}
