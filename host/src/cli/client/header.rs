//! A header as it is written on the command line: `name: value`.

use std::str::FromStr;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::message::is_hop_by_hop;

/// One `-H 'name: value'`.
#[derive(Clone, Debug)]
pub(super) struct Header {
    pub(super) name: HeaderName,
    pub(super) value: HeaderValue,
}

impl FromStr for Header {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text
            .split_once(':')
            .ok_or("it is no header; write for example -H 'x-token: secret'")?;
        let name = HeaderName::from_bytes(name.trim().as_bytes())
            .map_err(|_| "the header's name is not a token (RFC 9110, 5.1)")?;
        if is_hop_by_hop(&name) || name.as_str().starts_with("sec-websocket-") {
            return Err(format!("{name} is set by hitchy itself; leave it out"));
        }
        let value = HeaderValue::from_bytes(value.trim().as_bytes())
            .map_err(|_| "the header's value has a line break or another control character")?;
        Ok(Self { name, value })
    }
}

/// Lays headers over what is there: a name that was given stands as it was given, several times too.
pub(super) fn lay<'a>(headers: impl Iterator<Item = &'a Header> + Clone, over: &mut HeaderMap) {
    for header in headers.clone() {
        over.remove(&header.name);
    }
    for Header { name, value } in headers {
        over.append(name.clone(), value.clone());
    }
}

/// The name of the client in `user-agent`.
pub(super) fn user_agent() -> HeaderValue {
    HeaderValue::from_static(concat!("hitchy/", env!("CARGO_PKG_VERSION")))
}
