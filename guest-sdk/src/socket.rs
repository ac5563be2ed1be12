//! The connection of one client to one namespace.

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

/// The connection of one client to one namespace: the sender of an event, the client of a connection hook, or a result
/// of [`find`](crate::find).
///
/// The connection outlives calls and reloads, and a `Socket` lives as long as the call. After the client has
/// disconnected, methods have no effect or fail with 410.
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

    /// Returns the id of the connection, which is the same in every namespace of one client. Treat it as a secret of
    /// that client.
    pub fn id(&self) -> String {
        self.0.id()
    }

    /// Returns the namespace: `/`, or `/` and a name.
    pub fn namespace(&self) -> String {
        self.0.namespace()
    }

    /// Returns the address of the peer, as `ip:port`.
    pub fn remote(&self) -> String {
        self.0.remote()
    }

    /// Returns the raw query of the handshake. Use [`Query`](crate::Query) to read it as a type.
    pub fn query(&self) -> String {
        self.0.query()
    }

    /// Returns the first value of a header of the handshake. The case of the name does not matter.
    pub fn header(&self, name: &str) -> Option<String> {
        self.0.header(name).into_iter().next()
    }

    /// Returns the headers of the handshake.
    pub fn headers(&self) -> Headers {
        Headers::new(self.0.headers())
    }

    /// Reads the data that the client sent with CONNECT, `io(url, { auth })`. Returns `None` if it sent none.
    ///
    /// # Errors
    /// Returns a 400 with a sentence that says which value does not fit.
    pub fn auth<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        let Some(json) = self.0.auth() else {
            return Ok(None);
        };
        let auth = serde_json::from_str(&json);
        auth.map(Some)
            .map_err(|error| Error::rejected(mismatch::json("auth", json.as_bytes(), &error)))
    }

    /// Returns the context of the connection: the values that its hooks and listeners have set.
    pub fn context(&self) -> Context {
        Context::of_socket(self.0.clone())
    }

    /// Returns a value of the connection's context. This is short for `context().get(key)`.
    ///
    /// # Errors
    /// Returns the errors of [`Context::get`].
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        self.context().get(key)
    }

    /// Sets a value for as long as the client is connected to this namespace. This is short for `context().set(key,
    /// value)`.
    ///
    /// # Errors
    /// Returns the errors of [`Context::set`].
    pub fn set<T: Serialize + ?Sized>(&self, key: &str, value: &T) -> Result<()> {
        self.context().set(key, value)
    }

    /// Returns the rooms of the connection, which include its own id. They can still be read after the client has
    /// disconnected.
    pub fn rooms(&self) -> Vec<String> {
        self.0.rooms()
    }

    /// Fails unless the connection is in a room. An event that is for a room begins with this check.
    ///
    /// # Errors
    /// Returns 403.
    pub fn require(&self, room: &str) -> Result<(), Failure> {
        if self.rooms().iter().any(|joined| joined == room) {
            return Ok(());
        }
        Err(Failure::new(403, "Join the room first."))
    }

    /// Joins a room, or several.
    ///
    /// # Errors
    /// Returns 410 when the client has disconnected, and 413 when it would be in more than 1,000 rooms.
    pub fn join(&self, rooms: impl IntoRooms) -> Result<(), Failure> {
        self.0.join(&rooms.into_rooms()).map_err(Failure::from)
    }

    /// Leaves a room, or several.
    ///
    /// # Errors
    /// Returns 410 when the client has disconnected.
    pub fn leave(&self, rooms: impl IntoRooms) -> Result<(), Failure> {
        self.0.leave(&rooms.into_rooms()).map_err(Failure::from)
    }

    /// Emits an event to this client only.
    ///
    /// A tuple is sent as several arguments, `()` as none, and any other value as one.
    ///
    /// # Errors
    /// Returns 400 for a reserved event name, 409 in `on_connect` (use `on_connected` for a greeting), 410 when the
    /// client has disconnected, 413 when there is too much data, 429 after too many emits in one call, and 503 when the
    /// client does not read what it is sent.
    pub fn emit<T: Serialize + ?Sized>(&self, event: &str, data: &T) -> Result<(), Failure> {
        self.0
            .emit(event, &payload::outgoing(data)?)
            .map_err(Failure::from)
    }

    /// Emits an event with arguments that are already encoded.
    ///
    /// # Errors
    /// Returns the errors of [`emit`](Socket::emit), and 400 for arguments that are not well formed.
    pub fn emit_payload(&self, event: &str, arguments: &Payload) -> Result<(), Failure> {
        self.0
            .emit(event, &arguments.clone().into())
            .map_err(Failure::from)
    }

    /// Emits an event and waits for the client's ack.
    ///
    /// As the type of the ack, a tuple takes several arguments, `()` takes none, and any other type takes the first.
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
    /// The wait counts as part of the call. It ends at the call's deadline, even if the timeout is longer.
    ///
    /// # Errors
    /// Returns the errors of [`emit`](Socket::emit), 504 when the ack did not arrive in time, and 400 when it does not
    /// fit the type.
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

    /// Returns the audience of a room of this namespace, or of several rooms, without this socket.
    pub fn to(&self, rooms: impl IntoRooms) -> Audience {
        self.broadcast().to(rooms)
    }

    /// Returns the audience of a room of this namespace, or of several rooms, this socket included.
    pub fn within(&self, rooms: impl IntoRooms) -> Audience {
        Audience::of(self.namespace()).to(rooms)
    }

    /// Returns the audience of this namespace without this socket and without the sockets in a room, or in at least one
    /// of several rooms.
    pub fn except(&self, rooms: impl IntoRooms) -> Audience {
        self.broadcast().except(rooms)
    }

    /// Returns the audience of this namespace without this socket.
    pub fn broadcast(&self) -> Audience {
        Audience::of(self.namespace()).except(self.id())
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Socket({} in {})", self.id(), self.namespace())
    }
}
