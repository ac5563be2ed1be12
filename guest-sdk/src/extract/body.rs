//! Extractors for the body of a request as text and as bytes.

use super::FromRequest;
use crate::error::{Error, Result};
use crate::payload::Bytes;
use crate::request::Request;

/// Extractor for the body of a request as text. A body that is not UTF-8 is refused with a 400.
///
/// ```
/// use hitchy_guest::Text;
///
/// fn shout(Text(text): Text) -> String {
///     text.to_uppercase()
/// }
/// # hitchy_guest::App::new().post("/shout", shout);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(pub String);

impl FromRequest for Text {
    fn from_request(request: &Request) -> Result<Self> {
        let text = String::from_utf8(request.body());
        text.map(Text)
            .map_err(|_| Error::rejected("the body is not UTF-8 text"))
    }

    fn from_request_if_any(request: &Request) -> Result<Option<Self>> {
        Ok(Some(Text::from_request(request)?).filter(|Text(text)| !text.is_empty()))
    }
}

impl FromRequest for Bytes {
    fn from_request(request: &Request) -> Result<Self> {
        Ok(request.body().into())
    }

    fn from_request_if_any(request: &Request) -> Result<Option<Self>> {
        Ok(Some(Bytes::from(request.body())).filter(|bytes| !bytes.is_empty()))
    }
}

/// Returns the content-type in lower case, without parameters.
pub(super) fn media_type(request: &Request) -> Option<String> {
    let header = request.header("content-type")?;
    let media_type = header.split(';').next().unwrap_or_default();
    Some(media_type.trim().to_ascii_lowercase())
}

/// Creates the 400 for a body with another content-type than the expected one.
pub(super) fn unexpected_type(expected: &str, got: Option<&str>) -> Error {
    let got = got.unwrap_or("none");
    Error::rejected(format!(
        "the body must have content-type {expected}, this one has {got}"
    ))
}
