//! Finds the path of the field at which serde stopped in a JSON text.

use std::fmt::Write;

/// A step from a value to a value inside of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Step<'t> {
    /// An element of an array, counted from 0.
    Index(usize),
    /// A value of an object, with its key as it is written in the text.
    Key(&'t [u8]),
    /// A position inside an object and before a value.
    Object,
}

/// Converts a line and a column to an offset in bytes. As in serde_json, lines are counted from 1, and columns are the
/// bytes read in this line.
pub(super) fn offset(text: &[u8], line: usize, column: usize) -> usize {
    let mut start = 0;
    for _ in 1..line {
        let rest = text.get(start..).unwrap_or_default();
        let length = rest.iter().position(|byte| *byte == b'\n');
        start += length.map_or(rest.len(), |length| length + 1);
    }
    text.len().min(start + column)
}

/// Returns the steps to the value that is being read at the end of `text`, which is the beginning of a JSON text.
pub(super) fn steps(text: &[u8]) -> Vec<Step<'_>> {
    let (mut steps, mut key, mut bytes) = (Vec::new(), &text[..0], text.iter().enumerate());
    while let Some((start, byte)) = bytes.next() {
        match byte {
            b'"' => key = &text[start + 1..end_of_string(text.len(), &mut bytes)],
            b'[' => steps.push(Step::Index(0)),
            b'{' => steps.push(Step::Object),
            b']' | b'}' => drop(steps.pop()),
            b':' => drop(steps.last_mut().map(|step| *step = Step::Key(key))),
            b',' => match steps.last_mut() {
                Some(Step::Index(index)) => *index += 1,
                Some(step) => *step = Step::Object,
                None => {}
            },
            _ => {}
        }
    }
    steps
}

/// Returns the offset of the closing quote of a string whose opening quote has been read.
fn end_of_string<'t>(len: usize, bytes: &mut impl Iterator<Item = (usize, &'t u8)>) -> usize {
    while let Some((place, byte)) = bytes.next() {
        match byte {
            b'"' => return place,
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
    len
}

/// Maximum bytes of a path in a sentence. Paths can be long, because the client chooses the keys.
const MAX_PATH_BYTES: usize = 80;

/// Writes a path as `author.tags[2]`. The path of the outermost value is empty.
pub(super) fn path(steps: &[Step<'_>]) -> String {
    let mut path = String::new();
    for step in steps {
        match step {
            Step::Index(index) => drop(write!(path, "[{index}]")),
            Step::Key(key) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path += std::str::from_utf8(key).unwrap_or("?");
            }
            Step::Object => {}
        }
    }
    super::words::cut(path, MAX_PATH_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_path() {
        for (text, wanted) in [
            ("", ""),
            ("{", ""),
            (r#"{"a""#, ""),
            (r#"{"a":"#, "a"),
            (r#"{"a":{"b":1,"c":[1,{"\"]":"#, r#"a.c[1].\"]"#),
            (r#"{"a":{"b":1}"#, "a"),
            (r#"{"a":{"b":1},"#, ""),
            (r#"[1,"]","\\","#, "[3]"),
            (r#"["open"#, "[0]"),
        ] {
            assert_eq!(path(&steps(text.as_bytes())), wanted, "{text}");
        }
    }

    #[test]
    fn a_line_and_a_column_are_an_offset() {
        assert_eq!(offset(b"ab\ncd", 1, 1), 1);
        assert_eq!(offset(b"ab\ncd", 2, 1), 4);
        assert_eq!(offset(b"ab\ncd", 0, 0), 0);
        assert_eq!(offset(b"ab\ncd", 9, 9), 5);
    }
}
