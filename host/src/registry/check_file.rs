//! One file on its way to become a handler: its settings, its content, and, for `hitchy inspect`, the check of a single
//! file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::folder::{self, Found};
use super::refusal::FileRefusal;
use crate::config::{Config, Source, nearest};
use crate::names::bare;
use crate::runtime::{
    CallError, Candidate, ContentHash, Handler, HandlerSettings, Life, LoadError, Modules, Runtime,
    Serve,
};

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
            let modules = modules(config, &found);
            let loaded = load(runtime, &found.name, content.clone(), settings, modules).await;
            let verdict = match loaded {
                Ok(handler) => Ok(handler),
                Err(error) => Err(refusal(config, &found, error).await),
            };
            (Some(content), verdict)
        }
        (content, Err(cause)) => (content.ok(), Err(cause)),
        (Err(cause), Ok(_)) => (None, Err(cause)),
    };
    runtime.finish_storing().await;
    Ok(CheckedFile {
        name: found.name,
        content,
        verdict,
    })
}

/// Returns the files that a script may import: those of the handlers folder, or those beside a file that lies
/// elsewhere.
fn modules(config: &Config, found: &Found) -> Modules {
    let names = Path::new(&found.name).components().count();
    let folder = found.path.ancestors().nth(names);
    Modules::below(folder.unwrap_or(&config.handlers.dir))
}

async fn load(
    runtime: &Runtime,
    name: &str,
    wasm: Bytes,
    settings: HandlerSettings,
    modules: Modules,
) -> Result<Handler, LoadError> {
    let candidate = Candidate {
        name: name.into(),
        hash: ContentHash::of(&wasm),
        wasm,
        settings,
        modules,
    };
    let mut handler = runtime.load(candidate, None).await?;
    warn_of_settings(&mut handler);
    Ok(handler)
}

/// Adds warnings about settings of a handler that fit nothing that it declares, or no other setting.
pub(super) fn warn_of_settings(handler: &mut Handler) {
    let settings = Arc::clone(&handler.settings);
    if settings.serve != Serve::Cgi && !settings.events.is_empty() {
        let warning = "the settings name `events`, which only a command has, with `serve = \"cgi\"`; remove them";
        handler.declarations.warnings.push(warning.to_owned());
    }
    warn_of_life(handler, &settings);
    for name in settings.schedules.keys() {
        let declared = handler.declarations.schedules.iter();
        let mut declared = declared.map(|schedule| schedule.name.clone());
        if declared.clone().any(|known| known == *name) {
            continue;
        }
        let hint = match nearest(name, &mut declared) {
            Some(nearest) => format!("did you mean {nearest}?"),
            None => "remove it from the settings".to_owned(),
        };
        handler.declarations.warnings.push(format!(
            "the settings name the schedule {name:?}, which the file does not declare; {hint}"
        ));
    }
}

/// Adds warnings about settings of instances that have no effect.
fn warn_of_life(handler: &mut Handler, settings: &HandlerSettings) {
    let life = settings.instances;
    let mut warn = |sentence: String| handler.declarations.warnings.push(sentence);
    if settings.max_instances.is_some() && life != Life::Shared {
        warn(format!(
            "max-instances is for `instances = \"shared\"` and has no effect with \"{life}\"; remove it, or set instances = \"shared\""
        ));
    }
    if settings.max_calls.is_some() && life == Life::Call {
        warn("max-calls is for instances that live longer than a call and has no effect; remove it, or set instances".to_owned());
    }
    let declared = &handler.declarations;
    if life == Life::Socket && declared.listeners.is_empty() && declared.connections.is_empty() {
        let sentence = "`instances = \"socket\"` is for events and connection hooks, and the file declares none: each of its calls has a fresh \
                        instance; remove it, or set instances = \"shared\"";
        handler.declarations.warnings.push(sentence.to_owned());
    }
}

/// Returns the settings of a file: the defaults, over them its sidecar, over it its section of the settings file.
/// Secrets have their values.
pub(super) async fn settings(
    config: &Config,
    found: &Found,
) -> Result<HandlerSettings, FileRefusal> {
    let (path, text) = sidecar(found).await?;
    let sidecar = text.as_deref().map(|text| (path.as_path(), text));
    let settings = config.handler_settings(bare(&found.name), sidecar)?;
    if settings.secrets.is_empty() {
        return Ok(settings);
    }
    let (environment, named) = (config.environment(), settings.secrets.clone());
    let read = tokio::task::spawn_blocking(move || environment.read_secrets(&named)).await;
    Ok(HandlerSettings {
        secrets: read??,
        ..settings
    })
}

/// Reads the text of a file's sidecar, if it has one.
async fn sidecar(found: &Found) -> Result<(PathBuf, Option<String>), FileRefusal> {
    let path = found.sidecar_path();
    if found.sidecar.is_none() {
        return Ok((path, None));
    }
    let read = path.clone();
    let text = tokio::task::spawn_blocking(move || folder::read_sidecar(&read)).await;
    Ok((path, Some(text??)))
}

/// Makes a refusal of an error while a file was loaded. If a setting is the cause, the refusal names its place.
pub(super) async fn refusal(config: &Config, found: &Found, error: LoadError) -> FileRefusal {
    match error {
        LoadError::InitialMemory { .. }
        | LoadError::Describe(CallError::OutOfMemory { .. })
        | LoadError::Evaluate(CallError::OutOfMemory { .. }) => {
            let remedy = memory_remedy(config, found).await;
            FileRefusal::Memory { error, remedy }
        }
        error => FileRefusal::Load(error),
    }
}

/// Says where the limit on the memory of a handler is raised: where it is set, and otherwise beside the handler.
async fn memory_remedy(config: &Config, found: &Found) -> String {
    let (path, text) = sidecar(found).await.unwrap_or_default();
    let sidecar = text.as_deref().map(|text| (path.as_path(), text));
    let name = bare(&found.name);
    let source = config
        .handler_source(name, sidecar, "memory")
        .ok()
        .flatten();
    let beside = format!("raise `memory` in {name}.toml");
    match source {
        Some((Source::File(file), _)) if file == path => beside,
        Some((from @ (Source::File(_) | Source::Variable(_) | Source::Flag(_)), key)) => {
            // A section for the handler has precedence over the file beside it.
            let is_for_all = key == "limits.memory";
            let place = match from {
                Source::File(file) => format!("{key} in {}", file.display()),
                other => other.to_string(),
            };
            if is_for_all {
                format!("{beside}, or {place} for all handlers")
            } else {
                format!("raise {place}")
            }
        }
        _ => beside,
    }
}

/// Reads the content of a file.
pub(super) async fn read(path: PathBuf) -> Result<Bytes, FileRefusal> {
    let read = tokio::task::spawn_blocking(move || folder::read(&path)).await;
    Ok(Bytes::from(read??))
}
