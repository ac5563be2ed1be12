//! The response that a route returns, and that a dispatched request receives.

use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::host::wit;

/// A response, returned by a route or received from [`dispatch`](crate::dispatch).
///
/// ```
/// use hitchy_guest::Response;
///
/// fn logo() -> Response {
///     Response::new(200).with_header("content-type", "image/svg+xml").with_body("<svg/>")
/// }
/// # assert_eq!(logo().text().unwrap(), "<svg/>");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Response {
    /// Creates a response with a status between 200 and 599, without headers and body.
    pub fn new(status: u16) -> Self {
        Response {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    pub(super) fn of(content_type: &str, body: Vec<u8>) -> Self {
        let headers = vec![("content-type".to_owned(), content_type.into())];
        Response {
            status: 200,
            headers,
            body,
        }
    }

    /// Sets the HTTP status of the response.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Sets a header. It replaces other headers of this name, except for `set-cookie`, which may be sent several times.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let name = name.into();
        if !name.eq_ignore_ascii_case("set-cookie") {
            self.headers
                .retain(|(other, _)| !other.eq_ignore_ascii_case(&name));
        }
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn with_headers(self, headers: impl IntoHeaders) -> Self {
        let headers = headers.into_headers().into_iter();
        headers.fold(self, |response, (name, value)| {
            response.with_header(name, value)
        })
    }

    /// Sets the body of the response.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Returns the HTTP status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Returns the first value of a header. The case of the name does not matter.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut all = self.headers();
        all.find(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// Returns the names and values of all headers.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Returns the body. It is empty when there is none.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Returns the body as text.
    ///
    /// # Errors
    /// Fails with an internal error when the body is not UTF-8.
    pub fn text(&self) -> Result<&str> {
        Ok(std::str::from_utf8(&self.body)?)
    }

    /// Reads the body as JSON.
    ///
    /// # Errors
    /// Fails with an internal error when the body does not fit the type.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        let value = serde_json::from_slice(&self.body);
        value.map_err(|error| {
            Error::internal(format_args!("the response is something else: {error}"))
        })
    }
}

impl From<Response> for wit::Response {
    fn from(
        Response {
            status,
            headers,
            body,
        }: Response,
    ) -> Self {
        wit::Response {
            status,
            headers,
            body,
        }
    }
}

impl From<wit::Response> for Response {
    fn from(
        wit::Response {
            status,
            headers,
            body,
        }: wit::Response,
    ) -> Self {
        Response {
            status,
            headers,
            body,
        }
    }
}

/// A type that can stand before an answer as its headers: an array or `Vec` of names and values.
#[diagnostic::on_unimplemented(
    message = "`{Self}` are not headers",
    note = "headers in front of an answer are an array or `Vec` of pairs: `[(\"x-name\", \"value\")]`; a status is a `u16`"
)]
pub trait IntoHeaders {
    /// Returns the names and values of the headers.
    fn into_headers(self) -> Vec<(String, String)>;
}

impl<N: Into<String>, V: Into<String>, const COUNT: usize> IntoHeaders for [(N, V); COUNT] {
    fn into_headers(self) -> Vec<(String, String)> {
        self.into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect()
    }
}

impl<N: Into<String>, V: Into<String>> IntoHeaders for Vec<(N, V)> {
    fn into_headers(self) -> Vec<(String, String)> {
        self.into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect()
    }
}
