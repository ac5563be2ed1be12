//! The ack of a socket request: `{statusCode, headers, body}`, with a JSON body as a value, not as a string.

use axum::http::{HeaderMap, header};
use bytes::Bytes;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::config::SetCookie;
use crate::message::{Response, is_hop_by_hop};
use crate::payload::check_depth;
use crate::server::http::headers::media_type;

/// The ack of a request, serialised as `{statusCode, headers, body}`.
pub(super) struct Answer<'a> {
    pub(super) response: &'a Response<Bytes>,
    pub(super) set_cookie: SetCookie,
}

impl Answer<'_> {
    /// Returns the bytes of the body as the packet carries it.
    pub(super) fn size(&self) -> usize {
        AnswerBody::of(self.response).size()
    }
}

impl Serialize for Answer<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut answer = serializer.serialize_map(Some(3))?;
        answer.serialize_entry("statusCode", &self.response.status.as_u16())?;
        let headers = AnswerHeaders {
            headers: &self.response.headers,
            set_cookie: self.set_cookie,
        };
        answer.serialize_entry("headers", &headers)?;
        answer.serialize_entry("body", &AnswerBody::of(self.response))?;
        answer.end()
    }
}

/// The headers of a response, serialised as an object.
///
/// Repeated headers are joined with a comma. Only `set-cookie` is an array, or left out if the settings
/// withhold it from page scripts. Hop-by-hop headers and `date` are left out.
pub(crate) struct AnswerHeaders<'a> {
    pub(crate) headers: &'a HeaderMap,
    pub(crate) set_cookie: SetCookie,
}

impl Serialize for AnswerHeaders<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut headers = serializer.serialize_map(None)?;
        for name in self.headers.keys() {
            if name == header::DATE || is_hop_by_hop(name) {
                continue;
            }
            let values: Vec<_> = self
                .headers
                .get_all(name)
                .iter()
                .map(|value| String::from_utf8_lossy(value.as_bytes()))
                .collect();
            if name != header::SET_COOKIE {
                headers.serialize_entry(name.as_str(), &values.join(", "))?;
            } else if self.set_cookie == SetCookie::Pass {
                headers.serialize_entry(name.as_str(), &values)?;
            }
        }
        headers.end()
    }
}

/// The body of a response as a client receives it: JSON as a value, text as a string, anything else as bytes.
pub(crate) enum AnswerBody<'a> {
    None,
    Json(&'a RawValue),
    Text(&'a str),
    Bytes(&'a [u8]),
}

impl<'a> AnswerBody<'a> {
    /// Chooses the form by the content type. A body that is not valid UTF-8 is always bytes.
    pub(crate) fn of(response: &'a Response<Bytes>) -> Self {
        let body: &[u8] = &response.body;
        if body.is_empty() {
            return Self::None;
        }
        let content_type = response
            .headers
            .get(header::CONTENT_TYPE)
            .and_then(media_type)
            .unwrap_or_default();
        let Ok(text) = std::str::from_utf8(body) else {
            return Self::Bytes(body);
        };
        if is_json(&content_type) {
            return Self::json(text);
        }
        if is_text(&content_type) {
            Self::Text(text)
        } else {
            Self::Bytes(body)
        }
    }

    /// Returns the bytes of the body as the packet carries it: text grows by what JSON must escape.
    fn size(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Json(raw) => raw.get().len(),
            Self::Text(text) => text.len() + text.bytes().map(escape_of).sum::<usize>(),
            Self::Bytes(bytes) => bytes.len(),
        }
    }

    /// Embeds JSON text in the packet unchanged, so that large numbers keep their digits. Text that is not
    /// JSON, or nested too deep, is a string.
    fn json(text: &'a str) -> Self {
        match serde_json::from_str(text) {
            Ok(raw) if check_depth(text).is_ok() => Self::Json(raw),
            _ => Self::Text(text),
        }
    }
}

impl Serialize for AnswerBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => serializer.serialize_none(),
            Self::Json(raw) => raw.serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Bytes(bytes) => serializer.serialize_bytes(bytes),
        }
    }
}

/// Returns the bytes that JSON adds to a byte of a string: `"` becomes `\"`, and some control characters `\u0000`.
fn escape_of(byte: u8) -> usize {
    match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 1,
        0..0x20 => 5,
        _ => 0,
    }
}

fn is_json(media_type: &str) -> bool {
    matches!(media_type, "application/json" | "text/json") || media_type.ends_with("+json")
}

fn is_text(media_type: &str) -> bool {
    media_type.starts_with("text/")
        || media_type.ends_with("+xml")
        || matches!(
            media_type,
            "application/xml"
                | "application/javascript"
                | "application/ecmascript"
                | "application/x-www-form-urlencoded"
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i11_25_text_counts_as_large_as_json_makes_it() {
        let every_byte: String = (0..=0x7f).map(char::from).collect();
        for text in ["", "plain", "a\"b\\c\n", "grüße 🎉", &every_byte] {
            let json = serde_json::to_string(text).expect("text is JSON");
            assert_eq!(AnswerBody::Text(text).size() + 2, json.len(), "{text:?}");
        }
    }
}
