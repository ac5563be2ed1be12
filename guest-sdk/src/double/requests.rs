//! The import `requests`.

use std::cell::RefCell;
use std::rc::Rc;

use super::instances::Scope;
use super::sockets::Socket;
use super::state::{self, failure};
use crate::bindings::hitchy::platform::types::{Failure, Response};

/// Parts of a request that do not depend on the route.
pub(crate) struct RequestParts {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) door: &'static str,
    /// Namespace and id of the socket through which the request arrived.
    pub(crate) socket: Option<(String, String)>,
    pub(crate) context: RefCell<Vec<(String, String)>>,
    pub(crate) response_headers: RefCell<Vec<(String, String)>>,
}

/// A request as a function of the handler receives it. It is valid until the call ends in which it was made.
pub(crate) struct Request {
    parts: Rc<RequestParts>,
    params: Vec<(String, String)>,
    scope: Scope,
}

impl Request {
    pub(crate) fn new(parts: Rc<RequestParts>, params: Vec<(String, String)>) -> Self {
        Request {
            parts,
            params,
            scope: Scope::current(),
        }
    }

    /// Returns the sentence for the author when the call of this handle is over.
    fn check(&self) -> Result<(), String> {
        let remedy = "keep what was read from it";
        self.scope.check("a request", remedy)
    }

    /// Returns the parts of the request. Panics when the call of this handle is over. The server ends a call for it,
    /// because functions that read a request cannot fail.
    fn parts(&self) -> &RequestParts {
        self.check().unwrap_or_else(|sentence| panic!("{sentence}"));
        &self.parts
    }

    /// Returns 410 when the call of this handle is over.
    fn usable(&self) -> Result<(), Failure> {
        self.check().map_err(|sentence| failure(410, &sentence))
    }

    pub(crate) fn id(&self) -> String {
        super::values(&self.parts().headers, "x-request-id")
            .into_iter()
            .next()
            .unwrap_or("test".to_owned())
    }

    pub(crate) fn method(&self) -> String {
        self.parts().method.clone()
    }

    pub(crate) fn url(&self) -> String {
        self.parts().url.clone()
    }

    pub(crate) fn header(&self, name: &str) -> Vec<String> {
        super::values(&self.parts().headers, name)
    }

    pub(crate) fn headers(&self) -> Vec<(String, String)> {
        self.parts().headers.clone()
    }

    pub(crate) fn body(&self) -> Vec<u8> {
        self.parts().body.clone()
    }

    pub(crate) fn param(&self, name: &str) -> Option<String> {
        self.parts();
        super::get(&self.params, name)
    }

    pub(crate) fn door(&self) -> String {
        self.parts().door.to_owned()
    }

    pub(crate) fn remote(&self) -> String {
        self.socket()
            .map_or("127.0.0.1:50000".to_owned(), |socket| socket.remote())
    }

    pub(crate) fn socket(&self) -> Option<Socket> {
        self.parts()
            .socket
            .as_ref()
            .map(|(namespace, id)| Socket::new(namespace, id))
    }

    pub(crate) fn get(&self, key: &str) -> Option<String> {
        super::get(&self.parts().context.borrow(), key)
    }

    pub(crate) fn set(&self, key: &str, value: &str) -> Result<(), Failure> {
        self.usable()?;
        state::set(&mut self.parts().context.borrow_mut(), key, value)
    }

    pub(crate) fn set_response_header(&self, name: &str, value: &str) -> Result<(), Failure> {
        self.usable()?;
        if value.contains(['\r', '\n', '\0']) {
            return Err(failure(
                400,
                "a header's value must not contain CR, LF or NUL",
            ));
        }
        self.parts()
            .response_headers
            .borrow_mut()
            .push((name.to_ascii_lowercase(), value.to_owned()));
        Ok(())
    }

    pub(crate) fn deadline_ms(&self) -> u32 {
        self.parts();
        10_000
    }
}

/// Answers a dispatched request with the app under test. It applies the limit of nested requests.
pub(crate) fn dispatch(
    method: &str,
    url: &str,
    headers: &[(String, String)],
    body: &[u8],
) -> Result<Response, Failure> {
    let Some(dispatcher) = state::with(|state| state.dispatcher.clone()) else {
        return Err(failure(
            404,
            "no app answers requests from inside: begin with testing::App::new",
        ));
    };
    if state::with(|state| state.depth) == 4 {
        return Err(failure(508, "requests from inside are more than 4 deep"));
    }
    state::with(|state| state.depth += 1);
    let response = dispatcher(method, url, headers, body);
    state::with(|state| state.depth -= 1);
    Ok(response)
}
