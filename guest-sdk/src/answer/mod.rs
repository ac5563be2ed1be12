//! The types that a function can return: responses of routes, verdicts of policies, acks of listeners, and outcomes of
//! hooks.

mod ack;

mod format;
mod html;
mod outcome;
mod redirect;
mod response;
mod verdict;

use serde::Serialize;

pub use self::ack::IntoAck;
pub use self::format::{Format, format};
pub use self::html::Html;
pub use self::outcome::IntoOutcome;
pub use self::redirect::{Redirect, redirect};
pub use self::response::{IntoHeaders, Response};
pub use self::verdict::IntoVerdict;
use crate::error::{Error, Failure, Result};
use crate::extract::Json;
use crate::payload::Bytes;

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json; charset=utf-8";
const BINARY: &str = "application/octet-stream";

/// A type that routes can return.
///
/// | returned | answered |
/// |---|---|
/// | `()` | 200 without a body |
/// | `&str`, `String` | `text/plain; charset=utf-8` |
/// | [`Json<T>`](Json), `serde_json::Value` | `application/json; charset=utf-8` |
/// | [`Bytes`], `Vec<u8>` | `application/octet-stream` |
/// | `(status, answer)`, `(headers, answer)` | the answer with another status, or with headers |
/// | `(status, headers, answer)` | the answer with both |
/// | `Result<T, E>` | the error as [`Error`] describes |
/// | `Option<T>` | 404 for `None` |
/// | [`Response`], [`Redirect`], [`Format`], [`Html`] | itself |
///
/// ```
/// use hitchy_guest::{IntoResponse, Json, Response};
///
/// fn create() -> impl IntoResponse {
///     (201, [("location", "/things/7")], Json(7))
/// }
/// # hitchy_guest::App::new().post("/things", create);
/// ```
#[diagnostic::on_unimplemented(
    message = "a route cannot return `{Self}`",
    label = "not an answer",
    note = "wrap what serde can serialise into `Json(…)`; a status goes in front: `(201, Json(…))`"
)]
pub trait IntoResponse {
    /// Converts the value into a response.
    ///
    /// # Errors
    /// An error is answered as [`Error`] describes.
    fn into_response(self) -> Result<Response>;
}

impl IntoResponse for Response {
    fn into_response(self) -> Result<Response> {
        Ok(self)
    }
}

impl IntoResponse for () {
    fn into_response(self) -> Result<Response> {
        Ok(Response::new(200))
    }
}

impl IntoResponse for String {
    fn into_response(self) -> Result<Response> {
        Ok(Response::of(TEXT, self.into_bytes()))
    }
}

impl IntoResponse for &str {
    fn into_response(self) -> Result<Response> {
        Ok(Response::of(TEXT, self.into()))
    }
}

impl IntoResponse for Vec<u8> {
    fn into_response(self) -> Result<Response> {
        Ok(Response::of(BINARY, self))
    }
}

impl IntoResponse for Bytes {
    fn into_response(self) -> Result<Response> {
        Vec::from(self).into_response()
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Result<Response> {
        Ok(Response::of(JSON, serde_json::to_vec(&self.0)?))
    }
}

impl IntoResponse for serde_json::Value {
    fn into_response(self) -> Result<Response> {
        Json(self).into_response()
    }
}

impl<T: IntoResponse> IntoResponse for (u16, T) {
    fn into_response(self) -> Result<Response> {
        let (status, answer) = self;
        Ok(answer.into_response()?.with_status(status))
    }
}

impl<H: IntoHeaders, T: IntoResponse> IntoResponse for (H, T) {
    fn into_response(self) -> Result<Response> {
        let (headers, answer) = self;
        Ok(answer.into_response()?.with_headers(headers))
    }
}

impl<H: IntoHeaders, T: IntoResponse> IntoResponse for (u16, H, T) {
    fn into_response(self) -> Result<Response> {
        let (status, headers, answer) = self;
        Ok(answer
            .into_response()?
            .with_status(status)
            .with_headers(headers))
    }
}

impl<T: IntoResponse, E: Into<Error>> IntoResponse for Result<T, E> {
    fn into_response(self) -> Result<Response> {
        self.map_err(Into::into)?.into_response()
    }
}

impl<T: IntoResponse> IntoResponse for Option<T> {
    fn into_response(self) -> Result<Response> {
        self.ok_or_else(|| Failure::new(404, "not found"))?
            .into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(answer: impl IntoResponse) -> (u16, Option<String>, Vec<u8>) {
        let response = answer.into_response().unwrap();
        (
            response.status(),
            response.header("content-type").map(str::to_owned),
            response.body().to_vec(),
        )
    }

    #[test]
    fn the_type_of_the_body_follows_from_the_type_of_the_answer() {
        assert_eq!(answered(()), (200, None, vec![]));
        assert_eq!(answered("a"), (200, Some(TEXT.into()), b"a".to_vec()));
        assert_eq!(
            answered(Json([1])),
            (200, Some(JSON.into()), b"[1]".to_vec())
        );
        assert_eq!(answered(vec![1u8]), (200, Some(BINARY.into()), vec![1]));
    }

    #[test]
    fn a_status_and_headers_go_in_front() {
        assert_eq!(answered((201, "a")).0, 201);
        assert_eq!(
            answered(([("content-type", "text/csv")], "a")).1.as_deref(),
            Some("text/csv")
        );
        assert_eq!(
            answered((202, vec![("x-a".to_owned(), "b".to_owned())], Json(1))).0,
            202
        );
    }

    #[test]
    fn nothing_is_404_and_an_error_itself() {
        let failure = |answer: Result<Response>| answer.unwrap_err().failure().cloned().unwrap();
        assert_eq!(failure(None::<()>.into_response()).code(), 404);
        assert_eq!(
            failure(Err::<(), _>(Failure::new(409, "no")).into_response()).code(),
            409
        );
    }
}
