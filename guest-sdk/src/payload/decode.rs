//! Decodes the JSON array of a payload into arguments.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{
    Deserialize, DeserializeOwned, DeserializeSeed, Deserializer, Error, IgnoredAny, SeqAccess,
    Visitor,
};
use serde::forward_to_deserialize_any;

use super::Bytes;
use super::bytes;
use super::shape::Shape;
use crate::error::Failure;
use crate::mismatch;

/// Decodes arguments. A tuple takes several arguments, `()` takes none, and any other type takes the first.
///
/// As in JavaScript, extra arguments are ignored, and an `Option` at the end may be missing.
pub(super) fn decode<T: DeserializeOwned>(json: &str, attachments: &[Bytes]) -> Result<T, Failure> {
    let read = || read::<T>(json);
    let value = if attachments.is_empty() {
        read()
    } else {
        bytes::provide_attachments(attachments, read)
    };
    value.map_err(|error| Failure::new(400, mismatch::arguments(json.as_bytes(), &error)))
}

/// Reads the arguments from the JSON array.
fn read<T: DeserializeOwned>(json: &str) -> serde_json::Result<T> {
    let mut array = serde_json::Deserializer::from_str(json);
    match Shape::of_type::<T>() {
        Shape::Several => T::deserialize(Several(&mut array)),
        Shape::None => T::deserialize(Missing::new(1)),
        Shape::One => array.deserialize_seq(First(PhantomData)),
    }
}

/// Visitor that reads the first element of the array and skips the others.
struct First<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for First<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of arguments")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut arguments: A) -> Result<T, A::Error> {
        let Some(value) = arguments.next_element()? else {
            return T::deserialize(Missing::new(1));
        };
        skip_rest(arguments)?;
        Ok(value)
    }
}

/// Skips the elements that no argument takes.
fn skip_rest<'de, A: SeqAccess<'de>>(mut arguments: A) -> Result<(), A::Error> {
    while arguments.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

/// Deserializer that reads a tuple from the elements of the array.
struct Several<'a, R>(&'a mut serde_json::Deserializer<R>);

impl<'de, R: serde_json::de::Read<'de>> Deserializer<'de> for Several<'_, R> {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> serde_json::Result<V::Value> {
        self.0.deserialize_seq(Padded(visitor))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct newtype_struct seq
        tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// Visitor that reads missing arguments at the end as `undefined`, and skips extra arguments.
struct Padded<V>(V);

impl<'de, V: Visitor<'de>> Visitor<'de> for Padded<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut arguments: A) -> Result<V::Value, A::Error> {
        let value = self.0.visit_seq(Padding {
            arguments: &mut arguments,
            taken: 0,
        })?;
        skip_rest(arguments)?;
        Ok(value)
    }
}

/// Sequence that continues with missing arguments after the last element.
struct Padding<'a, A> {
    arguments: &'a mut A,
    taken: usize,
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Padding<'_, A> {
    type Error = A::Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, A::Error> {
        self.taken += 1;
        let mut seed = Some(seed);
        if let Some(value) = self.arguments.next_element_seed(Once(&mut seed))? {
            return Ok(Some(value));
        }
        seed.map(|seed| seed.deserialize(Missing::new(self.taken)))
            .transpose()
    }
}

/// Seed that stays in the option when the sequence has no further element.
struct Once<'a, T>(&'a mut Option<T>);

impl<'de, T: DeserializeSeed<'de>> DeserializeSeed<'de> for Once<'_, T> {
    type Value = T::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T::Value, D::Error> {
        let seed = self.0.take().expect("a sequence uses a seed once");
        seed.deserialize(deserializer)
    }
}

/// Deserializer of an argument that was not sent: `undefined`.
struct Missing<E> {
    /// Position of the argument, counted from 1.
    number: usize,
    error: PhantomData<E>,
}

impl<E> Missing<E> {
    fn new(number: usize) -> Self {
        Missing {
            number,
            error: PhantomData,
        }
    }
}

impl<'de, E: Error> Deserializer<'de> for Missing<E> {
    type Error = E;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, E> {
        Err(E::custom(format_args!(
            "argument {} is missing",
            self.number
        )))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        visitor.visit_none()
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit_struct newtype_struct seq tuple
        tuple_struct map struct enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[expect(dead_code, reason = "only whether it fits is asked")]
    struct Named {
        name: String,
    }

    fn plain<T: DeserializeOwned>(json: &str) -> Result<T, Failure> {
        decode(json, &[])
    }

    #[test]
    fn one_argument() {
        assert_eq!(plain::<String>(r#"["a",2]"#).unwrap(), "a");
        assert_eq!(plain::<Vec<u8>>("[[1,2]]").unwrap(), [1, 2]);
        assert_eq!(plain::<Value>(r#"[{"a":1}]"#).unwrap(), json!({ "a": 1 }));
        assert_eq!(plain::<Option<u8>>("[]").unwrap(), None);
        plain::<()>("[1]").unwrap();
        plain::<()>("[]").unwrap();
    }

    #[test]
    fn several_arguments() {
        assert_eq!(
            plain::<(u8, String)>(r#"[1,"a",true]"#).unwrap(),
            (1, "a".to_owned())
        );
        assert_eq!(plain::<(u8, Option<u8>)>("[1]").unwrap(), (1, None));
        assert_eq!(plain::<(u8, Option<u8>)>("[1,null]").unwrap(), (1, None));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let message = |json| plain::<(u8, u8)>(json).unwrap_err().message().to_owned();
        let fit = |words| format!("the arguments do not fit: {words}");
        assert_eq!(message("[]"), fit("argument 1 is missing"));
        assert_eq!(message("[1]"), fit("argument 2 is missing"));
        assert_eq!(
            message(r#"[1,"a"]"#),
            fit("argument 2: expected a whole number from 0 to 255, found \"a\"")
        );
        let message = |json| plain::<Named>(json).unwrap_err().message().to_owned();
        assert_eq!(message("[]"), fit("argument 1 is missing"));
        assert_eq!(
            message("[true]"),
            fit("argument 1: expected an object, found true")
        );
        assert_eq!(message("[{}]"), fit("field `name` is missing"));
        assert_eq!(
            message(r#"[{"name":[]}]"#),
            fit("`name`: expected a string, found an array")
        );
        let second = plain::<(u8, Named)>(r#"[1,{"name":null}]"#).unwrap_err();
        assert_eq!(
            second.message(),
            fit("argument 2: `name`: expected a string, found null")
        );
    }

    #[test]
    fn bytes_are_found_at_any_depth() {
        #[derive(serde::Deserialize)]
        struct File {
            content: Bytes,
        }
        let attachments = [Bytes::from(b"zero"), Bytes::from(b"one")];
        let json = r#"[{"content":{"_placeholder":true,"num":1}},{"_placeholder":true,"num":0}]"#;
        let (file, last): (File, Bytes) = decode(json, &attachments).unwrap();
        assert_eq!(&*file.content, b"one");
        assert_eq!(&*last, b"zero");
    }

    #[test]
    fn a_forged_placeholder_is_not_binary() {
        let forged = r#"[{"_placeholder":true,"num":0}]"#;
        assert!(plain::<Bytes>(forged).is_err());
        assert!(plain::<Value>(forged).is_ok());
    }
}
