//! The response of another server.

use std::borrow::Cow;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::{Error, ErrorKind};
use super::wire::Answer;

/// The response of another server, received completely.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Method and URL, for errors.
    request: String,
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Response {
    /// Creates a response without headers and body, for tests.
    pub fn new(status: u16) -> Self {
        Self::received(String::new(), status, Vec::new(), Vec::new())
    }

    pub(crate) fn received(
        request: String,
        status: u16,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    ) -> Self {
        Response {
            request,
            status,
            headers,
            body,
        }
    }

    /// Adds a header, for tests.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_ascii_lowercase(), value.into()));
        self
    }

    /// Sets the body, for tests.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets the body to JSON, for tests.
    ///
    /// # Panics
    /// Panics when the value cannot be written as JSON.
    #[must_use]
    pub fn with_json<T: Serialize + ?Sized>(self, value: &T) -> Self {
        let json = serde_json::to_vec(value).expect("a test's value can be written as JSON");
        self.with_header("content-type", "application/json")
            .with_body(json)
    }

    /// Returns the HTTP status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Returns true for a status from 200 to 299.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Returns the response if its status is below 400.
    ///
    /// # Errors
    /// The status is 400 or more. The error is of kind [`ErrorKind::Status`].
    pub fn error_for_status(self) -> Result<Self, Error> {
        if self.status < 400 {
            return Ok(self);
        }
        let cause = format!("the server answered {}", self.status);
        Err(Error::new(
            ErrorKind::Status(self.status),
            self.request,
            cause,
        ))
    }

    /// Returns the first value of a header. The case of the name does not matter.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(other, _)| other.eq_ignore_ascii_case(name))?;
        Some(&found.1)
    }

    /// Returns the headers in their order, with names in lower case.
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// Returns the body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Returns the body and drops the rest.
    pub fn into_body(self) -> Vec<u8> {
        self.body
    }

    /// Returns the body as text. Bytes that are not UTF-8 are replaced.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// Reads the body as JSON. The header `content-type` does not matter.
    ///
    /// # Errors
    /// The body is not JSON or does not fit the type. The error is of kind [`ErrorKind::Body`].
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let cause = format!("the body of the response does not fit: {error}");
            Error::new(ErrorKind::Body, self.request.clone(), cause)
        })
    }
}

impl From<Response> for Answer {
    fn from(response: Response) -> Self {
        Answer {
            status: response.status,
            headers: response.headers,
            body: response.body,
        }
    }
}
