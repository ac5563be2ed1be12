//! The range of bytes that a request asks for (RFC 9110, 14.1 and 14.2).

use axum::http::{HeaderMap, header};

/// The unit of ranges that files have.
const UNIT: &str = "bytes=";

/// The part of a file that a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The whole file. Ranges of other units, several ranges, and what is no range are ignored.
    Whole,
    /// The bytes from `first` to `last`, both included.
    Bytes { first: u64, last: u64 },
    /// The file has no such bytes.
    Nothing,
}

/// Returns the part of a file of `length` bytes that the header `range` asks for.
pub(super) fn part(headers: &HeaderMap, length: u64) -> Part {
    range(headers).map_or(Part::Whole, |(first, last)| resolve(first, last, length))
}

/// Returns the bounds of the only range of the request, as they are written. One of them may be missing.
fn range(headers: &HeaderMap) -> Option<(Option<u64>, Option<u64>)> {
    let mut lines = headers.get_all(header::RANGE).into_iter();
    let line = lines.next().filter(|_| lines.next().is_none())?;
    let line = line.to_str().ok()?;
    let unit = line.get(..UNIT.len())?;
    if !unit.eq_ignore_ascii_case(UNIT) {
        return None;
    }
    let ranges = line[UNIT.len()..].split(',').map(str::trim);
    let mut ranges = ranges.filter(|range| !range.is_empty());
    let only = ranges.next().filter(|_| ranges.next().is_none())?;
    let (first, last) = only.split_once('-')?;
    let bounds = (bound(first)?, bound(last)?);
    match bounds {
        (None, None) => None,
        (Some(first), Some(last)) if first > last => None,
        bounds => Some(bounds),
    }
}

/// Parses one bound, which may be missing. A number that is too large stands for the largest one.
fn bound(digits: &str) -> Option<Option<u64>> {
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if digits.is_empty() {
        return Some(None);
    }
    Some(Some(digits.parse().unwrap_or(u64::MAX)))
}

/// Returns the part between two bounds. Without the first bound, the second one counts from the end.
fn resolve(first: Option<u64>, last: Option<u64>, length: u64) -> Part {
    let Some(end) = length.checked_sub(1) else {
        // `content-range` cannot express a range of an empty file.
        return Part::Whole;
    };
    match (first, last) {
        (None, Some(0)) => Part::Nothing,
        (None, suffix) => Part::Bytes {
            first: length.saturating_sub(suffix.unwrap_or(length)),
            last: end,
        },
        (Some(first), _) if first > end => Part::Nothing,
        (Some(first), last) => Part::Bytes {
            first,
            last: last.map_or(end, |last| last.min(end)),
        },
    }
}
