//! What a client accepts, by weight (RFC 9110, 12.4.2): encodings and media types.

use axum::http::{HeaderMap, header};

use crate::server::http::headers::list_items;

/// The greatest weight, `q=1`.
const FULL: u16 = 1000;

/// An encoding in which a copy of a file may lie beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Brotli,
    Gzip,
}

impl Encoding {
    /// The encodings, the one that compresses best first.
    const ALL: [Self; 2] = [Self::Brotli, Self::Gzip];

    /// Returns the name in `content-encoding`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    /// Returns what is added to the name of a file for the name of its copy.
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Self::Brotli => ".br",
            Self::Gzip => ".gz",
        }
    }

    fn is_called(self, name: &str) -> bool {
        // RFC 9110, 8.4.1.3: `x-gzip` is an older name of gzip.
        name == self.name() || (self == Self::Gzip && name == "x-gzip")
    }
}

/// Returns the encodings that are better for the client than the file as it is, the best first.
pub(super) fn encodings(headers: &HeaderMap) -> Vec<Encoding> {
    let accepted = weights(headers, header::ACCEPT_ENCODING);
    let find = |is_it: &dyn Fn(&str) -> bool| {
        let named = accepted.iter().find(|(name, _)| is_it(name));
        named.map(|(_, weight)| *weight)
    };
    let others = find(&|name| name == "*");
    let plain = find(&|name| name == "identity").or(others).unwrap_or(0);
    let mut better: Vec<_> = Encoding::ALL
        .into_iter()
        .filter_map(|encoding| {
            let weight = find(&|name| encoding.is_called(name)).or(others)?;
            (weight > 0 && weight >= plain).then_some((encoding, weight))
        })
        .collect();
    // The sort is stable, so that brotli stays first among equals.
    better.sort_by_key(|(_, weight)| FULL - weight);
    better.into_iter().map(|(encoding, _)| encoding).collect()
}

/// Returns true if the client asks for a page: `accept` names HTML.
///
/// `*/*` alone does not count, because scripts and programs send it for everything.
pub(super) fn is_page_wanted(headers: &HeaderMap) -> bool {
    let accepted = weights(headers, header::ACCEPT);
    let named = ["text/html", "application/xhtml+xml", "text/*"].into_iter();
    let weight = named
        .filter_map(|name| accepted.iter().find(|(other, _)| other == name))
        .map(|(_, weight)| *weight)
        .next();
    weight.is_some_and(|weight| weight > 0)
}

/// Returns the items of a header in lower case and without parameters, with their weights. Items whose weight is not a
/// number are left out.
fn weights(headers: &HeaderMap, name: header::HeaderName) -> Vec<(String, u16)> {
    list_items(headers, name)
        .filter_map(|item| {
            let mut parts = item.split(';').map(str::trim);
            let value = parts.next()?.to_ascii_lowercase();
            let weight =
                parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
            Some((value, weight.map_or(Some(FULL), parse_weight)?))
        })
        .collect()
}

/// Parses a weight between 0 and 1, in thousandths.
fn parse_weight(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !matches!(whole, "0" | "1") || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths: u16 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    let weight = if whole == "1" { FULL } else { 0 } + thousandths;
    (weight <= FULL).then_some(weight)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn i11_18_html_has_to_be_named_to_ask_for_a_page() {
        for (accept, is_wanted) in [
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                true,
            ),
            ("TEXT/HTML; charset=utf-8", true),
            ("application/json, text/html;q=0.1", true),
            ("text/html;level=1;q=0.3", true),
            ("text/*", true),
            ("text/html;q=0, */*", false),
            ("text/html;q=0.000", false),
            ("*/*", false),
            ("application/json", false),
            ("application/json, text/plain, */*", false),
            ("", false),
        ] {
            let value = HeaderValue::from_static(accept);
            let headers = HeaderMap::from_iter([(header::ACCEPT, value)]);
            assert_eq!(is_page_wanted(&headers), is_wanted, "{accept}");
        }
        assert!(!is_page_wanted(&HeaderMap::new()));
    }
}
