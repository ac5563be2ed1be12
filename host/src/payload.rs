//! The arguments of socket.io packets: JSON text with binary attachments beside it.
//!
//! The text passes from the packet to the guest and back as text. It is checked once, here: it must be one JSON array,
//! not nested too deep, and each placeholder must have an attachment. A payload that breaks these rules would
//! disconnect every client that receives it.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde::de::{MapAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq, SerializeTuple};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// The deepest nesting of JSON, at which JSON readers commonly stop (serde_json does at the same depth).
pub const MAX_DEPTH: usize = 128;
/// The most binary arguments that one packet may carry: JavaScript clients drop the connection above it.
pub const MAX_ATTACHMENTS: usize = 10;

/// The arguments of an event or an ack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// A JSON array with one element for each argument. Binary arguments are written as
    /// `{"_placeholder":true,"num":N}`.
    pub json: String,
    /// The attachments that the placeholders stand for, by their `num`.
    pub attachments: Vec<Bytes>,
}

impl Payload {
    /// Returns a payload without arguments.
    pub fn empty() -> Self {
        Self {
            json: "[]".to_owned(),
            attachments: Vec::new(),
        }
    }

    /// Returns a payload with one argument: the JSON text of `value`, or `null` if it has none.
    pub fn one(value: &impl Serialize) -> Self {
        let json = serde_json::to_string(&(value,)).unwrap_or_else(|_| "[null]".to_owned());
        Self {
            json,
            attachments: Vec::new(),
        }
    }

    /// Returns the bytes of the text and the attachments together.
    pub fn size(&self) -> usize {
        self.json.len() + self.attachments.iter().map(Bytes::len).sum::<usize>()
    }

    /// Takes the payload apart so that it can be sent. Fails if the payload would break its receivers.
    pub fn arguments(&self) -> Result<Arguments<'_>, PayloadError> {
        if self.attachments.len() > MAX_ATTACHMENTS {
            return Err(PayloadError::Attachments(self.attachments.len()));
        }
        let elements: Vec<&RawValue> =
            serde_json::from_str(&self.json).map_err(PayloadError::not_an_array)?;
        check_depth(&self.json)?;
        let nodes = elements
            .into_iter()
            .map(|raw| Node::read(raw, self.attachments.len()))
            .collect::<Result<Vec<_>, _>>()?;
        // Each placeholder becomes an attachment of its own when it is sent. A large attachment that is named in many
        // places would be sent as often.
        let placeholders = nodes.iter().map(Node::attachments).sum();
        if placeholders > MAX_ATTACHMENTS {
            return Err(PayloadError::Attachments(placeholders));
        }
        Ok(Arguments {
            nodes,
            attachments: &self.attachments,
        })
    }

    /// Fails if the payload could not be sent: see [`Payload::arguments`].
    pub fn check(&self) -> Result<(), PayloadError> {
        self.arguments().map(drop)
    }
}

/// The reason for which a payload is unusable.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    /// The text is not JSON, or not an array.
    #[error("the payload is not a JSON array: {0}")]
    NotAnArray(String),
    /// The JSON is nested deeper than [`MAX_DEPTH`].
    #[error("the JSON is nested deeper than {MAX_DEPTH}")]
    TooDeep,
    /// There are more attachments, or placeholders for them, than [`MAX_ATTACHMENTS`].
    #[error("{0} binary arguments in one packet; at most {MAX_ATTACHMENTS} are possible")]
    Attachments(usize),
    /// A placeholder names an attachment that does not exist.
    #[error("a binary placeholder has num {num}, but there are {attachments} attachments")]
    Placeholder {
        /// The number in the placeholder.
        num: String,
        /// The number of attachments of the payload.
        attachments: usize,
    },
}

impl PayloadError {
    fn not_an_array(error: serde_json::Error) -> Self {
        Self::NotAnArray(error.to_string())
    }
}

/// Fails when JSON text is nested deeper than [`MAX_DEPTH`]. The text must be well formed.
pub fn check_depth(json: &str) -> Result<(), PayloadError> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(PayloadError::TooDeep);
        }
    }
    Ok(())
}

/// A payload ready to be sent. It serialises as a tuple, which socketioxide sends as several arguments; JSON text goes
/// out as it came, and placeholders become bytes, which it sends as attachments.
#[derive(Debug)]
pub struct Arguments<'a> {
    nodes: Vec<Node<'a>>,
    attachments: &'a [Bytes],
}

impl Serialize for Arguments<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(self.nodes.len())?;
        for node in &self.nodes {
            tuple.serialize_element(&Filled {
                node,
                attachments: self.attachments,
            })?;
        }
        tuple.end()
    }
}

/// A piece of JSON, read no further than to its placeholders.
#[derive(Debug)]
enum Node<'a> {
    Raw(&'a RawValue),
    Attachment(usize),
    Array(Vec<Node<'a>>),
    Object(Vec<(Cow<'a, str>, Node<'a>)>),
}

impl<'a> Node<'a> {
    fn read(raw: &'a RawValue, attachments: usize) -> Result<Self, PayloadError> {
        let text = raw.get();
        // In a packet without attachments a placeholder is an ordinary object.
        if attachments == 0 || !text.contains("_placeholder") {
            return Ok(Self::Raw(raw));
        }
        match text.as_bytes().first() {
            Some(b'[') => {
                let elements: Vec<&RawValue> =
                    serde_json::from_str(text).map_err(PayloadError::not_an_array)?;
                elements
                    .into_iter()
                    .map(|raw| Self::read(raw, attachments))
                    .collect::<Result<_, _>>()
                    .map(Self::Array)
            }
            Some(b'{') => Self::read_object(text, attachments),
            _ => Ok(Self::Raw(raw)),
        }
    }

    /// Returns the number of placeholders in the node.
    fn attachments(&self) -> usize {
        match self {
            Self::Raw(_) => 0,
            Self::Attachment(_) => 1,
            Self::Array(nodes) => nodes.iter().map(Self::attachments).sum(),
            Self::Object(fields) => fields.iter().map(|(_, node)| node.attachments()).sum(),
        }
    }

    fn read_object(text: &'a str, attachments: usize) -> Result<Self, PayloadError> {
        let fields = fields(text).map_err(PayloadError::not_an_array)?;
        let field = |name: &str| {
            fields
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.get())
        };
        if field("_placeholder") == Some("true") {
            let num = field("num").unwrap_or("missing");
            return match num.parse::<usize>() {
                Ok(index) if index < attachments => Ok(Self::Attachment(index)),
                _ => Err(PayloadError::Placeholder {
                    num: num.to_owned(),
                    attachments,
                }),
            };
        }
        let nodes = fields
            .into_iter()
            .map(|(key, raw)| Ok((key, Self::read(raw, attachments)?)));
        nodes.collect::<Result<_, _>>().map(Self::Object)
    }
}

/// Returns the index of the attachment that a JSON value stands for, in a packet with `attachments` attachments, or
/// none for another value. Fails with a sentence if an attachment is inside of the value.
pub fn attachment(raw: &RawValue, attachments: usize) -> Result<Option<usize>, String> {
    match Node::read(raw, attachments) {
        Ok(Node::Attachment(index)) => Ok(Some(index)),
        Ok(node) if node.attachments() > 0 => {
            Err("binary data inside of JSON cannot be sent; send bytes, or JSON".to_owned())
        }
        Ok(_) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// A node together with the attachments of its placeholders.
struct Filled<'a> {
    node: &'a Node<'a>,
    attachments: &'a [Bytes],
}

impl Serialize for Filled<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let filled = |node| Filled {
            node,
            attachments: self.attachments,
        };
        match self.node {
            Node::Raw(raw) => raw.serialize(serializer),
            Node::Attachment(index) => serializer.serialize_bytes(&self.attachments[*index]),
            Node::Array(nodes) => {
                let mut array = serializer.serialize_seq(Some(nodes.len()))?;
                for node in nodes {
                    array.serialize_element(&filled(node))?;
                }
                array.end()
            }
            Node::Object(fields) => {
                let mut object = serializer.serialize_map(Some(fields.len()))?;
                for (key, node) in fields {
                    object.serialize_entry(key, &filled(node))?;
                }
                object.end()
            }
        }
    }
}

/// Returns the fields of a JSON object in the order of the text, with the values unread.
pub fn fields(json: &str) -> serde_json::Result<Vec<(Cow<'_, str>, &RawValue)>> {
    serde_json::from_str(json).map(|Fields(fields)| fields)
}

/// The fields that [`fields`] returns.
struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;
        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut fields = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, &'de RawValue>()? {
                    fields.push((Cow::Owned(key), value));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(FieldsVisitor)
    }
}

/// An error as a client or a guest reads it: of a hook, a listener, a request, or an emit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// An HTTP status, 400 to 599.
    pub code: u16,
    /// The sentence for people.
    pub message: String,
    /// Data for programs, as JSON text.
    pub data: Option<String>,
    /// What went wrong inside, for the author of the handler. Only under `hitchy dev`.
    pub detail: Option<String>,
}

impl Failure {
    /// Makes a failure without data.
    pub fn new(code: u16, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            data: None,
            detail: None,
        }
    }

    /// Returns the data as raw JSON for an answer, or none if it is not valid JSON.
    pub fn raw_data(&self) -> Option<&RawValue> {
        self.data
            .as_deref()
            .and_then(|data| serde_json::from_str(data).ok())
    }
}

impl From<PayloadError> for Failure {
    fn from(error: PayloadError) -> Self {
        Self::new(400, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(json: &str, attachments: usize) -> Payload {
        Payload {
            json: json.to_owned(),
            attachments: vec![Bytes::from_static(b"x"); attachments],
        }
    }

    #[test]
    fn an_array_of_anything_is_a_payload() {
        for json in ["[]", "[1]", r#"["a",{"b":[null,1e3]}]"#, r#" [ "\"]" ] "#] {
            payload(json, 0).check().expect(json);
        }
    }

    #[test]
    fn what_is_no_array_is_refused() {
        for json in ["", "{}", "1", "[1", "[1]x", "[NaN]", "[1,]"] {
            assert!(
                matches!(payload(json, 0).check(), Err(PayloadError::NotAnArray(_))),
                "{json}"
            );
        }
    }

    #[test]
    fn nesting_ends_at_128() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        payload(&nested(128), 0).check().expect("128 is allowed");
        assert!(matches!(
            payload(&nested(129), 0).check(),
            Err(PayloadError::TooDeep)
        ));
        assert!(payload(&nested(100_000), 0).check().is_err());
        payload(&format!("[\"{}\"]", "[".repeat(1000)), 0)
            .check()
            .expect("brackets in a string do not count");
    }

    #[test]
    fn b23_placeholders_need_their_attachment() {
        let json = r#"[{"_placeholder":true,"num":0}]"#;
        payload(json, 0).check().expect("an ordinary object");
        payload(json, 1).check().expect("filled");
        for bad in [
            r#"[{"_placeholder":true,"num":1}]"#,
            r#"[[{"a":{"_placeholder":true,"num":-1}}]]"#,
            r#"[{"_placeholder":true}]"#,
        ] {
            assert!(
                matches!(
                    payload(bad, 1).check(),
                    Err(PayloadError::Placeholder { .. })
                ),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_placeholder_stands_in_ten_places_at_most() {
        let placeholder = r#"{"_placeholder":true,"num":0}"#;
        let often = |times| format!(r#"[{{"a":[{}]}}]"#, vec![placeholder; times].join(","));
        payload(&often(10), 1).check().expect("ten can be sent");
        assert!(matches!(
            payload(&often(11), 1).check(),
            Err(PayloadError::Attachments(11))
        ));
        payload(&often(11), 0).check().expect("ordinary objects");
    }

    #[test]
    fn text_is_sent_as_it_came() {
        let payload = payload(r#"[12345678901234567890, {"b":1,"a": 2}]"#, 0);
        let sent = serde_json::to_string(&payload.arguments().unwrap()).unwrap();
        assert_eq!(sent, r#"[12345678901234567890,{"b":1,"a": 2}]"#);
    }

    #[test]
    fn placeholders_become_bytes_where_they_stand() {
        let payload = payload(r#"["a",{"k":[{"num":0,"_placeholder":true}]}]"#, 1);
        let sent = serde_json::to_string(&payload.arguments().unwrap()).unwrap();
        assert_eq!(
            sent, r#"["a",{"k":[[120]]}]"#,
            "serde_json writes bytes as numbers; socketioxide takes them out"
        );
    }
}
