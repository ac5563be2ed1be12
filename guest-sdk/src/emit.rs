//! Broadcasts that start from nowhere in particular: the free functions.

use serde::Serialize;

use crate::audience::{Audience, IntoRooms};
use crate::error::{Failure, Result};
use crate::host::sockets;
use crate::payload;
use crate::socket::Socket;

/// Broadcasts to every socket of namespace `/`, the sender too. A tuple is several arguments, `()` is none, anything else one.
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
/// 400 for a reserved event name, 413 for too much data, 429 for too many emits in one call.
pub fn emit<T: Serialize + ?Sized>(event: &str, data: &T) -> Result<(), Failure> {
    sockets::emit(event, &payload::outgoing(data)?).map_err(Failure::from)
}

/// Everyone in a namespace.
pub fn of(namespace: impl Into<String>) -> Audience {
    Audience::of(namespace)
}

/// Everyone in a room of namespace `/`, or in any of several.
pub fn to(rooms: impl IntoRooms) -> Audience {
    Audience::of("/").to(rooms)
}

/// The same as [`to`].
pub fn within(rooms: impl IntoRooms) -> Audience {
    to(rooms)
}

/// Everyone in namespace `/` but those in a room, or in any of several.
pub fn except(rooms: impl IntoRooms) -> Audience {
    Audience::of("/").except(rooms)
}

/// The connection with this id, if it is connected to this namespace and to this node.
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
