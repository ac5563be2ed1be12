//! The context of a request or of a connection: values that hooks and policies leave for the functions that run later.

use std::fmt;
use std::rc::Rc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Failure, Result};
use crate::host::{requests, sockets};

/// Values by key that belong to a request or to a connection.
///
/// The context of a connection lives as long as the client is connected to the namespace, also through reloads. The
/// context of a request starts as a copy of its socket's context. Policies add to it, and it is never written back to
/// the socket. A context has at most 32 keys and 16 KiB.
///
/// ```
/// use hitchy_guest::{Context, Failure, Result};
///
/// fn whoami(context: Context) -> Result<String> {
///     context.get("user")?.ok_or(Failure::new(401, "log in first").into())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Context(Owner);

/// The request or socket that stores the values. It holds a handle of the host instead of `Request` or `Socket`,
/// because those use this file.
#[derive(Clone)]
enum Owner {
    Request(Rc<requests::Request>),
    Socket(Rc<sockets::Socket>),
}

impl Context {
    pub(crate) fn of_request(request: Rc<requests::Request>) -> Self {
        Context(Owner::Request(request))
    }

    pub(crate) fn of_socket(socket: Rc<sockets::Socket>) -> Self {
        Context(Owner::Socket(socket))
    }

    /// Returns the value of a key, or `None` if the key is not set.
    ///
    /// # Errors
    /// Fails with an internal error when the stored value does not fit `T`, because handlers then disagree about the
    /// key.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        let Some(json) = self.get_raw(key) else {
            return Ok(None);
        };
        let value = serde_json::from_str(&json);
        value.map(Some).map_err(|error| {
            Error::internal(format_args!(
                "the context's `{key}` is something else: {error}"
            ))
        })
    }

    /// Sets the value of a key.
    ///
    /// # Errors
    /// Returns 413 when the context becomes too large, and an internal error when the value cannot be written as JSON.
    pub fn set<T: Serialize + ?Sized>(&self, key: &str, value: &T) -> Result<()> {
        Ok(self.set_raw(key, &serde_json::to_string(value)?)?)
    }

    /// Returns the stored text of a key. It is JSON if [`set`](Context::set) wrote it.
    pub fn get_raw(&self, key: &str) -> Option<String> {
        match &self.0 {
            Owner::Request(request) => request.get(key),
            Owner::Socket(socket) => socket.get(key),
        }
    }

    /// Sets the stored text of a key. [`get`](Context::get) can read it only if it is JSON.
    ///
    /// # Errors
    /// Returns 413 when the context becomes too large.
    pub fn set_raw(&self, key: &str, value: &str) -> Result<(), Failure> {
        let done = match &self.0 {
            Owner::Request(request) => request.set(key, value),
            Owner::Socket(socket) => socket.set(key, value),
        };
        done.map_err(Failure::from)
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Owner::Request(request) => write!(f, "Request({} {})", request.method(), request.url()),
            Owner::Socket(socket) => write!(f, "Socket({} in {})", socket.id(), socket.namespace()),
        }
    }
}
