//! Encodes arguments as the JSON array of a payload.

use serde::ser::Serialize;

use super::bytes;
use super::shape::Shape;
use crate::error::Result;
use crate::host::wit;

/// Encodes arguments. A tuple becomes several arguments, `()` none, and any other value, such as a `Vec`, one.
pub(super) fn encode<T: Serialize + ?Sized>(arguments: &T) -> Result<wit::Payload> {
    let (written, attachments) = bytes::collect_attachments(|| write(arguments));
    let json = String::from_utf8(written?).expect("serde_json writes UTF-8");
    Ok(wit::Payload { json, attachments })
}

/// Writes the JSON array.
fn write<T: Serialize + ?Sized>(arguments: &T) -> serde_json::Result<Vec<u8>> {
    let mut json = Vec::with_capacity(128);
    match Shape::of_value(arguments) {
        Shape::Several => serde_json::to_writer(&mut json, arguments)?,
        Shape::None => json.extend_from_slice(b"[]"),
        Shape::One => {
            json.push(b'[');
            serde_json::to_writer(&mut json, arguments)?;
            json.push(b']');
        }
    }
    Ok(json)
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
