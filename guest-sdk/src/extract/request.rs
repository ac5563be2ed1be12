//! Extractors that routes and policies need besides the body, the path and the query.

use super::FromRequest;
use crate::context::Context;
use crate::error::{Error, Failure, Result};
use crate::headers::Headers;
use crate::request::Request;
use crate::socket::Socket;

/// Extractor for the status of the response. It works in [`after`](crate::App::after) policies only.
///
/// ```
/// use hitchy_guest::{App, Request, Status};
///
/// fn app() -> App {
///     App::new().after("/api", |request: Request, Status(status): Status| println!("{} {status}", request.path()))
/// }
/// # app();
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(pub u16);

impl FromRequest for Status {
    fn from_request(request: &Request) -> Result<Self> {
        let status = request.status();
        status
            .map(Status)
            .ok_or_else(|| Error::internal("Status is known to `after` policies only"))
    }
}

impl FromRequest for Request {
    fn from_request(request: &Request) -> Result<Self> {
        Ok(request.clone())
    }
}

impl FromRequest for Headers {
    fn from_request(request: &Request) -> Result<Self> {
        Ok(request.headers())
    }
}

impl FromRequest for Context {
    fn from_request(request: &Request) -> Result<Self> {
        Ok(request.context())
    }
}

/// Extracts the socket through which a `request` arrived. Use `Option<Socket>` where requests over HTTP are possible
/// too.
impl FromRequest for Socket {
    fn from_request(request: &Request) -> Result<Self> {
        request
            .socket()
            .ok_or_else(|| Failure::new(400, "this works over a socket only").into())
    }
}
