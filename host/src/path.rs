//! The one normal form of a request's path, the same for the router and for guests.
//!
//! A path begins with `/`. Percent-encoding follows RFC 3986: unreserved characters (letters, digits, `-._~`) stand for
//! themselves, everything else that was encoded stays so, in upper case hexadecimal; so `%2F` is never a separator. Dot
//! segments are removed (5.2.4) after that, so `%2e%2e` is `..`; none climbs above the root. Empty segments and a
//! trailing slash are dropped. A backslash, a NUL (also encoded), a `%` without two hexadecimal digits, and white space
//! or a control character are refused.

use std::fmt;

/// The target of a request: a path in normal form and the query as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The path in normal form.
    pub path: String,
    /// The query without `?`, or none if the url has no `?`.
    pub query: Option<String>,
    /// True if the path was written with a slash at its end. The slash is not part of the path, and matters only for
    /// relative links in a folder's page.
    pub slash: bool,
}

/// The reason for which something is not a path. The sentence is for clients.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// The url is empty, relative, or absolute with a host.
    #[error("the url must be a path that begins with /")]
    NoSlash,
    /// The url contains white space or a control character.
    #[error("the url contains white space or a control character")]
    White,
    /// The path contains a backslash.
    #[error("the path contains a backslash")]
    Backslash,
    /// The path contains a `%` without two hexadecimal digits.
    #[error("the path contains a % that two hexadecimal digits do not follow")]
    Percent,
    /// The path contains an encoded NUL.
    #[error("the path contains an encoded NUL")]
    Nul,
}

impl Target {
    /// Reads a path with an optional query and fragment.
    pub fn parse(url: &str) -> Result<Self, PathError> {
        if url.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(PathError::White);
        }
        let url = url.split_once('#').map_or(url, |(before, _)| before);
        let (path, query) = url
            .split_once('?')
            .map_or((url, None), |(path, query)| (path, Some(query)));
        Ok(Self {
            path: normal(path)?,
            query: query.map(str::to_owned),
            slash: path.ends_with('/'),
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.path)?;
        self.query
            .as_ref()
            .map_or(Ok(()), |query| write!(formatter, "?{query}"))
    }
}

/// Returns the normal form of a path.
pub fn normal(path: &str) -> Result<String, PathError> {
    if !path.starts_with('/') {
        return Err(PathError::NoSlash);
    }
    if is_normal(path) {
        return Ok(path.to_owned());
    }
    let recoded = recode(path)?;
    let mut segments: Vec<&str> = Vec::new();
    for segment in recoded.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            other => segments.push(other),
        }
    }
    Ok(format!("/{}", segments.join("/")))
}

/// Returns the first segment of a path or of a pattern.
pub fn first_segment(path: &str) -> &str {
    path.split('/').nth(1).unwrap_or_default()
}

/// Returns true if a path is in normal form already. This is the usual case, and nothing is allocated for it.
fn is_normal(path: &str) -> bool {
    path == "/"
        || path[1..].split('/').all(|segment| {
            !segment.is_empty()
                && segment != "."
                && segment != ".."
                && segment.bytes().all(is_plain)
        })
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// Returns true for a byte that may stand in a segment as it is (RFC 3986, `pchar`).
fn is_plain(byte: u8) -> bool {
    is_unreserved(byte) || b"!$&'()*+,;=:@".contains(&byte)
}

/// Brings percent-encoding into its normal form.
fn recode(path: &str) -> Result<String, PathError> {
    let mut bytes = path.bytes();
    let mut recoded = String::with_capacity(path.len());
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => return Err(PathError::Backslash),
            b'%' => {
                let decoded = hex(bytes.next())? << 4 | hex(bytes.next())?;
                match decoded {
                    0 => return Err(PathError::Nul),
                    b'\\' => return Err(PathError::Backslash),
                    _ if is_unreserved(decoded) => recoded.push(char::from(decoded)),
                    _ => push_encoded(&mut recoded, decoded),
                }
            }
            b'/' => recoded.push('/'),
            _ if is_plain(byte) => recoded.push(char::from(byte)),
            _ => push_encoded(&mut recoded, byte),
        }
    }
    Ok(recoded)
}

fn push_encoded(text: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    text.push('%');
    text.push(char::from(DIGITS[usize::from(byte >> 4)]));
    text.push(char::from(DIGITS[usize::from(byte & 15)]));
}

fn hex(digit: Option<u8>) -> Result<u8, PathError> {
    let value = digit
        .and_then(|digit| char::from(digit).to_digit(16))
        .ok_or(PathError::Percent)?;
    Ok(u8::try_from(value).unwrap_or(0))
}

/// Decodes a parameter of a path for the guest. Bytes that are not UTF-8 are replaced by U+FFFD.
pub fn decode(segment: &str) -> String {
    percent_encoding::percent_decode_str(segment)
        .decode_utf8_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b08_every_spelling_has_one_normal_form() {
        for (spelled, expected) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a/b/", "/a/b"),
            ("//h//p", "/h/p"),
            ("/a/../b", "/b"),
            ("/a/%2e%2e/b", "/b"),
            ("/a/%2E/b", "/a/b"),
            ("/../../etc/passwd", "/etc/passwd"),
            ("/a%2fb", "/a%2Fb"),
            ("/%41%7e", "/A~"),
            ("/ü", "/%C3%BC"),
            ("/%c3%bc", "/%C3%BC"),
            ("/A/b", "/A/b"),
            ("/a:b@c", "/a:b@c"),
            ("/...", "/..."),
        ] {
            assert_eq!(normal(spelled).as_deref(), Ok(expected), "{spelled}");
        }
    }

    #[test]
    fn b08_the_normal_form_is_stable() {
        for path in ["/a%2fb/%zz", "/ü/../%C3%bC", "/a//b/./c/", "/%2525"] {
            if let Ok(once) = normal(path) {
                assert_eq!(normal(&once).as_deref(), Ok(once.as_str()));
            }
        }
    }

    #[test]
    fn b04_what_is_no_path_is_refused() {
        for (url, error) in [
            ("", PathError::NoSlash),
            ("a", PathError::NoSlash),
            ("http://evil/", PathError::NoSlash),
            ("*", PathError::NoSlash),
            ("?", PathError::NoSlash),
            ("/a b", PathError::White),
            ("/a\r\nb", PathError::White),
            ("/a\\b", PathError::Backslash),
            ("/a%5cb", PathError::Backslash),
            ("/%00", PathError::Nul),
            ("/%zz", PathError::Percent),
            ("/%4", PathError::Percent),
        ] {
            assert_eq!(Target::parse(url), Err(error), "{url}");
        }
    }

    #[test]
    fn b06_b07_the_query_is_raw_and_the_fragment_is_stripped() {
        let target = Target::parse("/a?b=%zz&c#d?e").unwrap();
        assert_eq!(
            (target.path.as_str(), target.query.as_deref()),
            ("/a", Some("b=%zz&c"))
        );
        assert_eq!(target.to_string(), "/a?b=%zz&c");
        assert_eq!(Target::parse("/a?").unwrap().to_string(), "/a?");
    }
}
