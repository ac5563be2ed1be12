//! From the content of a file to the text of a module.

use std::sync::Arc;

use crate::names::{is_script, is_typescript};
use crate::runtime::script_error::TextError;

/// Largest size of a script's file, or of a file that it imports, in bytes.
pub const MAX_SCRIPT: u64 = 1 << 20;
/// Largest size of a script together with all that it imports, in bytes.
pub(super) const MAX_SOURCES: u64 = 4 << 20;

/// The end of the names of files with JSON, whose module exports the value as its default.
const JSON: &str = ".json";
/// Longest error of a script that is kept, in bytes.
pub(super) const MAX_ERROR: usize = 4096;

/// Returns true if a file can be imported by its name.
pub(super) fn is_importable(name: &str) -> bool {
    is_script(name) || name.ends_with(JSON)
}

/// Cuts a text that is longer than `max` bytes.
pub(super) fn cut(mut text: String, max: usize) -> String {
    if text.len() > max {
        text.truncate(text.floor_char_boundary(max));
        text.push('…');
    }
    text
}

/// The text of a JavaScript module. Its lines are those of the file that it was made of, because errors name them.
pub(super) struct Text {
    pub(super) text: String,
    /// The content of the file, if its author did not write JavaScript.
    pub(super) written: Option<String>,
}

/// Translates the text of the file of a name to JavaScript.
pub(super) type Translate = dyn Fn(&str, &str) -> Result<Arc<str>, TextError> + Send;

/// Makes the text of a JavaScript module of a file's content. The end of its name says what the content is.
///
/// This is the one place in which the content of files is translated.
pub(super) fn of_module(
    name: &str,
    content: Vec<u8>,
    translate: &Translate,
) -> Result<Text, TextError> {
    let text = String::from_utf8(content).map_err(|_| TextError::NotUtf8)?;
    if is_typescript(name) {
        let (text, written) = (translate(name, &text)?.as_ref().to_owned(), Some(text));
        return Ok(Text { text, written });
    }
    let is_json = name.ends_with(JSON);
    let text = if is_json { of_json(&text)? } else { text };
    let written = None;
    Ok(Text { text, written })
}

fn of_json(text: &str) -> Result<String, TextError> {
    let json = text.trim_start_matches('\u{feff}');
    let checked = serde_json::from_str::<serde::de::IgnoredAny>(json);
    checked.map_err(|error| TextError::Json(error.to_string()))?;
    // As text within text, because `__proto__` would mean something else in an object of JavaScript.
    let quoted = serde_json::to_string(json).map_err(|error| TextError::Json(error.to_string()))?;
    Ok(format!("export default JSON.parse({quoted});"))
}
