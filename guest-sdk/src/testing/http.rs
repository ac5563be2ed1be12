//! Other servers, as a test plays them.

use std::rc::Rc;

use serde::de::DeserializeOwned;

use crate::double::http::{HttpRecord, PreparedHttp};
use crate::double::state;
use crate::http::wire::{Answer, Failed};
use crate::http::{ErrorKind, Response};

/// The answer of another server: a [`Response`], or the [`ErrorKind`] with which the request fails.
#[derive(Clone, Debug)]
pub struct HttpAnswer(Result<Response, ErrorKind>);

impl From<Response> for HttpAnswer {
    fn from(response: Response) -> Self {
        HttpAnswer(Ok(response))
    }
}

impl From<ErrorKind> for HttpAnswer {
    fn from(kind: ErrorKind) -> Self {
        HttpAnswer(Err(kind))
    }
}

impl HttpAnswer {
    fn into_result(self) -> Result<Answer, Failed> {
        let failed = |kind| Failed::new(kind, "the test wants this request to fail");
        self.0.map(Answer::from).map_err(failed)
    }
}

/// Prepares the answer of another server to a method and a URL, with its query. A newer answer replaces an older one.
/// Requests without a prepared answer are refused, as those to servers that the setting `outbound` does not name.
///
/// ```
/// use hitchy_guest::{http, testing};
///
/// testing::on_http("GET", "https://api.example.com/", http::Response::new(204));
/// assert_eq!(http::get("https://api.example.com/").unwrap().status(), 204);
/// assert!(http::get("https://other.example.com/").unwrap_err().is_refused());
/// ```
pub fn on_http(method: &str, url: &str, answer: impl Into<HttpAnswer>) {
    let answer = answer.into();
    on_http_with(method, url, move |_| answer.clone());
}

/// Prepares a function that answers requests to another server with this method and URL.
///
/// ```
/// use hitchy_guest::{http, testing};
///
/// testing::on_http_with("POST", "https://api.example.com/echo", |request| {
///     http::Response::new(200).with_body(request.body()).into()
/// });
/// let echo = http::post("https://api.example.com/echo").body("hi").send().unwrap();
/// assert_eq!(echo.text(), "hi");
/// ```
pub fn on_http_with(
    method: &str,
    url: &str,
    answer: impl Fn(&HttpRequest) -> HttpAnswer + 'static,
) {
    let prepared = PreparedHttp {
        method: method.to_owned(),
        url: url.to_owned(),
        answer: Rc::new(move |record| answer(&HttpRequest(record.clone())).into_result()),
    };
    state::with(|state| state.http_answers.push(prepared));
}

/// Returns the requests to other servers since the last [`reset`](super::reset) in their order, also those that were
/// refused.
pub fn http_requests() -> Vec<HttpRequest> {
    state::with(|state| {
        state
            .http_requests
            .iter()
            .cloned()
            .map(HttpRequest)
            .collect()
    })
}

/// A request to another server that the handler sent.
#[derive(Clone)]
pub struct HttpRequest(HttpRecord);

impl HttpRequest {
    /// Returns the method.
    pub fn method(&self) -> &str {
        &self.0.method
    }

    /// Returns the URL with its query.
    pub fn url(&self) -> &str {
        &self.0.url
    }

    /// Returns the first value of a header. The case of the name does not matter.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.0.headers.iter();
        let found = headers.find(|(other, _)| other.eq_ignore_ascii_case(name))?;
        Some(&found.1)
    }

    /// Returns the body.
    pub fn body(&self) -> &[u8] {
        &self.0.body
    }

    /// Reads the body as JSON.
    ///
    /// # Panics
    /// Panics when the body is not JSON or does not fit the type.
    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.0.body).expect("the body of the request fits")
    }
}

impl std::fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.0.method, self.0.url)
    }
}
