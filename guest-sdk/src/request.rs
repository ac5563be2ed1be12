//! The request at hand.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use crate::context::Context;
use crate::error::{Failure, Result};
use crate::headers::Headers;
use crate::host::requests;
use crate::socket::Socket;

/// The request at hand, whichever door it came through. Most functions take what they need through extractors instead.
///
/// ```
/// use hitchy_guest::Request;
///
/// fn describe(request: Request) -> String {
///     format!("{} {} through {}", request.method(), request.path(), request.door())
/// }
/// ```
#[derive(Clone)]
pub struct Request {
    handle: Rc<requests::Request>,
    /// The route's path as it was declared, which says in which order its parameters stand. Empty for a policy.
    pattern: &'static str,
    /// What was answered: known to `after` policies only.
    status: Option<u16>,
}

impl Request {
    pub(crate) fn new(
        handle: requests::Request,
        pattern: &'static str,
        status: Option<u16>,
    ) -> Self {
        Request {
            handle: Rc::new(handle),
            pattern,
            status,
        }
    }

    pub(crate) fn handle(&self) -> &requests::Request {
        &self.handle
    }

    pub(crate) fn status(&self) -> Option<u16> {
        self.status
    }

    /// Identifies the call: the client's `x-request-id` and the id in the log.
    pub fn id(&self) -> String {
        self.handle().id()
    }

    /// Upper case.
    pub fn method(&self) -> String {
        self.handle().method()
    }

    /// The path in normal form, then `?` and the query as it was sent, if there is one.
    pub fn url(&self) -> String {
        self.handle().url()
    }

    /// The path in normal form.
    pub fn path(&self) -> String {
        let mut url = self.url();
        url.truncate(url.find('?').unwrap_or(url.len()));
        url
    }

    /// The query as it was sent, without `?`. [`Query`](crate::Query) reads it as a type.
    pub fn query(&self) -> Option<String> {
        self.url()
            .split_once('?')
            .map(|(_, query)| query.to_owned())
    }

    /// The route's path as it was declared, `/api/hello/{name}`. Empty for a policy.
    pub fn pattern(&self) -> &'static str {
        self.pattern
    }

    /// A parameter of the route's path, percent-decoded.
    pub fn param(&self, name: &str) -> Option<String> {
        self.handle().param(name)
    }

    /// The first value of a header. The name may be in any case.
    pub fn header(&self, name: &str) -> Option<String> {
        self.handle().header(name).into_iter().next()
    }

    /// All headers.
    pub fn headers(&self) -> Headers {
        Headers::new(self.handle().headers())
    }

    /// The whole body; empty when there is none.
    pub fn body(&self) -> Vec<u8> {
        self.handle().body()
    }

    /// `http`, `socket` (`request` over a socket) or `dispatch` (from a handler). Doors may be added.
    pub fn door(&self) -> String {
        self.handle().door()
    }

    /// The peer's address, `ip:port`.
    pub fn remote(&self) -> String {
        self.handle().remote()
    }

    /// The connection that a `request` over a socket came through.
    pub fn socket(&self) -> Option<Socket> {
        self.handle().socket().map(Socket::new)
    }

    /// What hooks and policies found out about this request.
    pub fn context(&self) -> Context {
        Context::of_request(self.handle.clone())
    }

    /// For policies: adds a header to whatever is answered, errors too.
    ///
    /// # Errors
    /// 400 for a name or value that is no header.
    pub fn set_response_header(&self, name: &str, value: &str) -> Result<(), Failure> {
        self.handle()
            .set_response_header(name, value)
            .map_err(Failure::from)
    }

    /// What is left of the call's deadline.
    pub fn deadline(&self) -> Duration {
        Duration::from_millis(self.handle().deadline_ms().into())
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({} {})", self.method(), self.url())
    }
}
