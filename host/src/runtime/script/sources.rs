//! The sources of one script: its own text, and the files that it imports.

use std::sync::Arc;

use wasmtime::component::{ComponentType, Lower};

use super::bundle::{Bundle, find};
use super::imports::{exports, imports, resolve};
use super::modules::Modules;
use super::packages::instead_of;
use super::text::{self, MAX_SCRIPT, MAX_SOURCES, Text, Translate, cut};
use crate::names::bare;
use crate::runtime::bundler::BundleError;
use crate::runtime::script_error::{ImportError, ScriptError};
use crate::runtime::source_map::SourceMap;

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
    /// Why the script has no bundle. `None` if the first text is one, or if there are no files.
    no_bundle: Option<BundleError>,
    /// The places of the bundle.
    source_map: Option<Arc<SourceMap>>,
}

impl Sources {
    /// Takes the content of a script, and reads the files that it and they import literally. If the script has a bundle
    /// that was made of the files as they are, the bundle is all that is read. `lack` says why none could be made.
    pub(super) fn of(
        name: &str,
        content: Vec<u8>,
        modules: Modules,
        translate: Box<Translate>,
        lack: Option<BundleError>,
    ) -> Result<Self, ScriptError> {
        let mut sources = Self {
            modules,
            ..Self::default()
        };
        match find(&sources.modules, name, &content) {
            Ok(bundle) => {
                sources.translate = Some(translate);
                sources.take_bundle(name, bundle)?;
                return Ok(sources);
            }
            Err(error) => sources.no_bundle = Some(lack.unwrap_or(error)),
        }
        let text = text::of_module(name, content, &*translate)?;
        sources.translate = Some(translate);
        sources.push(name.to_owned(), text)?;
        let mut next = 0;
        while next < sources.texts.len() {
            sources.read_imports_of(next);
            next += 1;
        }
        Ok(sources)
    }

    /// Takes a bundle as the text of the script. Its imports were answered when it was made.
    fn take_bundle(&mut self, name: &str, bundle: Bundle) -> Result<(), ScriptError> {
        self.source_map = bundle.map.map(Arc::new);
        let text = Text {
            text: bundle.code,
            written: None,
        };
        self.push(name.to_owned(), text)
    }

    /// Returns the places of the bundle, if the script's text is one.
    pub(super) fn source_map(&self) -> Option<&Arc<SourceMap>> {
        self.source_map.as_ref()
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
            return self.without_package(missing);
        };
        self.refuse(missing, cause)
    }

    /// Says what to do about a package. If there is something else instead of one of the script's packages, no bundle
    /// would help.
    fn without_package(&self, missing: &Missing) -> ScriptError {
        let texts = self.texts.iter();
        let mut all = texts.flat_map(|source| {
            let imports = imports(&source.text).into_iter();
            imports.map(|one| (source.name.clone(), one.specifier.to_owned()))
        });
        let replaced = all.find_map(|(importer, specifier)| {
            let cause = ImportError::Instead(instead_of(&specifier)?);
            let one = Missing::new((String::new(), importer, specifier));
            Some(self.refuse(&one, cause))
        });
        replaced.unwrap_or_else(|| {
            let no_bundle = self.no_bundle.clone();
            let cause = ImportError::Package(no_bundle.unwrap_or(BundleError::Absent));
            self.refuse(missing, cause)
        })
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
            Some(self.place(&importer.name, one.line(&importer.text)))
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
            place: line.map_or_else(|| importer.clone(), |line| self.place(importer, line)),
            specifier: missing.specifier.clone(),
            cause,
        }
    }

    /// Returns a line of a text as its author knows it. A line of a bundle is one of its files.
    fn place(&self, name: &str, line: usize) -> String {
        let place = format!("{name}:{line}");
        match &self.source_map {
            Some(map) => map.resolve(name, &place).into_owned(),
            None => place,
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
