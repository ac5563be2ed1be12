//! The return type for redirects.

use super::{IntoResponse, Response};
use crate::error::Result;

/// Redirects the client to another location. The status is 302 unless a method of [`Redirect`] sets another one.
///
/// ```
/// use hitchy_guest::{Redirect, redirect};
///
/// fn old() -> Redirect {
///     redirect("/new").permanent()
/// }
/// # hitchy_guest::App::new().get("/old", old);
/// ```
pub fn redirect(location: impl Into<String>) -> Redirect {
    Redirect {
        status: 302,
        location: location.into(),
    }
}

/// An answer that redirects the client, made by [`redirect`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Redirect {
    status: u16,
    location: String,
}

impl Redirect {
    /// Sets the status 303: the client continues with GET, for example after a form.
    pub fn see_other(self) -> Self {
        Redirect {
            status: 303,
            ..self
        }
    }

    /// Sets the status 307: the client repeats this request at the location.
    pub fn temporary(self) -> Self {
        Redirect {
            status: 307,
            ..self
        }
    }

    /// Sets the status 308: the client repeats this request at the location, and uses it from now on.
    pub fn permanent(self) -> Self {
        Redirect {
            status: 308,
            ..self
        }
    }
}

impl IntoResponse for Redirect {
    fn into_response(self) -> Result<Response> {
        Ok(Response::new(self.status).with_header("location", self.location))
    }
}
