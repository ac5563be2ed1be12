//! Free functions that start a broadcast without a [`Socket`].

use serde::Serialize;

use crate::audience::{Audience, IntoRooms};
use crate::error::{Failure, Result};
use crate::host::sockets;
use crate::payload;
use crate::socket::Socket;

/// Broadcasts an event to every socket of namespace `/`, the sender included.
///
/// A tuple is sent as several arguments, `()` as none, and any other value as one.
///
/// ```
/// use hitchy_guest::{Result, emit};
///
/// fn tick() -> Result<()> {
///     emit("tick", &())?;
///     emit("moved", &(3, 4))?; // two arguments
///     emit("path", &vec![3, 4])?; // one
///     Ok(())
/// }
/// ```
///
/// # Errors
/// Returns 400 for a reserved event name, 413 when there is too much data, and 429 after too many emits in one call.
pub fn emit<T: Serialize + ?Sized>(event: &str, data: &T) -> Result<(), Failure> {
    sockets::emit(event, &payload::outgoing(data)?).map_err(Failure::from)
}

/// Returns the audience of all sockets in a namespace.
pub fn of(namespace: impl Into<String>) -> Audience {
    Audience::of(namespace)
}

/// Returns the audience of all sockets in a room of namespace `/`, or in at least one of several rooms.
pub fn to(rooms: impl IntoRooms) -> Audience {
    Audience::of("/").to(rooms)
}

/// Returns the audience of a room, or of several. This is another name for [`to`].
pub fn within(rooms: impl IntoRooms) -> Audience {
    to(rooms)
}

/// Returns the audience of namespace `/` without the sockets in a room, or in at least one of several rooms.
pub fn except(rooms: impl IntoRooms) -> Audience {
    Audience::of("/").except(rooms)
}

/// Returns the socket with this id, if it is connected to this namespace and to this node.
///
/// ```
/// use hitchy_guest::{Data, Failure, Result, find};
///
/// fn kick(Data((id, why)): Data<(String, String)>) -> Result<()> {
///     let socket = find("/", &id).ok_or(Failure::new(404, "nobody of this id is here"))?;
///     socket.emit("kicked", &why)?;
///     socket.close();
///     Ok(())
/// }
/// ```
pub fn find(namespace: &str, id: &str) -> Option<Socket> {
    sockets::find(namespace, id).map(Socket::new)
}
