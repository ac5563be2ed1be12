//! A client's ack, made a payload again.
//!
//! The library hands out an ack only as a deserialised value, with bytes where its placeholders were. This reads any
//! number of arguments of any shape and writes them as text with placeholders.

use std::fmt;

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};

use crate::payload::Payload;

/// The arguments of an ack.
pub(super) struct AckValue(pub(super) Payload);

impl<'de> Deserialize<'de> for AckValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Asking for a tuple makes the library hand out all arguments instead of the first.
        deserializer.deserialize_tuple(usize::MAX, AckVisitor)
    }
}

struct AckVisitor;

impl<'de> Visitor<'de> for AckVisitor {
    type Value = AckValue;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the arguments of an ack")
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<Self::Value, S::Error> {
        let mut arguments = Vec::new();
        while let Some(argument) = seq.next_element::<Node>()? {
            arguments.push(argument);
        }
        let mut payload = Payload {
            json: String::new(),
            attachments: Vec::new(),
        };
        Node::Array(arguments).write(&mut payload);
        Ok(AckValue(payload))
    }
}

enum Node {
    Plain(Value),
    Bytes(Bytes),
    Array(Vec<Node>),
    Object(Vec<(String, Node)>),
}

impl Node {
    fn write(self, payload: &mut Payload) {
        match self {
            Self::Plain(value) => payload.json.push_str(&value.to_string()),
            Self::Bytes(bytes) => {
                let num = payload.attachments.len();
                payload
                    .json
                    .push_str(&format!(r#"{{"_placeholder":true,"num":{num}}}"#));
                payload.attachments.push(bytes);
            }
            Self::Array(nodes) => {
                payload.json.push('[');
                for (index, node) in nodes.into_iter().enumerate() {
                    if index > 0 {
                        payload.json.push(',');
                    }
                    node.write(payload);
                }
                payload.json.push(']');
            }
            Self::Object(fields) => {
                payload.json.push('{');
                for (index, (key, node)) in fields.into_iter().enumerate() {
                    if index > 0 {
                        payload.json.push(',');
                    }
                    payload.json.push_str(&Value::from(key).to_string());
                    payload.json.push(':');
                    node.write(payload);
                }
                payload.json.push('}');
            }
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON or bytes")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Plain(value.into()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Plain(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Plain(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Plain(
            Number::from_f64(value).map_or(Value::Null, Value::Number),
        ))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Plain(value.into()))
    }

    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        Ok(Node::Plain(Value::Null))
    }

    fn visit_bytes<E: Error>(self, value: &[u8]) -> Result<Node, E> {
        Ok(Node::Bytes(Bytes::copy_from_slice(value)))
    }

    fn visit_byte_buf<E: Error>(self, value: Vec<u8>) -> Result<Node, E> {
        Ok(Node::Bytes(value.into()))
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<Node, S::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = seq.next_element()? {
            nodes.push(node);
        }
        Ok(Node::Array(nodes))
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Node, M::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Node::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ack_of_json_keeps_its_shape() {
        let json = r#"[1,-2,1.5,"a\"b",null,true,{"z":[],"a":{"b":[1]}}]"#;
        let AckValue(payload) = serde_json::from_str(json).unwrap();
        assert_eq!(payload.json, json);
    }
}
