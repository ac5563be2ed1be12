//! Parses a socket request from a packet, field by field. Each failure names the field that is wrong.

use std::fmt;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use bytes::Bytes;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::message::is_hop_by_hop;
use crate::path::Target;
use crate::payload::{Failure, attachment, fields};
use crate::server::http::headers::media_type;
use crate::server::http::peer::is_forwarding;
use crate::server::limits::{MAX_HEADER_BYTES, MAX_HEADERS, MAX_TARGET};

/// Headers that a request takes from the handshake, because they identify the client. A script cannot set them.
pub(super) const FROM_HANDSHAKE: [HeaderName; 5] = [
    header::HOST,
    header::ORIGIN,
    header::USER_AGENT,
    header::ACCEPT_LANGUAGE,
    header::REFERER,
];

/// The first argument of `request`, with its fields as raw JSON. A field that is `null` counts as missing.
#[derive(Deserialize)]
pub(super) struct Packet<'a> {
    #[serde(borrow, default)]
    method: Option<&'a RawValue>,
    #[serde(borrow, default)]
    url: Option<&'a RawValue>,
    #[serde(borrow, default)]
    headers: Option<&'a RawValue>,
    #[serde(borrow, default)]
    body: Option<&'a RawValue>,
}

impl<'a> Packet<'a> {
    /// Parses a packet of the form `["request", {…}, …]`.
    pub(super) fn read(text: &'a str) -> Result<Self, Failure> {
        let First(first) = serde_json::from_str(text)
            .map_err(|error| bad_request(format!("the packet is no JSON array: {error}")))?;
        let json = first.map_or("", RawValue::get);
        if !json.starts_with('{') {
            return Err(bad_request(
                "the first argument is missing, or no object {method, url, headers, body}",
            ));
        }
        serde_json::from_str(json)
            .map_err(|error| bad_request(format!("the first argument cannot be read: {error}")))
    }

    /// Parses the field `url`, which is required. The failure is a 400, or a 414 if the url is too long.
    pub(super) fn target(&self) -> Result<Target, Failure> {
        let url: String = match self.url {
            Some(url) => {
                serde_json::from_str(url.get()).map_err(|_| bad_request("url is not a string"))?
            }
            None => return Err(bad_request("url is missing")),
        };
        if url.len() > MAX_TARGET {
            let sentence = format!("the url is longer than {MAX_TARGET} bytes");
            return Err(Failure::new(414, sentence));
        }
        Target::parse(&url).map_err(|error| bad_request(error.to_string()))
    }

    /// Parses the field `method`, in upper case. The default is GET.
    pub(super) fn method(&self) -> Result<Method, Failure> {
        let Some(raw) = self.method else {
            return Ok(Method::GET);
        };
        let name: String =
            serde_json::from_str(raw.get()).map_err(|_| bad_request("method is not a string"))?;
        if name.is_empty() {
            return Ok(Method::GET);
        }
        let method = Method::from_bytes(name.to_ascii_uppercase().as_bytes())
            .map_err(|_| bad_request("method is not a token (RFC 9110, 5.6.2)"))?;
        if method == Method::CONNECT {
            return Err(bad_request(
                "method CONNECT is for proxies, which this is not",
            ));
        }
        Ok(method)
    }

    /// Parses the field `headers`, without the withheld headers. The failure is a 400, or a 431 if there are too many.
    pub(super) fn headers(&self) -> Result<HeaderMap, Failure> {
        let Some(raw) = self.headers else {
            return Ok(HeaderMap::new());
        };
        let fields = fields(raw.get()).map_err(|_| bad_request("headers is not an object"))?;
        let (mut headers, mut size) = (HeaderMap::new(), 0);
        for (name, value) in fields {
            let Ok(header) = HeaderName::from_bytes(name.as_bytes()) else {
                return Err(bad_request(format!(
                    "headers: the name {name:?} is not a token (RFC 9110, 5.1)"
                )));
            };
            let values = header_values(&name, value)?;
            if is_withheld(&header) {
                continue;
            }
            // If two names differ only in case, the last one replaces the other.
            headers.remove(&header);
            for value in values {
                size += header.as_str().len() + value.len();
                if headers.len() >= MAX_HEADERS || size > MAX_HEADER_BYTES {
                    return Err(too_many_headers());
                }
                headers.append(header.clone(), value);
            }
        }
        Ok(headers)
    }

    /// Returns the body as bytes, and adds a content type to `headers` if the client sent none.
    ///
    /// A string becomes text, an attachment becomes bytes, and any other value is sent as JSON.
    pub(super) fn body(
        &self,
        headers: &mut HeaderMap,
        attachments: &[Bytes],
    ) -> Result<Bytes, Failure> {
        let Some(raw) = self.body else {
            headers.remove(header::CONTENT_TYPE);
            return Ok(Bytes::new());
        };
        let text = raw.get();
        let (body, content_type) = match attachment(raw, attachments.len()) {
            Ok(Some(index)) => (attachments[index].clone(), "application/octet-stream"),
            Ok(None) if text.starts_with('"') => {
                let string: String = serde_json::from_str(text)
                    .map_err(|error| bad_request(format!("body: {error}")))?;
                (Bytes::from(string), "text/plain; charset=utf-8")
            }
            Ok(None) => {
                require_json(headers)?;
                (
                    Bytes::copy_from_slice(text.as_bytes()),
                    "application/json; charset=utf-8",
                )
            }
            Err(cause) => return Err(bad_request(format!("body: {cause}"))),
        };
        headers
            .entry(header::CONTENT_TYPE)
            .or_insert(HeaderValue::from_static(content_type));
        Ok(body)
    }
}

fn too_many_headers() -> Failure {
    let sentence =
        format!("at most {MAX_HEADERS} headers of {MAX_HEADER_BYTES} bytes together are taken");
    Failure::new(431, sentence)
}

/// The first argument of an event's packet. Further arguments are ignored.
struct First<'a>(Option<&'a RawValue>);

impl<'de> Deserialize<'de> for First<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FirstVisitor;
        impl<'de> Visitor<'de> for FirstVisitor {
            type Value = First<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an array")
            }

            fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<Self::Value, S::Error> {
                seq.next_element::<IgnoredAny>()?;
                let first = seq.next_element()?;
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(First(first))
            }
        }
        deserializer.deserialize_seq(FirstVisitor)
    }
}

/// Returns a failure with status 400.
fn bad_request(sentence: impl Into<String>) -> Failure {
    Failure::new(400, sentence)
}

/// Checks that the content type, if any, is JSON, because a body that is not a string is sent as JSON.
fn require_json(headers: &HeaderMap) -> Result<(), Failure> {
    let Some(content_type) = headers.get(header::CONTENT_TYPE) else {
        return Ok(());
    };
    match media_type(content_type).as_deref() {
        Some("application/json" | "text/json") => Ok(()),
        _ => Err(bad_request(
            "body is no string, and content-type is not application/json; send a string, or leave content-type out",
        )),
    }
}

/// Returns true for headers that a client may not send in a packet.
///
/// The server sets them, takes them from the handshake or accepts them from proxies only.
pub(crate) fn is_withheld(name: &HeaderName) -> bool {
    is_hop_by_hop(name)
        || FROM_HANDSHAKE.contains(name)
        || name == header::COOKIE
        || is_forwarding(name)
        || name.as_str() == "proxy"
}

/// Parses the values of a header: none for `null`, several for an array.
fn header_values(name: &str, raw: &RawValue) -> Result<Vec<HeaderValue>, Failure> {
    let wrong = |what: &str| bad_request(format!("headers: the value of {name:?} {what}"));
    let json = raw.get();
    if !json.starts_with('[') {
        return Ok(header_value(raw).map_err(wrong)?.into_iter().collect());
    }
    let elements: Vec<&RawValue> = serde_json::from_str(json).map_err(|_| wrong("is no JSON"))?;
    elements
        .into_iter()
        .filter_map(|element| header_value(element).transpose())
        .collect::<Result<_, _>>()
        .map_err(wrong)
}

/// Converts a string, a number or a boolean to a header value; `null` to none. The error says what is wrong
/// with the value.
fn header_value(raw: &RawValue) -> Result<Option<HeaderValue>, &'static str> {
    let json = raw.get();
    let text = match json.as_bytes().first() {
        Some(b'n') => return Ok(None),
        Some(b'{') => return Err("is an object"),
        Some(b'[') => return Err("is an array in an array"),
        Some(b'"') => serde_json::from_str(json).map_err(|_| "is a string that is not Unicode")?,
        _ => json.to_owned(),
    };
    let value = HeaderValue::from_bytes(text.as_bytes());
    value.map(Some).map_err(|_| "contains a control character")
}
