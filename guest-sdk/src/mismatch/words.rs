//! Translates serde's messages, which use the terms of Rust, into the terms of JSON.

use std::borrow::Cow;

/// Beginnings of serde's messages about fields, each with the words that follow the field's name in our sentence.
const FIELDS: [(&str, &str); 3] = [
    ("missing field `", " is missing"),
    ("unknown field `", " is not known"),
    ("duplicate field `", " is given twice"),
];

/// Serde's names of expected types and Rust's names of numbers, each with the name for clients.
const TYPES: [(&str, &str); 22] = [
    ("u8", "a whole number from 0 to 255"),
    ("u16", "a whole number from 0 to 65535"),
    ("u32", "a whole number from 0 to 4294967295"),
    ("u64", "a whole number from 0 on"),
    ("u128", "a whole number from 0 on"),
    ("usize", "a whole number from 0 on"),
    ("i8", "a whole number from -128 to 127"),
    ("i16", "a whole number from -32768 to 32767"),
    ("i32", "a whole number from -2147483648 to 2147483647"),
    ("i64", "a whole number"),
    ("i128", "a whole number"),
    ("isize", "a whole number"),
    ("f32", "a number"),
    ("f64", "a number"),
    ("bool", "true or false"),
    ("a boolean", "true or false"),
    ("a character", "a single character"),
    ("a sequence", "an array"),
    ("a map", "an object"),
    ("unit", "null"),
    ("sequence", "an array"),
    ("map", "an object"),
];

/// Beginnings of serde's names of types that have a name of their own, each with the name for clients. The type's own
/// name is of no use to them.
const NAMED: [(&str, &str); 8] = [
    ("struct ", "an object"),
    ("internally tagged ", "an object"),
    ("adjacently tagged ", "an object"),
    ("tuple ", "an array"),
    ("unit struct ", "null"),
    ("unit variant ", "null"),
    ("enum ", "a string or an object"),
    ("variant ", "a string or an object"),
];

/// Separator between the found value and the expected type in serde's messages.
const EXPECTED: &str = ", expected ";

/// Maximum bytes of the client's own text in a sentence.
const MAX_TEXT_BYTES: usize = 40;

/// Translates serde's message about the value at `path`. The path may be empty.
pub(crate) fn describe(path: &str, message: &str) -> String {
    for (start, words) in FIELDS {
        let field = message.strip_prefix(start);
        if let Some((name, rest)) = field.and_then(|rest| rest.split_once('`')) {
            let dot = if path.is_empty() { "" } else { "." };
            return format!("field `{path}{dot}{}`{words}{rest}", shorten(name));
        }
    }
    let words = sentence(message);
    match path {
        "" => words.into_owned(),
        path => format!("`{path}`: {words}"),
    }
}

/// Translates a message of serde that does not begin with the name of a field.
fn sentence(message: &str) -> Cow<'_, str> {
    if message.starts_with("data did not match any variant") {
        return "expected another form".into();
    }
    let Some((start, wanted)) = split_last(message, EXPECTED) else {
        return message.into();
    };
    let found: Cow<'_, str> =
        if wanted.starts_with("struct ") && split_last(wanted, " with ").is_some() {
            // Serde can read a struct from an array too, but the sentence recommends an object.
            return "expected an object, found an array".into();
        } else if let Some(length) = start.strip_prefix("invalid length ") {
            length.into()
        } else if let Some(variant) = start.strip_prefix("unknown variant ") {
            shorten(variant).into()
        } else if let Some(value) = start.strip_prefix("invalid type: ") {
            found_value(value)
        } else if let Some(value) = start.strip_prefix("invalid value: ") {
            found_value(value)
        } else {
            return message.into();
        };
    format!("expected {}, found {found}", expected(wanted)).into()
}

/// Translates a type's name of serde or Rust, for example `struct Message` to "an object".
pub(crate) fn expected(words: &str) -> Cow<'_, str> {
    if let Some((_, words)) = TYPES.iter().find(|(name, _)| *name == words) {
        return (*words).into();
    }
    if let Some(size) = words.strip_prefix("a tuple of size ") {
        return format!("an array of {size} elements").into();
    }
    if let Some(number) = words.strip_prefix("a nonzero ") {
        return format!("{}, but not 0", expected(number)).into();
    }
    let Some((_, kind)) = NAMED.iter().find(|(start, _)| words.starts_with(start)) else {
        return words.into();
    };
    // For a type that can be read from an array, serde gives the number of elements.
    match split_last(words, " with ") {
        Some((_, elements)) => format!("an array of {elements}").into(),
        None => (*kind).into(),
    }
}

/// Translates serde's name of a found value.
fn found_value(found: &str) -> Cow<'_, str> {
    let quoted = |start: &str| found.strip_prefix(start)?.strip_suffix('`');
    if let Some(number) = quoted("integer `").or_else(|| quoted("floating point `")) {
        return format!("the number {number}").into();
    }
    if let Some(boolean) = quoted("boolean `") {
        return boolean.into();
    }
    match found.strip_prefix("string ") {
        Some(text) => shorten(text).into(),
        None if found == "unit value" => "null".into(),
        None => expected(found),
    }
}

/// Splits at the last occurrence, like `rsplit_once`. The standard library's search for long patterns would add 3 KiB
/// to every handler.
pub(super) fn split_last<'t>(text: &'t str, at: &str) -> Option<(&'t str, &'t str)> {
    let (bytes, at) = (text.as_bytes(), at.as_bytes());
    let place = (0..bytes.len())
        .rev()
        .find(|place| bytes[*place..].starts_with(at))?;
    Some((&text[..place], &text[place + at.len()..]))
}

/// Returns serde's name of the JSON value that begins with this byte, or `None` for strings, objects and other bytes.
pub(super) fn kind(byte: u8) -> Option<&'static str> {
    Some(match byte {
        b'[' => "sequence",
        b'0'..=b'9' | b'-' => "a number",
        b't' | b'f' => "a boolean",
        b'n' => "null",
        _ => return None,
    })
}

/// Shortens text of a client for a sentence.
fn shorten(text: &str) -> String {
    cut(text.to_owned(), MAX_TEXT_BYTES)
}

/// Shortens a text to this number of bytes, and marks the cut with `…`.
pub(super) fn cut(mut text: String, bytes: usize) -> String {
    if text.len() > bytes {
        text.truncate(text.floor_char_boundary(bytes));
        text.push('…');
    }
    text
}
