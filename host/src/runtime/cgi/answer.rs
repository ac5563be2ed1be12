//! The answer of a command to a request: a head, an empty line, and the body (RFC 3875, 6).

use crate::runtime::bindings::hitchy::platform::types;
use crate::runtime::error::CallError;

/// Most bytes of a head that are read. Its headers are bounded more tightly when they are checked.
const MAX_HEAD: usize = 64 * 1024;
/// Characters of a wrong line that the log shows.
const SHOWN: usize = 80;

/// Reasons why an output is no answer. Each sentence says what the command should have printed.
#[derive(Debug, thiserror::Error)]
pub(super) enum AnswerError {
    /// The output does not begin with headers and an empty line.
    #[error(
        "its output has no head; it prints headers such as `Content-Type: text/plain`, then an empty line, then the body"
    )]
    NoHead,
    /// A line of the head is not a header.
    #[error(
        "its output has the line {0:?} in its head, which is no header; an empty line separates head and body"
    )]
    Line(String),
    /// The header `Status` does not begin with a number.
    #[error("its output has the status {0:?}, which is no number, as in `Status: 404 Not Found`")]
    Status(String),
}

impl From<AnswerError> for CallError {
    fn from(error: AnswerError) -> Self {
        Self::BadAnswer(error.to_string())
    }
}

/// Reads the output of a command. Sizes and values are checked where answers of all guests are.
pub(super) fn read(output: &[u8]) -> Result<types::Response, AnswerError> {
    let mut headers = Vec::new();
    let mut status = None;
    let mut rest = output;
    loop {
        let (line, after) = next_line(rest).ok_or(AnswerError::NoHead)?;
        rest = after;
        if output.len() - rest.len() > MAX_HEAD {
            return Err(AnswerError::NoHead);
        }
        if line.is_empty() {
            break;
        }
        let (name, value) = header(line)?;
        if name.eq_ignore_ascii_case("status") {
            status = Some(code(&value)?);
        } else {
            headers.push((name, value));
        }
    }
    if headers.is_empty() && status.is_none() {
        return Err(AnswerError::NoHead);
    }
    let is_redirect = headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("location"));
    Ok(types::Response {
        status: status.unwrap_or(if is_redirect { 302 } else { 200 }),
        headers,
        body: rest.to_vec(),
    })
}

/// Splits off the first line, without its end. Returns `None` if no line ends.
fn next_line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|byte| *byte == b'\n')?;
    let line = &text[..end];
    Some((line.strip_suffix(b"\r").unwrap_or(line), &text[end + 1..]))
}

fn header(line: &[u8]) -> Result<(String, String), AnswerError> {
    let text = String::from_utf8_lossy(line);
    match text.split_once(':') {
        Some((name, value)) if !name.is_empty() && !name.contains(char::is_whitespace) => {
            Ok((name.to_owned(), value.trim().to_owned()))
        }
        _ => Err(AnswerError::Line(text.chars().take(SHOWN).collect())),
    }
}

/// Returns the number at the beginning of a status: 404 of `404 Not Found`.
fn code(value: &str) -> Result<u16, AnswerError> {
    let number = value.split_whitespace().next().unwrap_or_default();
    number
        .parse()
        .map_err(|_| AnswerError::Status(value.chars().take(SHOWN).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i12_7_a_head_and_a_body_are_read() {
        let answer = read(b"Status: 201 Created\r\nX-A: b: c\r\n\r\nbody\n\nmore").unwrap();
        assert_eq!(answer.status, 201);
        assert_eq!(answer.headers, [("X-A".to_owned(), "b: c".to_owned())]);
        assert_eq!(answer.body, b"body\n\nmore");
        assert_eq!(read(b"Content-Type: a/b\n\n").unwrap().status, 200);
        assert_eq!(read(b"Location: /there\n\n").unwrap().status, 302);
        assert_eq!(read(b"Status: 204\n\n").unwrap().status, 204);
    }

    #[test]
    fn i12_7_what_is_no_head_is_refused() {
        let long = [b"X: ".as_slice(), &[b'x'; MAX_HEAD], b"\n\n"].concat();
        for output in [
            b"".as_slice(),
            b"hello",
            b"hello\n\n",
            b"\nbody",
            b"A: b\n",
            b"a b: c\n\n",
            b"Status: fine\n\n",
            b"Status: 99999\n\n",
            &long,
        ] {
            assert!(read(output).is_err(), "{output:?}");
        }
    }
}
