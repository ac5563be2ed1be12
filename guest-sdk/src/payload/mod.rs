//! The arguments of an event or of an ack, converted between Rust values and a JSON array with attachments.

mod bytes;
mod decode;
mod encode;
mod shape;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::bytes::Bytes;
use crate::error::{Failure, Result};
use crate::host::wit;

/// The encoded arguments of an event or ack, for code that passes them on without reading them.
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
    /// A JSON array with one element for each argument. A binary argument at any depth is written as
    /// `{"_placeholder":true,"num":N}` and stored in `attachments[N]`.
    pub json: String,
    /// The binary arguments, in the order of their placeholders' `num`.
    pub attachments: Vec<Bytes>,
}

impl Payload {
    /// Encodes arguments. A tuple becomes several arguments, `()` none, and any other value one. [`Bytes`] may be
    /// anywhere inside.
    ///
    /// # Errors
    /// Fails when the value cannot be written as JSON, for example a map whose keys are not strings.
    pub fn new<T: Serialize + ?Sized>(arguments: &T) -> Result<Self> {
        encode::encode(arguments).map(Payload::from)
    }

    /// Decodes the arguments. A tuple takes several arguments, and any other type takes the first. Extra arguments are
    /// ignored.
    ///
    /// # Errors
    /// Returns a 400 with a sentence that says which value does not fit.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        decode::decode(&self.json, &self.attachments)
    }

    /// Returns true if there are no arguments.
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

/// Encodes the arguments of an emit. A value that cannot be encoded is a mistake of the handler, so the error is
/// written to the log.
pub(crate) fn outgoing<T: Serialize + ?Sized>(arguments: &T) -> Result<wit::Payload, Failure> {
    encode::encode(arguments).map_err(Failure::from)
}
