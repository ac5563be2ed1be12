//! An event on its way between nodes.

use std::fmt;

use bytes::Bytes;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An event for clients of all nodes, as it is sent. The fields are those of [`Emit`].
#[derive(Clone, Copy, Serialize)]
pub struct EmitRef<'a> {
    /// The namespace.
    pub namespace: &'a str,
    /// The rooms whose sockets are reached; all if there is none.
    pub rooms: &'a [String],
    /// The rooms whose sockets are left out.
    pub excluding: &'a [String],
    /// True if the event may be lost for a client that is not keeping up.
    pub droppable: bool,
    /// The name of the event.
    pub event: &'a str,
    /// The JSON array of its arguments.
    pub json: &'a str,
    /// The attachments of the arguments.
    #[serde(serialize_with = "write_attachments")]
    pub attachments: &'a [Bytes],
}

/// An event for clients that came from another node. Nothing of it has been checked.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Emit {
    /// The namespace.
    pub namespace: String,
    /// The rooms whose sockets are reached; all if there is none.
    pub rooms: Vec<String>,
    /// The rooms whose sockets are left out.
    pub excluding: Vec<String>,
    /// True if the event may be lost for a client that is not keeping up.
    pub droppable: bool,
    /// The name of the event.
    pub event: String,
    /// The JSON array of its arguments.
    pub json: String,
    /// The attachments of the arguments.
    pub attachments: Vec<Attachment>,
}

/// Bytes beside the JSON of an event.
#[derive(Debug, PartialEq, Eq)]
pub struct Attachment(pub Bytes);

fn write_attachments<S: Serializer>(
    attachments: &[Bytes],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    // A copy of `Bytes` shares the content.
    serializer.collect_seq(attachments.iter().cloned().map(Attachment))
}

impl Serialize for Attachment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Attachment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BytesVisitor;
        impl Visitor<'_> for BytesVisitor {
            type Value = Attachment;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("bytes")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Attachment, E> {
                Ok(Attachment(Bytes::copy_from_slice(bytes)))
            }
        }
        deserializer.deserialize_bytes(BytesVisitor)
    }
}
