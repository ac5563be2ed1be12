//! The request that a route or policy handles.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use crate::context::Context;
use crate::error::{Failure, Result};
use crate::headers::Headers;
use crate::host::requests;
use crate::socket::Socket;

/// A request, with the same methods for every door through which it can arrive. Most functions use extractors instead.
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
    /// Path of the route as it was declared. It gives the order of the parameters, and it is empty for a policy.
    pattern: &'static str,
    /// Status of the response. It is set for `after` policies only.
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

    /// Returns the id of the call: the client's `x-request-id`, which is also the id in the log.
    pub fn id(&self) -> String {
        self.handle().id()
    }

    /// Returns the method in upper case.
    pub fn method(&self) -> String {
        self.handle().method()
    }

    /// Returns the path in normal form, followed by `?` and the query as it was sent, if there is one.
    pub fn url(&self) -> String {
        self.handle().url()
    }

    /// Returns the path in normal form.
    pub fn path(&self) -> String {
        let mut url = self.url();
        url.truncate(url.find('?').unwrap_or(url.len()));
        url
    }

    /// Returns the query as it was sent, without `?`. Use [`Query`](crate::Query) to read it as a type.
    pub fn query(&self) -> Option<String> {
        self.url()
            .split_once('?')
            .map(|(_, query)| query.to_owned())
    }

    /// Returns the path of the route as it was declared, for example `/api/hello/{name}`. It is empty for a policy.
    pub fn pattern(&self) -> &'static str {
        self.pattern
    }

    /// Returns a parameter of the route's path, percent-decoded.
    pub fn param(&self, name: &str) -> Option<String> {
        self.handle().param(name)
    }

    /// Returns the first value of a header. The case of the name does not matter.
    pub fn header(&self, name: &str) -> Option<String> {
        self.handle().header(name).into_iter().next()
    }

    /// Returns the headers of the request.
    pub fn headers(&self) -> Headers {
        Headers::new(self.handle().headers())
    }

    /// Returns the body. It is empty when the request has none.
    pub fn body(&self) -> Vec<u8> {
        self.handle().body()
    }

    /// Returns the door through which the request arrived: `http`, `socket` (`request` over a socket) or `dispatch`
    /// (from a handler). Later versions may add doors.
    pub fn door(&self) -> String {
        self.handle().door()
    }

    /// Returns the address of the peer, as `ip:port`.
    pub fn remote(&self) -> String {
        self.handle().remote()
    }

    /// Returns the socket through which a `request` arrived, or `None` for the other doors.
    pub fn socket(&self) -> Option<Socket> {
        self.handle().socket().map(Socket::new)
    }

    /// Returns the context: the values that hooks and policies have set for this request.
    pub fn context(&self) -> Context {
        Context::of_request(self.handle.clone())
    }

    /// Adds a header to the response, also if the response is an error. This is meant for policies.
    ///
    /// # Errors
    /// Returns 400 when the name or value is not valid in a header.
    pub fn set_response_header(&self, name: &str, value: &str) -> Result<(), Failure> {
        self.handle()
            .set_response_header(name, value)
            .map_err(Failure::from)
    }

    /// Returns the time that is left until the call's deadline.
    pub fn deadline(&self) -> Duration {
        Duration::from_millis(self.handle().deadline_ms().into())
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({} {})", self.method(), self.url())
    }
}
