//! Redirects.

use super::{IntoResponse, Response};
use crate::error::Result;

/// Sends the client elsewhere, with 302 unless one of [`Redirect`]'s methods says otherwise.
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

/// An answer that sends the client elsewhere: see [`redirect`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Redirect {
    status: u16,
    location: String,
}

impl Redirect {
    /// 303: go on there with GET, after a form for instance.
    pub fn see_other(self) -> Self {
        Redirect {
            status: 303,
            ..self
        }
    }

    /// 307: the same request there, this time.
    pub fn temporary(self) -> Self {
        Redirect {
            status: 307,
            ..self
        }
    }

    /// 308: the same request there, from now on.
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
