//! What nodes say to each other, as the body of a frame.
//!
//! The form is `postcard`: fields one after the other without names. A variant or a field may only be added at the end of
//! the last variant; anything else needs another track of the frame.

use serde::{Deserialize, Serialize};

use super::emit::{Emit, EmitRef};
use super::frame::Refused;
use super::question::{Change, Question, Reply};

/// A message, as it is sent.
#[derive(Serialize)]
pub(super) enum Sent<'a> {
    Emit(EmitRef<'a>),
    Beat { name: &'a str, clock_ms: u64 },
    Bye,
    Change(&'a Change),
    Ask { number: u64, question: &'a Question },
    Reply(&'a Reply),
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
        /// The time since the node's start, in milliseconds. It is for the node itself, which gets what it publishes.
        clock_ms: u64,
    },
    /// The node ends.
    Bye,
    /// A change at clients.
    Change(Change),
    /// A question. The answer goes to the node that asks, with the same number.
    Ask {
        /// The number of the question.
        number: u64,
        /// The question.
        question: Question,
    },
    /// A part of an answer to this node.
    Reply(Reply),
}

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

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::cluster::emit::Attachment;

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
        let (name, clock_ms) = ("a", 70_000);
        let beat = Sent::Beat { name, clock_ms }.write(vec![]);
        let name = name.to_owned();
        assert_eq!(Message::read(&beat), Ok(Message::Beat { name, clock_ms }));
        assert_eq!(Message::read(&Sent::Bye.write(vec![])), Ok(Message::Bye));
    }

    #[test]
    fn r15_an_unknown_message_and_one_with_a_rest_are_refused() {
        for bytes in [
            &b""[..],
            b"\x06",
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
