//! What nodes say to each other, as the body of a frame.
//!
//! The form is `postcard`: fields one after the other without names. A variant or a field may only be added at the end of
//! the last variant; anything else needs another track of the frame.

use std::fmt;

use bytes::Bytes;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::frame::Refused;

/// A message, as it is sent.
#[derive(Serialize)]
pub(super) enum Sent<'a> {
    Emit(EmitRef<'a>),
    Beat { name: &'a str },
    Bye,
}

/// A message that came. The variants are those of [`Sent`].
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(super) enum Message {
    /// An event for clients.
    Emit(Emit),
    /// A sign of life, once a second.
    Beat {
        /// The name of the node for people.
        name: String,
    },
    /// The node ends.
    Bye,
}

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
#[derive(Debug, PartialEq, Eq, Deserialize)]
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

impl Message {
    /// Reads the body of a frame.
    ///
    /// # Errors
    /// It is not a message of this version, or there is something after it.
    pub(super) fn read(body: &[u8]) -> Result<Self, Refused> {
        match postcard::take_from_bytes(body) {
            Ok((message, [])) => Ok(message),
            Ok(_) | Err(_) => Err(Refused::Form),
        }
    }
}

impl Sent<'_> {
    /// Appends the message to a frame.
    pub(super) fn write(&self, frame: Vec<u8>) -> Vec<u8> {
        // Text, numbers and lists of known length always have a form, and a vector has place for it.
        postcard::to_extend(self, frame).unwrap_or_default()
    }
}

fn write_attachments<S: Serializer>(
    attachments: &[Bytes],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    struct Whole<'a>(&'a [u8]);
    impl Serialize for Whole<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_bytes(self.0)
        }
    }
    serializer.collect_seq(attachments.iter().map(|bytes| Whole(bytes)))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn emit() -> (Vec<String>, Vec<Bytes>) {
        let rooms = vec!["a".to_owned(), "ü".to_owned()];
        (rooms, vec![Bytes::from_static(b"\0\xff"), Bytes::new()])
    }

    fn written() -> Vec<u8> {
        let (rooms, attachments) = emit();
        let emit = EmitRef {
            namespace: "/chat",
            rooms: &rooms,
            excluding: &rooms[..1],
            droppable: true,
            event: "said",
            json: r#"["x"]"#,
            attachments: &attachments,
        };
        Sent::Emit(emit).write(Vec::new())
    }

    #[test]
    fn an_event_comes_as_it_was_sent() {
        let (rooms, attachments) = emit();
        let came = Message::read(&written());
        assert_eq!(
            came,
            Ok(Message::Emit(Emit {
                namespace: "/chat".to_owned(),
                excluding: rooms[..1].to_vec(),
                rooms,
                droppable: true,
                event: "said".to_owned(),
                json: r#"["x"]"#.to_owned(),
                attachments: attachments.into_iter().map(Attachment).collect(),
            }))
        );
        let beat = Sent::Beat { name: "a" }.write(vec![]);
        let name = "a".to_owned();
        assert_eq!(Message::read(&beat), Ok(Message::Beat { name }));
        assert_eq!(Message::read(&Sent::Bye.write(vec![])), Ok(Message::Bye));
    }

    #[test]
    fn r15_an_unknown_message_and_one_with_a_rest_are_refused() {
        for bytes in [
            &b""[..],
            b"\x03",
            b"\xff\xff\xff\xff\x0f",
            b"\x02\x00",
            b"\x01\x02a",
        ] {
            assert_eq!(Message::read(bytes), Err(Refused::Form), "{bytes:?}");
        }
        // The length of a list that is not there: nothing is set aside for it.
        let huge = [0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
        assert_eq!(Message::read(&huge), Err(Refused::Form));
    }

    #[test]
    fn r15_random_and_damaged_bodies_are_read_or_refused() {
        let written = written();
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let mut read = 0;
        for _ in 0..200_000 {
            let mut bytes = written.clone();
            for _ in 0..=random() % 4 {
                let at = random() as usize % bytes.len();
                bytes[at] = random() as u8;
            }
            bytes.truncate(random() as usize % (bytes.len() * 2));
            read += usize::from(Message::read(&bytes).is_ok());
            let noise: Vec<u8> = (0..random() % 40).map(|_| random() as u8).collect();
            read += usize::from(Message::read(&noise).is_ok());
        }
        assert!(read > 0, "some damage leaves a message");
    }
}
