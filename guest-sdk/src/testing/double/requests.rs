//! Stands for the import `requests`.

use std::cell::RefCell;
use std::rc::Rc;

use super::sockets::Socket;
use crate::host::wit::{Failure, Response};
use crate::testing::request::dispatch_from_inside;
use crate::testing::world::{self, failure};

/// The part of a request that is known before a route is found.
pub(in crate::testing) struct Facts {
    pub(in crate::testing) method: String,
    pub(in crate::testing) url: String,
    pub(in crate::testing) headers: Vec<(String, String)>,
    pub(in crate::testing) body: Vec<u8>,
    pub(in crate::testing) door: &'static str,
    /// Namespace and id of the socket it came through.
    pub(in crate::testing) socket: Option<(String, String)>,
    pub(in crate::testing) context: RefCell<Vec<(String, String)>>,
    pub(in crate::testing) response_headers: RefCell<Vec<(String, String)>>,
}

pub(crate) struct Request {
    pub(in crate::testing) facts: Rc<Facts>,
    pub(in crate::testing) params: Vec<(String, String)>,
}

impl Request {
    pub(crate) fn id(&self) -> String {
        super::values(&self.facts.headers, "x-request-id")
            .into_iter()
            .next()
            .unwrap_or("test".to_owned())
    }

    pub(crate) fn method(&self) -> String {
        self.facts.method.clone()
    }

    pub(crate) fn url(&self) -> String {
        self.facts.url.clone()
    }

    pub(crate) fn header(&self, name: &str) -> Vec<String> {
        super::values(&self.facts.headers, name)
    }

    pub(crate) fn headers(&self) -> Vec<(String, String)> {
        self.facts.headers.clone()
    }

    pub(crate) fn body(&self) -> Vec<u8> {
        self.facts.body.clone()
    }

    pub(crate) fn param(&self, name: &str) -> Option<String> {
        super::get(&self.params, name)
    }

    pub(crate) fn door(&self) -> String {
        self.facts.door.to_owned()
    }

    pub(crate) fn remote(&self) -> String {
        self.socket()
            .map_or("127.0.0.1:50000".to_owned(), |socket| socket.remote())
    }

    pub(crate) fn socket(&self) -> Option<Socket> {
        self.facts
            .socket
            .as_ref()
            .map(|(namespace, id)| Socket::new(namespace, id))
    }

    pub(crate) fn get(&self, key: &str) -> Option<String> {
        super::get(&self.facts.context.borrow(), key)
    }

    pub(crate) fn set(&self, key: &str, value: &str) -> Result<(), Failure> {
        world::set(&mut self.facts.context.borrow_mut(), key, value)
    }

    pub(crate) fn set_response_header(&self, name: &str, value: &str) -> Result<(), Failure> {
        if value.contains(['\r', '\n', '\0']) {
            return Err(failure(
                400,
                "a header's value must not contain CR, LF or NUL",
            ));
        }
        self.facts
            .response_headers
            .borrow_mut()
            .push((name.to_ascii_lowercase(), value.to_owned()));
        Ok(())
    }

    pub(crate) fn deadline_ms(&self) -> u32 {
        10_000
    }
}

pub(crate) fn dispatch(
    method: &str,
    url: &str,
    headers: &[(String, String)],
    body: &[u8],
) -> Result<Response, Failure> {
    dispatch_from_inside(method, url, headers, body)
}
