//! The extractors of listeners.

use serde::de::DeserializeOwned;

use super::FromEvent;
use crate::context::Context;
use crate::error::Result;
use crate::event::Event;
use crate::headers::Headers;
use crate::payload::{Bytes, Payload};
use crate::socket::Socket;

/// The arguments of an event: a tuple takes several, anything else the first. [`Bytes`] may be anywhere inside.
///
/// Arguments left over are ignored; an `Option` at a tuple's end may be missing. What does not fit is a 400 that says why.
/// `Option<Data<T>>` is `None` when there are no arguments. As a listener's answer it writes arguments the same way.
///
/// ```
/// use hitchy_guest::{App, Bytes, Data};
///
/// fn app() -> App {
///     App::new()
///         .on("greet", |Data(name): Data<String>| format!("hello {name}"))
///         .on("move", |Data((x, y)): Data<(f64, f64)>| Data((y, x))) // two arguments each way
///         .on("upload", |Data((name, content)): Data<(String, Bytes)>| format!("{name}: {}", content.len()))
/// }
/// # app();
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Data<T>(pub T);

impl<T: DeserializeOwned> FromEvent for Data<T> {
    fn from_event(event: &Event) -> Result<Self> {
        Ok(Data(event.data()?))
    }

    fn from_event_if_any(event: &Event) -> Result<Option<Self>> {
        if event.arguments.is_empty() {
            Ok(None)
        } else {
            Data::from_event(event).map(Some)
        }
    }
}

/// True if the client passed a callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckWanted(pub bool);

impl FromEvent for AckWanted {
    fn from_event(event: &Event) -> Result<Self> {
        Ok(AckWanted(event.ack_wanted))
    }
}

/// The event's name: for listeners to `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventName(pub String);

impl FromEvent for EventName {
    fn from_event(event: &Event) -> Result<Self> {
        Ok(EventName(event.name.clone()))
    }
}

/// The arguments as they came.
impl FromEvent for Payload {
    fn from_event(event: &Event) -> Result<Self> {
        Ok(event.arguments.clone())
    }
}

/// The first argument, when it is binary.
impl FromEvent for Bytes {
    fn from_event(event: &Event) -> Result<Self> {
        Ok(event.data()?)
    }
}

impl FromEvent for Socket {
    fn from_event(event: &Event) -> Result<Self> {
        Ok(event.socket.clone())
    }
}

/// The sender's context.
impl FromEvent for Context {
    fn from_event(event: &Event) -> Result<Self> {
        Ok(event.socket.context())
    }
}

/// The headers of the handshake.
impl FromEvent for Headers {
    fn from_event(event: &Event) -> Result<Self> {
        Ok(event.socket.headers())
    }
}
