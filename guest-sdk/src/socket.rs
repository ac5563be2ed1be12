//! One client's connection to one namespace.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::audience::{Audience, IntoRooms};
use crate::context::Context;
use crate::error::{Error, Failure, Result};
use crate::headers::Headers;
use crate::host::{milliseconds, sockets};
use crate::mismatch;
use crate::payload::{self, Payload};

/// One client's connection to one namespace: the sender of an event, the client of a connection hook, or one that
/// [`find`](crate::find) found.
///
/// It outlives calls and reloads; a `Socket` itself lives as long as the call. What is done to a connection that is gone does nothing, or
/// fails with 410.
///
/// ```
/// use hitchy_guest::{Data, Result, Socket};
///
/// fn enter(socket: Socket, Data(room): Data<String>) -> Result<()> {
///     socket.join(&room)?;
///     socket.to(&room).emit("entered", &socket.id())?; // to the others
///     socket.emit("welcome", &(&room, socket.rooms()))?; // to this one: two arguments
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct Socket(Rc<sockets::Socket>);

impl Socket {
    pub(crate) fn new(handle: sockets::Socket) -> Self {
        Socket(Rc::new(handle))
    }

    /// Identifies the connection; the same in every namespace of one client. Treat it as a secret of that client.
    pub fn id(&self) -> String {
        self.0.id()
    }

    /// `/` or `/…`.
    pub fn namespace(&self) -> String {
        self.0.namespace()
    }

    /// The peer's address, `ip:port`.
    pub fn remote(&self) -> String {
        self.0.remote()
    }

    /// The query of the handshake, raw. [`Query`](crate::Query) reads it as a type.
    pub fn query(&self) -> String {
        self.0.query()
    }

    /// The first value of a header of the handshake. The name may be in any case.
    pub fn header(&self, name: &str) -> Option<String> {
        self.0.header(name).into_iter().next()
    }

    /// All headers of the handshake.
    pub fn headers(&self) -> Headers {
        Headers::new(self.0.headers())
    }

    /// What the client sent with CONNECT, `io(url, { auth })`; `None` if it sent nothing.
    ///
    /// # Errors
    /// A 400 that says what does not fit.
    pub fn auth<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        let Some(json) = self.0.auth() else {
            return Ok(None);
        };
        let auth = serde_json::from_str(&json);
        auth.map(Some)
            .map_err(|error| Error::rejected(mismatch::json("auth", json.as_bytes(), &error)))
    }

    /// What this connection's hooks and listeners remember of it.
    pub fn context(&self) -> Context {
        Context::of_socket(self.0.clone())
    }

    /// A value of the connection's context: short for `context().get(key)`.
    ///
    /// # Errors
    /// As [`Context::get`].
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        self.context().get(key)
    }

    /// Remembers a value as long as the client is connected to this namespace: short for `context().set(key, value)`.
    ///
    /// # Errors
    /// As [`Context::set`].
    pub fn set<T: Serialize + ?Sized>(&self, key: &str, value: &T) -> Result<()> {
        self.context().set(key, value)
    }

    /// The rooms the connection is in, its own id among them. Still readable when it is gone.
    pub fn rooms(&self) -> Vec<String> {
        self.0.rooms()
    }

    /// Joins a room, or several.
    ///
    /// # Errors
    /// 410 when the client is gone, 413 when it would be in more than 1,000 rooms.
    pub fn join(&self, rooms: impl IntoRooms) -> Result<(), Failure> {
        self.0.join(&rooms.into_rooms()).map_err(Failure::from)
    }

    /// Leaves a room, or several.
    ///
    /// # Errors
    /// 410 when the client is gone.
    pub fn leave(&self, rooms: impl IntoRooms) -> Result<(), Failure> {
        self.0.leave(&rooms.into_rooms()).map_err(Failure::from)
    }

    /// Emits to this client only. A tuple is several arguments, `()` is none, anything else one.
    ///
    /// # Errors
    /// 400 for a reserved event name, 409 in `on_connect` (greet in `on_connected`), 410 when the client is gone, 413 for too much
    /// data, 429 for too many emits in one call, 503 when the client does not take what it is sent.
    pub fn emit<T: Serialize + ?Sized>(&self, event: &str, data: &T) -> Result<(), Failure> {
        self.0
            .emit(event, &payload::outgoing(data)?)
            .map_err(Failure::from)
    }

    /// Emits arguments as they are.
    ///
    /// # Errors
    /// As [`emit`](Socket::emit), and 400 for arguments that are not well formed.
    pub fn emit_payload(&self, event: &str, arguments: &Payload) -> Result<(), Failure> {
        self.0
            .emit(event, &arguments.clone().into())
            .map_err(Failure::from)
    }

    /// Emits, and waits for the client's answer: as type, a tuple takes several arguments, `()` none, anything else the first.
    ///
    /// ```
    /// use std::time::Duration;
    /// use hitchy_guest::{Result, Socket};
    ///
    /// fn ask(socket: Socket) -> Result<String> {
    ///     Ok(socket.emit_with_ack("your name?", &(), Duration::from_secs(5))?)
    /// }
    /// ```
    ///
    /// The wait counts as part of the call: it ends at the call's deadline, however long the timeout.
    ///
    /// # Errors
    /// As [`emit`](Socket::emit); 504 when no answer came in time, 400 when it does not fit.
    pub fn emit_with_ack<T: DeserializeOwned>(
        &self,
        event: &str,
        data: &(impl Serialize + ?Sized),
        timeout: Duration,
    ) -> Result<T, Failure> {
        let ack = self
            .0
            .emit_with_ack(event, &payload::outgoing(data)?, milliseconds(timeout));
        Payload::from(ack.map_err(Failure::from)?).data()
    }

    /// Disconnects the client from this namespace.
    pub fn disconnect(&self) {
        self.0.disconnect(false);
    }

    /// Disconnects the client from all namespaces and closes its connection.
    pub fn close(&self) {
        self.0.disconnect(true);
    }

    /// The others in a room of this namespace, or in several: not this socket.
    pub fn to(&self, rooms: impl IntoRooms) -> Audience {
        self.broadcast().to(rooms)
    }

    /// Everyone in a room of this namespace, or in several, this socket too.
    pub fn within(&self, rooms: impl IntoRooms) -> Audience {
        Audience::of(self.namespace()).to(rooms)
    }

    /// The others in this namespace but those in a room, or in several.
    pub fn except(&self, rooms: impl IntoRooms) -> Audience {
        self.broadcast().except(rooms)
    }

    /// The others in this namespace: not this socket.
    pub fn broadcast(&self) -> Audience {
        Audience::of(self.namespace()).except(self.id())
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Socket({} in {})", self.id(), self.namespace())
    }
}
