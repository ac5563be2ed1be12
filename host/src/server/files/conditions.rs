//! The conditions of a request for a file (RFC 9110, 13): which version the client has, or wants.

use std::time::SystemTime;

use axum::http::{HeaderMap, HeaderName, header};

use super::version::Version;

/// What proxies add to the tag of an answer that they compress, and send back as it is: `-gzip` and `-br` (Apache,
/// Caddy), `--gzip` (Jetty).
const ADDED_BY_PROXIES: [&str; 4] = ["--gzip", "-gzip", "-br", "-zstd"];

/// The outcome of the conditions of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The file is sent.
    Send,
    /// The client has this version already.
    NotModified,
    /// The file is not the version that the client asks for.
    Failed,
}

/// Evaluates the conditions of a GET or HEAD, in the order of RFC 9110, 13.2.2.
pub(super) fn evaluate(headers: &HeaderMap, version: &Version) -> Outcome {
    let is_wanted = if headers.contains_key(header::IF_MATCH) {
        any_tag(headers, header::IF_MATCH, |tag| is_same(tag, version))
    } else {
        date(headers, header::IF_UNMODIFIED_SINCE)
            .and_then(|date| version.is_unchanged_since(date))
            .unwrap_or(true)
    };
    if !is_wanted {
        return Outcome::Failed;
    }
    let is_known = if headers.contains_key(header::IF_NONE_MATCH) {
        any_tag(headers, header::IF_NONE_MATCH, |tag| {
            is_similar(tag, version)
        })
    } else {
        date(headers, header::IF_MODIFIED_SINCE)
            .and_then(|date| version.is_unchanged_since(date))
            .unwrap_or(false)
    };
    if is_known {
        Outcome::NotModified
    } else {
        Outcome::Send
    }
}

/// Returns true if `if-range` names this version, or if there is no such header (RFC 9110, 13.1.5).
pub(super) fn is_range_wanted(headers: &HeaderMap, version: &Version) -> bool {
    let Some(value) = headers.get(header::IF_RANGE) else {
        return true;
    };
    let Ok(value) = value.to_str() else {
        return false;
    };
    match date(headers, header::IF_RANGE) {
        Some(date) => {
            version.modified() == Some(date) && version.is_unchanged_since(date) == Some(true)
        }
        None => is_same(value.trim(), version),
    }
}

/// Compares strongly: a weak tag is never the same.
fn is_same(tag: &str, version: &Version) -> bool {
    version.tag() == Some(tag)
}

/// Compares weakly, and disregards what a proxy added to the tag.
fn is_similar(tag: &str, version: &Version) -> bool {
    let tag = tag.strip_prefix("W/").unwrap_or(tag);
    if is_same(tag, version) {
        return true;
    }
    let Some(bare) = tag.strip_suffix('"') else {
        return false;
    };
    ADDED_BY_PROXIES.iter().any(|added| {
        bare.strip_suffix(added)
            .is_some_and(|bare| is_same(&format!("{bare}\""), version))
    })
}

/// Returns true if one of the tags of a header fulfils `is_it`, or if the header is `*`. The header may have several
/// lines.
fn any_tag(headers: &HeaderMap, name: HeaderName, is_it: impl Fn(&str) -> bool) -> bool {
    let lines = headers.get_all(name).into_iter();
    let mut lines = lines.filter_map(|value| value.to_str().ok());
    lines.any(|line| line.trim() == "*" || tags(line).any(&is_it))
}

/// Returns the items of a list of tags. A comma within quotes belongs to a tag.
fn tags(line: &str) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    line.split(move |character| {
        is_quoted ^= character == '"';
        character == ',' && !is_quoted
    })
    .map(str::trim)
    .filter(|tag| !tag.is_empty())
}

/// Returns the date of a header. A header that is no date, or that has several lines, is ignored (RFC 9110, 13.1.3).
fn date(headers: &HeaderMap, name: HeaderName) -> Option<SystemTime> {
    let mut lines = headers.get_all(name).into_iter();
    let only = lines.next().filter(|_| lines.next().is_none())?;
    httpdate::parse_http_date(only.to_str().ok()?.trim()).ok()
}
