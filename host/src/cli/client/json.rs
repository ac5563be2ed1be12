//! JSON on its way to and from a person: checked, laid out, with binary arguments in it that can be read.
//!
//! It stays text. Nothing is read into values, so that large numbers and the order of fields are what was sent.

use std::fmt::Write as _;
use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::ser::Formatter;
use serde_json::value::RawValue;

use crate::payload::{Payload, check_depth};

/// The form in which binary arguments are written.
#[derive(Clone, Copy)]
pub(super) enum Binary {
    /// `<12 bytes>`
    Size,
    /// `{"base64":"…"}`
    Base64,
}

/// JSON text without white space around it, or what is wrong with it and where.
pub(super) fn checked(text: &str) -> Result<String, String> {
    let raw: &RawValue =
        serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))?;
    check_depth(raw.get()).map_err(|error| error.to_string())?;
    Ok(raw.get().to_owned())
}

/// Each argument on a line of its own.
pub(super) fn arguments(args: &Payload, binary: Binary) -> Vec<String> {
    let elements: Vec<&RawValue> = serde_json::from_str(&args.json).unwrap_or_default();
    let one = |raw: &RawValue| {
        let alone = Payload {
            json: format!("[{raw}]"),
            attachments: args.attachments.clone(),
        };
        let array = array(&alone, binary);
        array[1..array.len() - 1].to_owned()
    };
    elements.into_iter().map(one).collect()
}

/// All arguments as one array on one line.
pub(super) fn array(args: &Payload, binary: Binary) -> String {
    let mut text = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, binary);
    let written = args
        .arguments()
        .is_ok_and(|args| args.serialize(&mut serializer).is_ok());
    // Payloads were checked when they came.
    let text = String::from_utf8(text).ok().filter(|_| written);
    text.unwrap_or_else(|| "[]".to_owned())
}

/// `{"base64":"…"}`
pub(super) fn base64(bytes: &[u8]) -> String {
    format!("{{\"base64\":\"{}\"}}", STANDARD.encode(bytes))
}

/// A text as JSON.
pub(super) fn string(text: &str) -> String {
    compact(&serde_json::Value::from(text).to_string())
}

impl Formatter for Binary {
    fn write_byte_array<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        value: &[u8],
    ) -> io::Result<()> {
        match self {
            Self::Size => write!(writer, "<{}>", size(value.len())),
            Self::Base64 => writer.write_all(base64(value).as_bytes()),
        }
    }

    fn write_raw_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        writer.write_all(compact(fragment).as_bytes())
    }

    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut safe = String::with_capacity(fragment.len());
        fragment.chars().for_each(|c| push_safe(&mut safe, c));
        writer.write_all(safe.as_bytes())
    }
}

/// `1 byte`, `12 bytes`.
pub(super) fn size(length: usize) -> String {
    match length {
        1 => "1 byte".to_owned(),
        length => format!("{length} bytes"),
    }
}

/// JSON on one line.
pub(super) fn compact(json: &str) -> String {
    lay_out(json, None)
}

/// JSON on as many lines as it has values.
pub(in crate::cli) fn pretty(json: &str) -> String {
    lay_out(json, Some("  "))
}

/// Moves only white space, and escapes what could act on a terminal. The JSON must be well formed.
fn lay_out(json: &str, indent: Option<&str>) -> String {
    let mut text = String::with_capacity(json.len());
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    let mut chars = json.chars().peekable();
    let line = |text: &mut String, depth: usize| {
        if let Some(indent) = indent {
            text.push('\n');
            text.push_str(&indent.repeat(depth));
        }
    };
    while let Some(c) = chars.next() {
        match c {
            _ if in_string => {
                push_safe(&mut text, c);
                in_string = escaped || c != '"';
                escaped = !escaped && c == '\\';
            }
            c if c.is_ascii_whitespace() => {}
            '[' | '{' => {
                text.push(c);
                while chars.next_if(char::is_ascii_whitespace).is_some() {}
                if let Some(close) = chars.next_if(|c| matches!(c, ']' | '}')) {
                    text.push(close);
                } else {
                    depth += 1;
                    line(&mut text, depth);
                }
            }
            ']' | '}' => {
                depth = depth.saturating_sub(1);
                line(&mut text, depth);
                text.push(c);
            }
            ',' => {
                text.push(c);
                line(&mut text, depth);
            }
            ':' => text.push_str(if indent.is_some() { ": " } else { ":" }),
            c => {
                in_string = c == '"';
                text.push(c);
            }
        }
    }
    text
}

/// JSON lets DEL and the control characters above it stand in strings as they are.
fn push_safe(text: &mut String, c: char) {
    if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
        // Writing to a string cannot fail.
        let _ = write!(text, "\\u{:04x}", u32::from(c));
    } else {
        text.push(c);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn numbers_and_the_order_of_fields_stay() {
        let json = r#" { "b" : 12345678901234567890123 , "a" : [ 1.0e5 , { } , [ ] ] } "#;
        let line = r#"{"b":12345678901234567890123,"a":[1.0e5,{},[]]}"#;
        assert_eq!(compact(json), line);
        let lines =
            "{\n  \"b\": 12345678901234567890123,\n  \"a\": [\n    1.0e5,\n    {},\n    []\n  ]\n}";
        assert_eq!(pretty(json), lines);
        assert_eq!(compact(lines), line);
    }

    #[test]
    fn strings_stay_but_for_what_acts_on_a_terminal() {
        let json = r#"["a , b : {\"\\", "ü"]"#;
        assert_eq!(compact(json), r#"["a , b : {\"\\","ü"]"#);
        let hostile = "\"\u{9b}31m\u{7f}\u{2028}\"";
        assert_eq!(compact(hostile), r#""\u009b31m\u007f\u2028""#);
        assert_eq!(string("a\u{1b}b\u{85}"), r#""a\u001bb\u0085""#);
    }

    #[test]
    fn binary_arguments_can_be_read() {
        let json = "[ 1, {\"_placeholder\":true,\"num\":0}, {\"k\u{9b}\": [{\"_placeholder\":true,\"num\":1}, \"a b\" ]}]";
        let args = Payload {
            json: json.to_owned(),
            attachments: vec![Bytes::from_static(b"x"), Bytes::from_static(b"abc")],
        };
        assert_eq!(
            arguments(&args, Binary::Size),
            ["1", "<1 byte>", r#"{"k\u009b":[<3 bytes>,"a b"]}"#]
        );
        assert_eq!(
            array(&args, Binary::Base64),
            r#"[1,{"base64":"eA=="},{"k\u009b":[{"base64":"YWJj"},"a b"]}]"#
        );
    }

    #[test]
    fn what_is_no_json_is_said_with_its_place() {
        assert_eq!(checked(" {\"a\": 1} ").unwrap(), "{\"a\": 1}");
        assert!(checked("{\"a\": }").unwrap_err().contains("column 7"));
        assert!(checked(&"[".repeat(10_000)).is_err());
        assert!(checked(&format!("{}{}", "[".repeat(129), "]".repeat(129))).is_err());
    }
}
