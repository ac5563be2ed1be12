//! Extractors for listeners.

use serde::de::DeserializeOwned;

use super::FromEvent;
use crate::context::Context;
use crate::error::Result;
use crate::event::Event;
use crate::headers::Headers;
use crate::payload::{Bytes, Payload};
use crate::socket::Socket;

/// Extractor for the arguments of an event. A tuple takes several arguments, and any other type takes the first.
/// [`Bytes`] may be anywhere inside.
///
/// Extra arguments are ignored, and an `Option` at the end of a tuple may be missing. Arguments that do not fit are
/// refused with a 400 that says why. `Option<Data<T>>` is `None` when there are no arguments.
///
/// As the return value of a listener, `Data` writes arguments in the same way.
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

/// Extractor that is true if the client passed a callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckWanted(pub bool);

impl FromEvent for AckWanted {
    fn from_event(event: &Event) -> Result<Self> {
        Ok(AckWanted(event.ack_wanted))
    }
}

/// Extractor for the name of the event, for listeners to `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventName(pub String);

impl FromEvent for EventName {
    fn from_event(event: &Event) -> Result<Self> {
        Ok(EventName(event.name.clone()))
    }
}

/// Extracts the arguments as the client sent them.
impl FromEvent for Payload {
    fn from_event(event: &Event) -> Result<Self> {
        Ok(event.arguments.clone())
    }
}

/// Extracts the first argument, which must be binary.
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

/// Extracts the context of the sender.
impl FromEvent for Context {
    fn from_event(event: &Event) -> Result<Self> {
        Ok(event.socket.context())
    }
}

/// Extracts the headers of the handshake.
impl FromEvent for Headers {
    fn from_event(event: &Event) -> Result<Self> {
        Ok(event.socket.headers())
    }
}
