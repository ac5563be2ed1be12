//! The sources of one script: its own text, and the files that it imports.

use wasmtime::component::{ComponentType, Lower};

use super::imports::{exports, imports, resolve};
use super::modules::Modules;
use super::text::{self, MAX_SCRIPT, MAX_SOURCES, Text, Translate, cut};
use crate::names::bare;
use crate::runtime::script_error::{ImportError, ScriptError};

/// Longest name that is compared with others or stands in a sentence, in bytes.
const MAX_NAME: usize = 256;
/// Longest path of an import, in bytes. The system finds no file of a longer one.
const MAX_PATH: usize = 4096;
/// The module of the API as scripts name it, and as the runner does.
const API: &str = "hitchy";
const API_MODULE: &str = "hitchy:api";
/// What it exports.
const API_EXPORTS: [&str; 7] = [
    "app",
    "io",
    "websocket",
    "kv",
    "config",
    "dispatch",
    "Failure",
];
/// Exports that a sentence names at most.
const MAX_LISTED: usize = 10;

/// An import that the engine could not answer.
pub(super) struct Missing {
    /// The path of the file, below the folder of handlers. Empty if none is named.
    path: String,
    importer: String,
    specifier: String,
}

impl Missing {
    pub(super) fn new((path, importer, specifier): (String, String, String)) -> Self {
        Self {
            path: cut(path, MAX_PATH),
            importer,
            specifier: cut(specifier, MAX_NAME),
        }
    }
}

/// A file as the runner gets it.
#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct SourceFile {
    /// Its path below the folder of handlers.
    name: String,
    /// The JavaScript that is evaluated.
    text: String,
    /// The content of the file, if that is something else.
    written: Option<String>,
}

/// The texts, the script's own first. Those without files, with which only the API of handlers is evaluated, are the
/// default.
#[derive(Default)]
pub(super) struct Sources {
    texts: Vec<SourceFile>,
    size: u64,
    modules: Modules,
    /// `None` if there are no files.
    translate: Option<Box<Translate>>,
}

impl Sources {
    /// Takes the content of a script, and reads the files that it and they import literally.
    pub(super) fn of(
        name: &str,
        content: Vec<u8>,
        modules: Modules,
        translate: Box<Translate>,
    ) -> Result<Self, ScriptError> {
        let text = text::of_module(name, content, &*translate)?;
        let mut sources = Self {
            modules,
            translate: Some(translate),
            ..Self::default()
        };
        sources.push(name.to_owned(), text)?;
        let mut next = 0;
        while next < sources.texts.len() {
            sources.read_imports_of(next);
            next += 1;
        }
        Ok(sources)
    }

    pub(super) fn texts(&self) -> &[SourceFile] {
        &self.texts
    }

    /// Returns the size of all texts together, in bytes.
    pub(super) fn size(&self) -> usize {
        self.texts.iter().map(|one| one.text.len()).sum()
    }

    /// Reads the files that the engine has missed. Returns true if one of them was there.
    pub(super) fn add(&mut self, missing: &[Missing]) -> Result<bool, ScriptError> {
        let before = self.texts.len();
        for one in missing {
            if !one.path.is_empty() {
                self.read(&one.path)
                    .map_err(|error| self.explain(one, error))?;
            }
        }
        Ok(self.texts.len() > before)
    }

    /// Says which import could not be answered, if the engine's error says that of one of these.
    pub(super) fn unanswered_of(&self, missing: &[Missing], error: &str) -> Option<ScriptError> {
        // The text of rquickjs, which has no type for it. QuickJS cuts it after 255 bytes.
        let rest = error.split_once("Error resolving module '")?.1;
        let named = rest.split_once('\'').map(|(named, _)| named);
        let is_named = |specifier: &str| {
            named.map_or_else(|| specifier.starts_with(rest), |named| specifier == named)
        };
        let mut missing = missing.iter();
        let one = missing.find(|one| is_named(&one.specifier))?;
        Some(self.unanswered(one))
    }

    /// Says why an import could not be answered.
    fn unanswered(&self, missing: &Missing) -> ScriptError {
        let cause = if !missing.path.is_empty() {
            ImportError::Missing {
                hint: self.hint(missing),
                path: cut(missing.path.clone(), MAX_NAME),
            }
        } else if missing.specifier.starts_with('.') {
            ImportError::Outside
        } else {
            instead_of(&missing.specifier)
        };
        self.refuse(missing, cause)
    }

    /// Says which import asks for an export that is not there, if the engine's error says that of one of the files.
    pub(super) fn missing_export(&self, error: &str) -> Option<ScriptError> {
        // The text of QuickJS, which has no type for it.
        let (_, rest) = error.split_once("Could not find export '")?;
        let (name, rest) = rest.split_once("' in module '")?;
        let (module, _) = rest.split_once('\'')?;
        let is_api = module == API_MODULE;
        let importing = self.texts.iter().find_map(|importer| {
            let all = imports(&importer.text);
            let names_it = |specifier: &str| {
                let path = resolve(&importer.name, specifier);
                path.as_deref() == Some(module) || (is_api && specifier == API)
            };
            let one = all.iter().find(|one| names_it(one.specifier))?;
            Some(format!("{}:{}", importer.name, one.line(&importer.text)))
        });
        let place = importing?;
        let (module, known) = if is_api {
            (API, API_EXPORTS.map(str::to_owned).to_vec())
        } else {
            let imported = self.texts.iter().find(|known| known.name == module)?;
            (module, exports(&imported.text))
        };
        let hint = match nearest(name, &known) {
            Some(nearest) => format!("did you mean {nearest}?"),
            None if known.is_empty() => "it exports nothing".to_owned(),
            None => format!(
                "it exports {}",
                known[..known.len().min(MAX_LISTED)].join(", ")
            ),
        };
        Some(ScriptError::Export {
            place,
            module: module.to_owned(),
            name: cut(name.to_owned(), MAX_NAME),
            hint,
        })
    }

    fn push(&mut self, name: String, text: Text) -> Result<(), ScriptError> {
        let Text { text, written } = text;
        self.size += written.as_ref().unwrap_or(&text).len() as u64;
        if self.size > MAX_SOURCES {
            return Err(ScriptError::AllTooLarge { max: MAX_SOURCES });
        }
        self.texts.push(SourceFile {
            name,
            text,
            written,
        });
        Ok(())
    }

    /// Reads the files that a text imports literally. What only looks like an import, in a comment for example, may
    /// name files that are not there.
    fn read_imports_of(&mut self, index: usize) {
        let SourceFile {
            name: importer,
            text,
            ..
        } = &self.texts[index];
        let wanted = imports(text).into_iter().filter_map(|one| {
            let path = resolve(importer, one.specifier)?;
            Some(Missing::new((
                path,
                importer.clone(),
                one.specifier.to_owned(),
            )))
        });
        for one in wanted.collect::<Vec<_>>() {
            // If the engine asks for a file that cannot be read, it says so.
            let _ = self.read(&one.path);
        }
    }

    /// Reads one file, if it is there and was not read before.
    fn read(&mut self, path: &str) -> Result<(), ReadError> {
        if self.texts.iter().any(|known| known.name == path) {
            return Ok(());
        }
        let Some(content) = self.modules.read(path, MAX_SCRIPT)? else {
            return Ok(());
        };
        if let Some(translate) = &self.translate {
            let text = text::of_module(path, content, translate).map_err(ImportError::Text)?;
            self.push(path.to_owned(), text)?;
        }
        Ok(())
    }

    fn explain(&self, missing: &Missing, error: ReadError) -> ScriptError {
        match error {
            ReadError::Import(cause) => self.refuse(missing, cause),
            ReadError::Size(error) => error,
        }
    }

    fn refuse(&self, missing: &Missing, cause: ImportError) -> ScriptError {
        let importer = &missing.importer;
        let source = self.texts.iter().find(|source| source.name == *importer);
        let line = source.and_then(|source| {
            let all = imports(&source.text);
            let one = all.iter().find(|one| one.specifier == missing.specifier);
            one.map(|one| one.line(&source.text))
        });
        ScriptError::Import {
            place: line.map_or_else(|| importer.clone(), |line| format!("{importer}:{line}")),
            specifier: missing.specifier.clone(),
            cause,
        }
    }

    /// Names the file that was probably meant.
    fn hint(&self, missing: &Missing) -> String {
        let names = self.modules.names();
        let path = &missing.path;
        let ends = [
            ".js",
            ".ts",
            ".mjs",
            ".mts",
            ".json",
            "/index.js",
            "/index.ts",
        ];
        let stem = bare(path);
        let mut complete = ends.into_iter().map(|end| format!("{stem}{end}"));
        let completed = complete.find(|one| names.contains(one));
        match completed.or_else(|| nearest(path, &names)) {
            Some(name) => format!("did you mean {name}?"),
            None => "save it there".to_owned(),
        }
    }
}

/// Reasons why a file is not among the sources.
#[derive(Debug)]
enum ReadError {
    Import(ImportError),
    Size(ScriptError),
}

impl From<ImportError> for ReadError {
    fn from(cause: ImportError) -> Self {
        Self::Import(cause)
    }
}

impl From<ScriptError> for ReadError {
    fn from(error: ScriptError) -> Self {
        Self::Size(error)
    }
}

/// Says what to import instead of a package that is not here.
fn instead_of(package: &str) -> ImportError {
    match package {
        "socket.io" => ImportError::Instead(
            "the server of socket.io is here already: import { io } from \"hitchy\"",
        ),
        "express" | "fastify" | "koa" | "http" | "node:http" => {
            ImportError::Instead("the server is here already: import { app } from \"hitchy\"")
        }
        node if node.starts_with("node:") => ImportError::Instead(
            "the modules of Node are not here; keep data with kv, and call other servers with fetch",
        ),
        _ => ImportError::Package,
    }
}

/// Returns the name that is most similar to what was written, if one is similar. Long names, whose comparison takes
/// long, are similar to none.
fn nearest(written: &str, known: &[String]) -> Option<String> {
    let is_short = |name: &str| name.len() <= MAX_NAME;
    let distances = known
        .iter()
        .filter(|name| is_short(name) && is_short(written))
        .map(|name| (strsim::osa_distance(written, name), name));
    let near = distances.filter(|(distance, _)| *distance <= 1_usize.max(written.len() / 4));
    near.min().map(|(_, name)| name.clone())
}
