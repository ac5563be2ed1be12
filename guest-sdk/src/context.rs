//! The context of a request or of a connection: what hooks and policies found out, for those who come after.

use std::fmt;
use std::rc::Rc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Failure, Result};
use crate::host::{requests, sockets};

/// Values that belong to a request or to a connection, by name.
///
/// A connection's context lives as long as the client is connected to the namespace, through reloads. A request's context starts as
/// a copy of its socket's, policies add to it, and it is never written back. At most 32 keys and 16 KiB.
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

    /// The value of a key, if it is set.
    ///
    /// # Errors
    /// An internal error, when what is stored is no `T`: handlers disagree about this key.
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

    /// Sets a key.
    ///
    /// # Errors
    /// 413 when the context gets too large; an internal error when the value cannot be written as JSON.
    pub fn set<T: Serialize + ?Sized>(&self, key: &str, value: &T) -> Result<()> {
        Ok(self.set_raw(key, &serde_json::to_string(value)?)?)
    }

    /// The text of a key as it is stored. What [`set`](Context::set) wrote is JSON.
    pub fn get_raw(&self, key: &str) -> Option<String> {
        match &self.0 {
            Owner::Request(request) => request.get(key),
            Owner::Socket(socket) => socket.get(key),
        }
    }

    /// Stores text as it is. [`get`](Context::get) understands it if it is JSON.
    ///
    /// # Errors
    /// 413 when the context gets too large.
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
