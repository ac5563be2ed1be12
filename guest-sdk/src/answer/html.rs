//! The return type for HTML pages.

use super::{IntoResponse, Response};
use crate::error::Result;

/// A page, answered as `text/html; charset=utf-8`. Nothing in it is escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Html<T>(pub T);

impl<T: Into<String>> IntoResponse for Html<T> {
    fn into_response(self) -> Result<Response> {
        let text: String = self.0.into();
        Ok(Response::of("text/html; charset=utf-8", text.into_bytes()))
    }
}
