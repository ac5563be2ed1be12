//! The arguments of an event or of an ack: between Rust values and the JSON array with attachments that travels.

mod bytes;
mod decode;
mod encode;
mod shape;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::bytes::Bytes;
use crate::error::{Failure, Result};
use crate::host::wit;

/// The arguments of an event or ack as they travel, for code that passes them on without looking inside.
///
/// ```
/// use hitchy_guest::{Payload, Result, Socket};
///
/// fn mirror(socket: Socket, payload: Payload) -> Result<()> {
///     Ok(socket.emit_payload("mirrored", &payload)?)
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payload {
    /// A JSON array with one element for each argument. A binary argument, at any depth, stands in it as
    /// `{"_placeholder":true,"num":N}` and is `attachments[N]`.
    pub json: String,
    /// The binary arguments.
    pub attachments: Vec<Bytes>,
}

impl Payload {
    /// Writes arguments: a tuple is several, `()` is none, anything else one. [`Bytes`] may be anywhere inside.
    ///
    /// # Errors
    /// When the value cannot be written as JSON (a map whose keys are no strings, for instance).
    pub fn new<T: Serialize + ?Sized>(arguments: &T) -> Result<Self> {
        let wit::Payload { json, attachments } = encode::encode(arguments)?;
        let attachments = attachments.into_iter().map(Bytes::from).collect();
        Ok(Payload { json, attachments })
    }

    /// Reads the arguments: a tuple takes several, anything else the first. What is left over is ignored.
    ///
    /// # Errors
    /// A 400 that says what does not fit.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        decode::decode(&self.json, &self.attachments)
    }

    /// Whether there are no arguments at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.json
            .bytes()
            .filter(|byte| !byte.is_ascii_whitespace())
            .eq(*b"[]")
    }
}

impl From<wit::Payload> for Payload {
    fn from(wit::Payload { json, attachments }: wit::Payload) -> Self {
        Payload {
            json,
            attachments: attachments.into_iter().map(Bytes::from).collect(),
        }
    }
}

impl From<Payload> for wit::Payload {
    fn from(Payload { json, attachments }: Payload) -> Self {
        wit::Payload {
            json,
            attachments: attachments.into_iter().map(Vec::from).collect(),
        }
    }
}

/// The arguments of an emit, ready for the host. What cannot be written is a mistake of the handler: it goes to the log.
pub(crate) fn outgoing<T: Serialize + ?Sized>(arguments: &T) -> Result<wit::Payload, Failure> {
    encode::encode(arguments).map_err(Failure::from)
}
