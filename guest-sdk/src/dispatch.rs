//! Requests that a handler sends to the server itself.

use serde::Serialize;

use crate::answer::Response;
use crate::error::{Failure, Result};
use crate::host::requests;

/// Starts a request to the server itself.
///
/// The request passes through policies, routes and static files as if a client had sent it over HTTP.
///
/// ```
/// use hitchy_guest::{Response, Result, dispatch};
///
/// fn order() -> Result<Response> {
///     let stock = dispatch("GET", "/api/stock?item=7").send()?;
///     if stock.status() != 200 {
///         return Ok(stock);
///     }
///     Ok(dispatch("POST", "/api/orders").json(&stock.json::<serde_json::Value>()?)?.send()?)
/// }
/// ```
pub fn dispatch(method: impl Into<String>, url: impl Into<String>) -> Dispatch {
    Dispatch {
        method: method.into(),
        url: url.into(),
        headers: Vec::new(),
        body: Vec::new(),
    }
}

/// A request to the server itself that is being built, made by [`dispatch`].
#[derive(Debug)]
#[must_use = "nothing happens until it is sent"]
pub struct Dispatch {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Dispatch {
    /// Adds a header to the request.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body of the request.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets the body to JSON, and the content-type to `application/json`.
    ///
    /// # Errors
    /// Fails when the value cannot be written as JSON.
    pub fn json<T: Serialize + ?Sized>(self, value: &T) -> Result<Self> {
        let body = serde_json::to_vec(value)?;
        Ok(self.header("content-type", "application/json").body(body))
    }

    /// Sends the request and returns the response, whatever its status is.
    ///
    /// # Errors
    /// Returns 429 after the 16th dispatched request of one call, 508 when requests are nested more than 4 deep, and
    /// 504 when the caller's deadline has passed.
    pub fn send(self) -> Result<Response, Failure> {
        let Dispatch {
            method,
            url,
            headers,
            body,
        } = self;
        let response = requests::dispatch(&method, &url, &headers, &body).map_err(Failure::from)?;
        Ok(response.into())
    }
}
