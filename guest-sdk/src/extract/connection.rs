//! Extractors for connection hooks.

use serde::de::DeserializeOwned;

use super::{FromConnection, FromEvent};
use crate::connection::Connection;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::headers::Headers;
use crate::socket::Socket;

/// Extractor for the data that the client sent with CONNECT, `io(url, { auth })`.
///
/// Data that does not fit is refused with a 400. `Option<Auth<T>>` is `None` when the client sent no data.
///
/// ```
/// use hitchy_guest::{App, Auth, Context, Failure, Result};
///
/// #[derive(serde::Deserialize)]
/// struct Token { token: String }
///
/// fn admit(Auth(auth): Auth<Token>, context: Context) -> Result<()> {
///     if auth.token != "open sesame" {
///         return Err(Failure::new(401, "wrong token").into()); // what `connect_error` says
///     }
///     context.set("user", "ali baba")
/// }
///
/// fn app() -> App {
///     App::new().on_connect("/", admit)
/// }
/// # app();
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Auth<T>(pub T);

/// Reads the data of CONNECT, which must be present.
fn auth<T: DeserializeOwned>(socket: &Socket) -> Result<Auth<T>> {
    socket
        .auth()?
        .map(Auth)
        .ok_or_else(|| Error::rejected("auth is missing"))
}

impl<T: DeserializeOwned> FromConnection for Auth<T> {
    fn from_connection(connection: &Connection) -> Result<Self> {
        auth(connection.socket())
    }

    fn from_connection_if_any(connection: &Connection) -> Result<Option<Self>> {
        Ok(connection.socket().auth()?.map(Auth))
    }
}

impl<T: DeserializeOwned> FromEvent for Auth<T> {
    fn from_event(event: &Event) -> Result<Self> {
        auth(event.socket())
    }

    fn from_event_if_any(event: &Event) -> Result<Option<Self>> {
        Ok(event.socket().auth()?.map(Auth))
    }
}

/// Extractor for the reason of a disconnect in socket.io's words, for example `transport close` or `ping timeout`. It
/// works in `on_disconnect` only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason(pub String);

impl FromConnection for Reason {
    fn from_connection(connection: &Connection) -> Result<Self> {
        let reason = connection.reason.clone();
        reason
            .map(Reason)
            .ok_or_else(|| Error::internal("Reason is known to `on_disconnect` only"))
    }
}

impl FromConnection for Socket {
    fn from_connection(connection: &Connection) -> Result<Self> {
        Ok(connection.socket.clone())
    }
}

/// Extracts the context of the connection.
impl FromConnection for Context {
    fn from_connection(connection: &Connection) -> Result<Self> {
        Ok(connection.socket.context())
    }
}

/// Extracts the headers of the handshake.
impl FromConnection for Headers {
    fn from_connection(connection: &Connection) -> Result<Self> {
        Ok(connection.socket.headers())
    }
}
