//! From serde's words, which are Rust's, to those of the web.

use std::borrow::Cow;

/// Messages of serde about a field that does not fit, each with the words that are used here after the field's name.
const FIELDS: [(&str, &str); 3] = [
    ("missing field `", " is missing"),
    ("unknown field `", " is not known"),
    ("duplicate field `", " is given twice"),
];

/// The expectations in messages of serde, and Rust's names of numbers.
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

/// The beginnings of serde's messages about types with names. The name says nothing to a client.
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

/// The text between the value that was found and the one that serde expected.
const EXPECTED: &str = ", expected ";

/// Bytes of the client's text that it is shown again.
const SHOWN: usize = 40;

/// Serde's sentence about the value at `path`, which may be empty.
pub(crate) fn at(path: &str, message: &str) -> String {
    for (start, words) in FIELDS {
        let field = message.strip_prefix(start);
        if let Some((name, rest)) = field.and_then(|rest| rest.split_once('`')) {
            let dot = if path.is_empty() { "" } else { "." };
            return format!("field `{path}{dot}{}`{words}{rest}", shown(name));
        }
    }
    let words = sentence(message);
    match path {
        "" => words.into_owned(),
        path => format!("`{path}`: {words}"),
    }
}

fn sentence(message: &str) -> Cow<'_, str> {
    if message.starts_with("data did not match any variant") {
        return "expected another form".into();
    }
    let Some((found, wanted)) = split_last(message, EXPECTED) else {
        return message.into();
    };
    let found: Cow<'_, str> =
        if wanted.starts_with("struct ") && split_last(wanted, " with ").is_some() {
            // Serde would read it from an array too.
            return "expected an object, found an array".into();
        } else if let Some(found) = message.strip_prefix("invalid length ") {
            found[..found.len() - wanted.len() - EXPECTED.len()].into()
        } else if let Some(found) = found.strip_prefix("unknown variant ") {
            shown(found).into()
        } else if let Some(found) = found.strip_prefix("invalid type: ") {
            this(found)
        } else if let Some(found) = found.strip_prefix("invalid value: ") {
            this(found)
        } else {
            return message.into();
        };
    format!("expected {}, found {found}", expected(wanted)).into()
}

/// Translates a name of serde or Rust into the one that the web uses: "an object" for `struct Message`.
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
    // Of what is read from an array serde tells the length.
    match split_last(words, " with ") {
        Some((_, elements)) => format!("an array of {elements}").into(),
        None => (*kind).into(),
    }
}

/// The names that serde uses for values.
fn this(found: &str) -> Cow<'_, str> {
    let quoted = |start: &str| found.strip_prefix(start)?.strip_suffix('`');
    if let Some(number) = quoted("integer `").or_else(|| quoted("floating point `")) {
        return format!("the number {number}").into();
    }
    if let Some(boolean) = quoted("boolean `") {
        return boolean.into();
    }
    match found.strip_prefix("string ") {
        Some(text) => shown(text).into(),
        None if found == "unit value" => "null".into(),
        None => expected(found),
    }
}

/// `rsplit_once`, without the search for long texts that the standard library brings along: 3 KiB in every handler.
pub(super) fn split_last<'t>(text: &'t str, at: &str) -> Option<(&'t str, &'t str)> {
    let (bytes, at) = (text.as_bytes(), at.as_bytes());
    let place = (0..bytes.len())
        .rev()
        .find(|place| bytes[*place..].starts_with(at))?;
    Some((&text[..place], &text[place + at.len()..]))
}

/// The kind of the JSON value that begins with this byte, but for strings and objects.
pub(super) fn kind(byte: u8) -> Option<&'static str> {
    Some(match byte {
        b'[' => "sequence",
        b'0'..=b'9' | b'-' => "a number",
        b't' | b'f' => "a boolean",
        b'n' => "null",
        _ => return None,
    })
}

/// Shortens data of a client, which may be long.
fn shown(text: &str) -> String {
    cut(text.to_owned(), SHOWN)
}

/// The text, or its beginning of so many bytes.
pub(super) fn cut(mut text: String, bytes: usize) -> String {
    if text.len() > bytes {
        text.truncate(text.floor_char_boundary(bytes));
        text.push('…');
    }
    text
}
