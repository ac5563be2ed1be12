//! Arguments into the JSON array of a payload.

use std::fmt;

use serde::ser::{Error as _, Impossible, Serialize, Serializer};

use super::bytes;
use crate::error::Result;
use crate::host::wit;

/// A tuple becomes several arguments, `()` none, anything else (a `Vec` too) one.
pub(super) fn encode<T: Serialize + ?Sized>(arguments: &T) -> Result<wit::Payload> {
    let (json, attachments) = bytes::collecting(|| write(arguments));
    let json = String::from_utf8(json?).expect("serde_json writes UTF-8");
    Ok(wit::Payload { json, attachments })
}

fn write<T: Serialize + ?Sized>(arguments: &T) -> serde_json::Result<Vec<u8>> {
    let mut json = Vec::with_capacity(128);
    match arguments.serialize(Probe) {
        Err(Shape::Several) => serde_json::to_writer(&mut json, arguments)?,
        Err(Shape::None) => json.extend_from_slice(b"[]"),
        Err(Shape::One) | Ok(()) => {
            json.push(b'[');
            serde_json::to_writer(&mut json, arguments)?;
            json.push(b']');
        }
    }
    Ok(json)
}

/// A serializer that looks at the outermost type only and gives its answer as an error.
struct Probe;

/// The number of arguments that a type stands for.
#[derive(Debug)]
enum Shape {
    None,
    One,
    Several,
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Shape {}

impl serde::ser::Error for Shape {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Shape::One
    }
}

macro_rules! one {
    ($($method:ident($type:ty))*) => {
        $(fn $method(self, _: $type) -> Result<(), Shape> { Err(Shape::One) })*
    };
}

impl Serializer for Probe {
    type Ok = ();
    type Error = Shape;
    type SerializeSeq = Impossible<(), Shape>;
    type SerializeTuple = Impossible<(), Shape>;
    type SerializeTupleStruct = Impossible<(), Shape>;
    type SerializeTupleVariant = Impossible<(), Shape>;
    type SerializeMap = Impossible<(), Shape>;
    type SerializeStruct = Impossible<(), Shape>;
    type SerializeStructVariant = Impossible<(), Shape>;

    one! {
        serialize_bool(bool) serialize_char(char) serialize_str(&str) serialize_bytes(&[u8])
        serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64) serialize_i128(i128)
        serialize_u8(u8) serialize_u16(u16) serialize_u32(u32) serialize_u64(u64) serialize_u128(u128)
        serialize_f32(f32) serialize_f64(f64) serialize_unit_struct(&'static str)
    }

    fn serialize_unit(self) -> Result<(), Shape> {
        Err(Shape::None)
    }

    fn serialize_none(self) -> Result<(), Shape> {
        Err(Shape::One)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<(), Shape> {
        Err(Shape::One)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Result<(), Shape> {
        Err(Shape::One)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: &T,
    ) -> Result<(), Shape> {
        Err(Shape::One)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Shape> {
        Err(Shape::One)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, Shape> {
        Err(Shape::One)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Shape> {
        Err(Shape::Several)
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleStruct, Shape> {
        Err(Shape::Several)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Shape> {
        Err(Shape::One)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Shape> {
        Err(Shape::One)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeStruct, Shape> {
        Err(Shape::One)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Shape> {
        Err(Shape::One)
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, _: &T) -> Result<(), Shape> {
        Err(Shape::custom(""))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Bytes;

    fn json_of<T: Serialize + ?Sized>(arguments: &T) -> String {
        encode(arguments).unwrap().json
    }

    #[test]
    fn a_tuple_is_several_arguments_and_anything_else_is_one() {
        assert_eq!(json_of(&(1, "a")), r#"[1,"a"]"#);
        assert_eq!(json_of(&(1,)), "[1]");
        assert_eq!(json_of(&vec![1, 2]), "[[1,2]]");
        assert_eq!(json_of("text"), r#"["text"]"#);
        assert_eq!(json_of(&json!({ "a": null })), r#"[{"a":null}]"#);
        assert_eq!(json_of(&None::<u8>), "[null]");
        assert_eq!(json_of(&()), "[]");
    }

    #[test]
    fn bytes_become_attachments_at_any_depth() {
        #[derive(serde::Serialize)]
        struct File {
            name: &'static str,
            parts: Vec<Bytes>,
        }
        let file = File {
            name: "a",
            parts: vec![Bytes::from(b"x"), Bytes::from(b"yz")],
        };
        let payload = encode(&(file, Bytes::from(b"!"))).unwrap();
        assert_eq!(
            payload.json,
            r#"[{"name":"a","parts":[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]},{"_placeholder":true,"num":2}]"#
        );
        assert_eq!(
            payload.attachments,
            [b"x".to_vec(), b"yz".to_vec(), b"!".to_vec()]
        );
    }

    #[test]
    fn bytes_in_plain_json_are_an_error() {
        assert!(serde_json::to_string(&Bytes::from(b"x")).is_err());
    }
}
