//! Requests to other servers.
//!
//! A handler may call the servers that its setting `outbound` names, and no others: see the section "Calling other
//! servers" of the guide. A function here returns when the whole response is there.
//!
//! ```
//! use hitchy_guest::{App, Json, Path, Result, http};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Deserialize, Serialize)]
//! struct Weather { temperature: f64 }
//!
//! fn app() -> App {
//!     App::new().get("/weather/{city}", weather)
//! }
//!
//! fn weather(Path(city): Path<String>) -> Result<Json<Weather>> {
//!     let answer = http::request("GET", "https://api.example.com/weather")
//!         .query("city", &city)
//!         .header("authorization", "Bearer …")
//!         .send()?
//!         .error_for_status()?;
//!     Ok(Json(answer.json()?))
//! }
//!
//! // In a test, the other server is played by the test double:
//! use hitchy_guest::testing;
//!
//! let app = testing::App::new(app);
//! let sunny = http::Response::new(200).with_json(&Weather { temperature: 31.5 });
//! testing::on_http("GET", "https://api.example.com/weather?city=Rome", sunny);
//! assert_eq!(app.get("/weather/Rome").send().text().unwrap(), r#"{"temperature":31.5}"#);
//! assert_eq!(testing::http_requests()[0].header("authorization"), Some("Bearer …"));
//! ```
//!
//! # Errors
//! [`Error::kind`] tells a server that may not be called from one that failed and from one that took too long. The `?`
//! operator in a function that returns [`hitchy_guest::Result`](crate::Result) writes the error to the log and answers
//! the client with 504 after a timeout, with 502 after another failure of the server, and with 500 if the server may not
//! be called or the request is not valid. A status of 400 or more is an error only after
//! [`Response::error_for_status`].
//!
//! # Limits
//! Unless the operator's settings say otherwise, a call may send 32 requests, a body has at most 4 MiB, and a request
//! takes at most 10 seconds and never longer than the call has left. Waiting is not processor time. Redirects are not
//! followed: the response has the status and the header `location`.

mod error;
mod response;
#[cfg(target_family = "wasm")]
mod send;
pub(crate) mod wire;

use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;

pub use self::error::{Error, ErrorKind};
pub use self::response::Response;
#[cfg(target_family = "wasm")]
use self::send::send;
use self::wire::Parts;
#[cfg(not(target_family = "wasm"))]
use crate::double::http::send;

/// The value of the header `user-agent` if the handler sets none. Some servers refuse requests without one.
const USER_AGENT: &str = concat!("hitchy-guest/", env!("CARGO_PKG_VERSION"));

/// Sends a GET request and waits for the response.
///
/// ```
/// use hitchy_guest::{Result, http};
///
/// fn rates() -> Result<serde_json::Value> {
///     Ok(http::get("https://api.example.com/rates")?.json()?)
/// }
/// # assert!(rates().is_err());
/// ```
///
/// # Errors
/// The server may not be called, fails or takes too long.
pub fn get(url: impl AsRef<str>) -> Result<Response, Error> {
    request("GET", url).send()
}

/// Starts a POST request.
///
/// ```
/// use hitchy_guest::{Result, http};
/// use serde_json::json;
///
/// fn notify(text: &str) -> Result<()> {
///     http::post("https://hooks.example.com/notify")
///         .json(&json!({ "text": text }))
///         .send()?
///         .error_for_status()?;
///     Ok(())
/// }
/// # assert!(notify("hi").is_err());
/// ```
pub fn post(url: impl AsRef<str>) -> Request {
    request("POST", url)
}

/// Starts a request with any method, in upper case.
pub fn request(method: &str, url: impl AsRef<str>) -> Request {
    Request {
        method: method.to_owned(),
        url: url.as_ref().to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
        timeout: None,
        invalid: None,
    }
}

/// A request to another server that is about to be sent.
#[derive(Clone, Debug)]
#[must_use = "nothing happens until it is sent"]
pub struct Request {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    timeout: Option<Duration>,
    /// The first mistake of the one who made the request.
    invalid: Option<String>,
}

impl Request {
    /// Adds a header. The host sets `host`, `connection` and other headers of the connection itself and refuses them here.
    pub fn header(mut self, name: &str, value: impl AsRef<str>) -> Self {
        let header = (name.to_ascii_lowercase(), value.as_ref().to_owned());
        self.headers.push(header);
        self
    }

    /// Adds a parameter to the query of the URL, encoded as needed.
    pub fn query(mut self, name: &str, value: impl AsRef<str>) -> Self {
        // A fragment is not sent in any case.
        let end = self.url.find('#').unwrap_or(self.url.len());
        self.url.truncate(end);
        self.url
            .push(if self.url.contains('?') { '&' } else { '?' });
        encode(name, &mut self.url);
        self.url.push('=');
        encode(value.as_ref(), &mut self.url);
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets the body to JSON, and the header `content-type` to `application/json`.
    pub fn json<T: Serialize + ?Sized>(mut self, value: &T) -> Self {
        match serde_json::to_vec(value) {
            Ok(json) => self.body = json,
            Err(error) => {
                self.invalid
                    .get_or_insert(format!("the body cannot be written as JSON: {error}"));
            }
        }
        self.header("content-type", "application/json")
    }

    /// Sets the longest time to connect, to wait for the first byte of the response, and to wait between two parts of its
    /// body. It can only shorten the times that the operator's settings allow.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sends the request and waits for the whole response, whatever its status is.
    ///
    /// # Errors
    /// The server may not be called, fails or takes too long, or the request is not valid.
    pub fn send(self) -> Result<Response, Error> {
        let shown = self.shown();
        let answered = self.parts().and_then(send);
        let (status, headers, body) = match answered {
            Ok(answer) => (answer.status, answer.headers, answer.body),
            Err(failed) => return Err(Error::new(failed.kind, shown, failed.cause)),
        };
        Ok(Response::received(shown, status, headers, body))
    }

    /// Returns method and URL for errors. The query may hold secrets and is left out.
    fn shown(&self) -> String {
        let end = self.url.find(['?', '#']).unwrap_or(self.url.len());
        format!("{} {}", self.method, &self.url[..end])
    }

    fn parts(self) -> Result<Parts, wire::Failed> {
        let invalid = |cause: &str| wire::Failed::new(ErrorKind::Invalid, cause);
        if let Some(cause) = self.invalid {
            return Err(invalid(&cause));
        }
        let no_scheme = || invalid("the URL must begin with http:// or https://");
        let (scheme, rest) = self.url.split_once("://").ok_or_else(no_scheme)?;
        let is_secure = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(no_scheme()),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let slash = if path.starts_with('/') { "" } else { "/" };
        let mut headers = self.headers;
        if !headers.iter().any(|(name, _)| name == "user-agent") {
            headers.push(("user-agent".to_owned(), USER_AGENT.to_owned()));
        }
        Ok(Parts {
            method: self.method,
            is_secure,
            authority: authority.to_owned(),
            path: format!("{slash}{path}"),
            headers,
            body: self.body,
            timeout: self.timeout,
        })
    }
}

/// Appends a text, with everything but unreserved characters (RFC 3986, 2.3) encoded.
fn encode(text: &str, to: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            to.push(byte.into());
        } else {
            // Writing to a `String` does not fail.
            let _ = write!(to, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(url: &str) -> Option<(bool, String, String)> {
        let parts = request("GET", url).parts().ok()?;
        Some((parts.is_secure, parts.authority, parts.path))
    }

    #[test]
    fn a_url_is_split_into_what_is_sent() {
        let is = |secure, authority: &str, path: &str| {
            Some((secure, authority.to_owned(), path.to_owned()))
        };
        assert_eq!(parts("https://a.b"), is(true, "a.b", "/"));
        assert_eq!(
            parts("HTTP://a.b:80/x?y=/#z"),
            is(false, "a.b:80", "/x?y=/")
        );
        assert_eq!(parts("http://a.b?x"), is(false, "a.b", "/?x"));
        assert_eq!(parts("ftp://a.b/"), None);
        assert_eq!(parts("/x"), None);
    }

    #[test]
    fn parameters_are_encoded() {
        let url = |url: &str| request("GET", url).query("a b", "c&d=ü").url;
        assert_eq!(url("http://x/#top"), "http://x/?a%20b=c%26d%3D%C3%BC");
        assert_eq!(url("http://x/?y=1"), "http://x/?y=1&a%20b=c%26d%3D%C3%BC");
    }
}
