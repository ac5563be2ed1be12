//! The types that a `before` policy can return.

use super::{IntoResponse, Redirect, Response};
use crate::error::{Error, Result};

/// A type that `before` policies can return. `()` lets the request pass, an error fails it, and `Some(answer)`, a
/// [`Response`] or a [`Redirect`] answers it.
///
/// ```
/// use hitchy_guest::{Context, IntoVerdict, Redirect, redirect};
///
/// fn only_users(context: Context) -> Option<Redirect> {
///     context.get_raw("user").is_none().then(|| redirect("/login"))
/// }
/// # hitchy_guest::App::new().before("/home", only_users);
/// ```
#[diagnostic::on_unimplemented(
    message = "a `before` policy cannot return `{Self}`",
    label = "not a verdict",
    note = "it returns `()` or `Result<()>` to let the request pass, or an `Option` of an answer"
)]
pub trait IntoVerdict {
    /// Converts the value into a verdict. `None` lets the request pass.
    ///
    /// # Errors
    /// An error is answered as [`Error`] describes.
    fn into_verdict(self) -> Result<Option<Response>>;
}

impl IntoVerdict for () {
    fn into_verdict(self) -> Result<Option<Response>> {
        Ok(None)
    }
}

impl IntoVerdict for Response {
    fn into_verdict(self) -> Result<Option<Response>> {
        Ok(Some(self))
    }
}

impl IntoVerdict for Redirect {
    fn into_verdict(self) -> Result<Option<Response>> {
        self.into_response().map(Some)
    }
}

impl<T: IntoResponse> IntoVerdict for Option<T> {
    fn into_verdict(self) -> Result<Option<Response>> {
        self.map(IntoResponse::into_response).transpose()
    }
}

impl<T: IntoVerdict, E: Into<Error>> IntoVerdict for Result<T, E> {
    fn into_verdict(self) -> Result<Option<Response>> {
        self.map_err(Into::into)?.into_verdict()
    }
}
