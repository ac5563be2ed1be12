//! Source maps: from places in a bundle, which errors name, to places in the files that it was made of.

use std::borrow::Cow;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

/// The places of a bundle, as <https://tc39.es/ecma426/> has them.
#[derive(Debug, Serialize, Deserialize)]
pub struct SourceMap {
    version: u32,
    /// The names of the files.
    pub sources: Vec<String>,
    mappings: String,
    #[serde(default)]
    names: Vec<String>,
    #[serde(skip)]
    decoded: OnceLock<Vec<Vec<Segment>>>,
}

/// A place from which on the text of a line comes from a place of a file. All numbers count from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Segment {
    column: u32,
    source: u32,
    source_line: u32,
    source_column: u32,
}

impl SourceMap {
    /// Reads a source map. Returns `None` if it is none.
    pub fn parse(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    /// Returns `text` with the places of the files in place of those of the bundle, `NAME:LINE` or `NAME:LINE:COLUMN`
    /// for the bundle of this name.
    pub(super) fn resolve<'a>(&self, name: &str, text: &'a str) -> Cow<'a, str> {
        let mut resolved = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(name) {
            let (before, found) = rest.split_at(at);
            let after = &found[name.len()..];
            let is_part = |c: char| c.is_alphanumeric() || "/_-.".contains(c);
            let place = place(after).filter(|_| !before.ends_with(is_part));
            let source = place.and_then(|(line, column, _)| self.source_of(line, column));
            resolved.push_str(before);
            rest = match (source, place) {
                (Some(source), Some((_, _, length))) => {
                    resolved.push_str(&source);
                    &after[length..]
                }
                _ => {
                    resolved.push_str(name);
                    after
                }
            };
        }
        if resolved.is_empty() {
            return Cow::Borrowed(text);
        }
        resolved.push_str(rest);
        Cow::Owned(resolved)
    }

    /// Returns the place of a file that a place of the bundle comes from. Lines and columns count from 1, and without a
    /// column the first of the line is meant.
    fn source_of(&self, line: usize, column: Option<usize>) -> Option<String> {
        let decoded = self.decoded.get_or_init(|| decode(&self.mappings));
        let segments = decoded.get(line.checked_sub(1)?)?;
        let wanted = column.unwrap_or(1).saturating_sub(1) as u32;
        let after = segments.partition_point(|segment| segment.column <= wanted);
        let segment = segments.get(after.saturating_sub(1))?;
        let source = self.sources.get(segment.source as usize)?;
        let line = segment.source_line + 1;
        Some(match column {
            Some(_) => format!("{source}:{line}:{}", segment.source_column + 1),
            None => format!("{source}:{line}"),
        })
    }
}

/// Reads `:LINE` or `:LINE:COLUMN` at the beginning of a text. Returns both numbers, and their length.
fn place(text: &str) -> Option<(usize, Option<usize>, usize)> {
    let number = |text: &str| -> Option<(usize, usize)> {
        let digits = text.strip_prefix(':')?;
        let end = digits.find(|c: char| !c.is_ascii_digit());
        let digits = &digits[..end.unwrap_or(digits.len())];
        Some((digits.parse().ok()?, digits.len() + 1))
    };
    let (line, length) = number(text)?;
    Some(match number(&text[length..]) {
        Some((column, more)) => (line, Some(column), length + more),
        None => (line, None, length),
    })
}

/// Decodes mappings: a list for each line of the bundle. What cannot be decoded ends the list.
fn decode(mappings: &str) -> Vec<Vec<Segment>> {
    let (mut source, mut source_line, mut source_column) = (0_i64, 0_i64, 0_i64);
    let mut lines = Vec::new();
    for line in mappings.split(';') {
        let (mut column, mut segments) = (0_i64, Vec::new());
        for encoded in line.split(',').filter(|encoded| !encoded.is_empty()) {
            let Some(numbers) = numbers(encoded) else {
                break;
            };
            column += numbers.first().copied().unwrap_or(0);
            let [_, by_source, by_line, by_column, ..] = numbers[..] else {
                continue;
            };
            source += by_source;
            source_line += by_line;
            source_column += by_column;
            let number = |number: i64| u32::try_from(number).unwrap_or(0);
            segments.push(Segment {
                column: number(column),
                source: number(source),
                source_line: number(source_line),
                source_column: number(source_column),
            });
        }
        lines.push(segments);
    }
    lines
}

/// Decodes the numbers of a segment: digits of base 64 with five bits each, the lowest first, and the sign below them.
fn numbers(encoded: &str) -> Option<Vec<i64>> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut numbers, mut value, mut shift) = (Vec::new(), 0_i64, 0_u32);
    for byte in encoded.bytes() {
        let digit = DIGITS.iter().position(|digit| *digit == byte)? as i64;
        value |= (digit & 31).checked_shl(shift)?;
        shift += 5;
        if shift > 60 {
            return None;
        }
        if digit & 32 == 0 {
            let number = value >> 1;
            numbers.push(if value & 1 == 1 { -number } else { number });
            (value, shift) = (0, 0);
        }
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(mappings: &str) -> SourceMap {
        let json = serde_json::json!({ "version": 3, "sources": ["a.ts", "pkg/b.js"], "mappings": mappings, "names": [] });
        SourceMap::parse(json.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn i14_5_numbers_are_decoded() {
        assert_eq!(numbers("AAgBC"), Some(vec![0, 0, 16, 1]));
        assert_eq!(numbers("D2H"), Some(vec![-1, 123]));
        assert_eq!(numbers("A?"), None);
        assert_eq!(numbers("gggggggggggggggggg"), None);
    }

    #[test]
    fn i14_5_places_of_a_bundle_become_places_of_its_files() {
        // Line 2 begins at 3:5 of a.ts, and from column 10 on comes from 1:1 of pkg/b.js.
        let map = map(";AAEI,UCFJ;");
        let resolved = |text| map.resolve("shop.js", text).into_owned();
        assert_eq!(
            resolved("shop.js:2:1: Error: x; in f < shop.js:2:12"),
            "a.ts:3:5: Error: x; in f < pkg/b.js:1:1"
        );
        assert_eq!(resolved("at shop.js:2"), "at a.ts:3");
        for text in [
            "shop.js:1:1",
            "shop.js:9:9",
            "shop.js",
            "myshop.js:2:1",
            "other.js:2:1",
            "",
        ] {
            assert_eq!(resolved(text), text);
        }
    }
}
