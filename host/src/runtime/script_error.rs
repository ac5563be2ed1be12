//! Errors of handlers in JavaScript.

use super::bundler::BundleError;

/// Reasons why a script cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// The file has no text that could be evaluated.
    #[error(transparent)]
    Text(#[from] TextError),
    /// The file is larger than a script may be.
    #[error(
        "the file has {size} bytes, and a script may have {max}; leave out what it does not need, or minify it"
    )]
    TooLarge {
        /// Size of the file in bytes.
        size: u64,
        /// Largest permitted size in bytes.
        max: u64,
    },
    /// The script and the files that it imports are larger together than they may be.
    #[error(
        "it has more than {max} bytes together with the files that it imports; leave out what it does not need, or minify it"
    )]
    AllTooLarge {
        /// Largest permitted size in bytes.
        max: u64,
    },
    /// A file cannot be imported.
    #[error("{place}: cannot import {specifier:?}: {cause}")]
    Import {
        /// The importing file, with the line of the import if it is written literally.
        place: String,
        /// What is written there.
        specifier: String,
        /// The reason.
        cause: ImportError,
    },
    /// An imported file does not export what is imported from it.
    #[error("{place}: {module} exports no {name}; {hint}")]
    Export {
        /// The importing file, with the line of the import.
        place: String,
        /// The imported file.
        module: String,
        /// The name that is not exported.
        name: String,
        /// What to do.
        hint: String,
    },
    /// The packages that the script imports could not be bundled with it.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The script declares nothing.
    #[error(
        "it declares nothing: no route (app.get …), no listener (io.on …), no schedule (app.every …), and no default export with \
         fetch; if it is for other files to import, give it a name that begins with _"
    )]
    DeclaresNothing,
    /// The script cannot be evaluated. The text says what is wrong, and where.
    #[error("{0}; correct the script")]
    Evaluation(String),
}

impl ScriptError {
    /// Returns true if the machine and not the script is the cause, so that another attempt may load it.
    pub fn is_transient(&self) -> bool {
        let text = match self {
            Self::Text(text) => text,
            Self::Import {
                cause: ImportError::Text(text),
                ..
            } => text,
            _ => return false,
        };
        matches!(text, TextError::TranslatorBusy(_))
    }
}

/// Reasons why a file has no text that could be evaluated.
#[derive(Debug, thiserror::Error)]
pub enum TextError {
    /// The content is not text.
    #[error("the file is not UTF-8; save it as UTF-8")]
    NotUtf8,
    /// The content is not JSON.
    #[error("the file is not JSON: {0}; correct it")]
    Json(String),
    /// The content is not TypeScript that can be translated. The text says where and why.
    #[error("{0}; correct the script")]
    TypeScript(String),
    /// The translation did not come to its end.
    #[error(
        "translating it from TypeScript failed: {0}; divide the file, or translate it first, for example with esbuild"
    )]
    Translator(String),
    /// The machine had no room for the translation.
    #[error("it could not be translated from TypeScript now: {0}; it is tried again")]
    TranslatorBusy(String),
}

/// Reasons why a file cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// There is no such file.
    #[error("there is no file {path} in the handlers folder; {hint}")]
    Missing {
        /// The path of the file below the folder of handlers.
        path: String,
        /// What to do.
        hint: String,
    },
    /// The import names a package, and there is no bundle with it.
    #[error("{0}")]
    Package(BundleError),
    /// The import names a package for which there is something else.
    #[error("{0}")]
    Instead(&'static str),
    /// The file lies outside of the folder of handlers.
    #[error("it lies outside of the handlers folder; copy the file into it")]
    Outside,
    /// The file is of another kind.
    #[error(
        "only .js, .mjs, .ts, .mts and .json files can be imported; read other files when the script is written"
    )]
    Kind,
    /// The file is larger than a script may be.
    #[error(
        "the file has {size} bytes, and a script may have {max}; leave out what it does not need, or minify it"
    )]
    TooLarge {
        /// Size of the file in bytes.
        size: u64,
        /// Largest permitted size in bytes.
        max: u64,
    },
    /// The file cannot be read.
    #[error("the file cannot be read: {0}; check its permissions")]
    Unreadable(String),
    /// The file has no text that could be evaluated.
    #[error(transparent)]
    Text(TextError),
}
