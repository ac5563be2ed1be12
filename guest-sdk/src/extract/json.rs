//! The extractor and return type for JSON.

use serde::de::DeserializeOwned;

use super::FromRequest;
use super::body::{media_type, unexpected_type};
use crate::error::{Error, Result};
use crate::mismatch;
use crate::request::Request;

/// JSON as the body of a request, the body of a response, or one argument of an ack.
///
/// As an argument, it requires the content-type `application/json`, `text/json` or `…/…+json`. A body with another
/// type, or one that does not fit, is refused with a 400 that says why. `Option<Json<T>>` is `None` when there is no
/// body.
///
/// ```
/// use hitchy_guest::Json;
///
/// #[derive(serde::Deserialize, serde::Serialize)]
/// struct Point { x: i32, y: i32 }
///
/// fn mirror(Json(point): Json<Point>) -> Json<Point> {
///     Json(Point { x: point.y, y: point.x })
/// }
/// # hitchy_guest::App::new().post("/mirror", mirror);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned> FromRequest for Json<T> {
    fn from_request(request: &Request) -> Result<Self> {
        match media_type(request) {
            Some(media_type) if is_json(&media_type) => parse(&request.body()),
            other => Err(unexpected_type("application/json", other.as_deref())),
        }
    }

    fn from_request_if_any(request: &Request) -> Result<Option<Self>> {
        if media_type(request).is_none() && request.body().is_empty() {
            return Ok(None);
        }
        Json::from_request(request).map(Some)
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<Json<T>> {
    let value = serde_json::from_slice(body);
    value
        .map(Json)
        .map_err(|error| Error::rejected(mismatch::json("the body", body, &error)))
}

/// Returns true for `application/json`, `text/json` and media types that end with `+json`.
pub(crate) fn is_json(media_type: &str) -> bool {
    matches!(media_type, "application/json" | "text/json") || media_type.ends_with("+json")
}
