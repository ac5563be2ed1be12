//! Reads the format `application/x-www-form-urlencoded`, `name=value&…`, of queries and forms.
//!
//! The parser is written by hand because it is strict: a `%` that is not followed by two hexadecimal digits, and text that
//! is not UTF-8, are errors, which reach the client as a 400. The crate form_urlencoded is lenient: it keeps a broken
//! `%` as it is and replaces invalid UTF-8, so that a handler would read another value than the client meant.

mod scalar;

use std::fmt;

use serde::de::value::{Error, SeqDeserializer};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess,
    Visitor,
};
use serde::forward_to_deserialize_any;

use crate::mismatch;

pub(crate) use self::scalar::{Scalar, delegate_scalars};

/// Reads a struct or map. A sequence takes all values of a name that is given several times.
pub(crate) fn from_str<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    let pairs = pairs(text)?;
    T::deserialize(Pairs {
        all: &pairs,
        next: 0,
    })
}

/// Splits the text into decoded names and values. Empty parts are skipped.
fn pairs(text: &str) -> Result<Vec<(String, String)>, Error> {
    let pair = |part: &str| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        Ok((decode(name, b' ')?, decode(value, b' ')?))
    };
    text.split('&')
        .filter(|part| !part.is_empty())
        .map(pair)
        .collect()
}

/// Decodes a name or value. `%41` becomes `A`, and `+` becomes the byte `plus`: a space in queries and forms.
///
/// A `%` that two hexadecimal digits do not follow is an error, and so is text that is not UTF-8.
pub(crate) fn decode(text: &str, plus: u8) -> Result<String, Error> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => plus,
            b'%' => {
                let byte = hex(rest.next())
                    .zip(hex(rest.next()))
                    .map(|(high, low)| high << 4 | low);
                byte.ok_or_else(|| {
                    Error::custom(format_args!(
                        "`{text}` has a `%` that is not followed by two hexadecimal digits"
                    ))
                })?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).map_err(|_| Error::custom(format_args!("`{text}` is not UTF-8")))
}

/// Returns the value of a hexadecimal digit.
fn hex(digit: Option<u8>) -> Option<u8> {
    char::from(digit?)
        .to_digit(16)
        .and_then(|digit| digit.try_into().ok())
}

/// Deserializer of all pairs as a struct or map that contains each name once.
struct Pairs<'a> {
    all: &'a [(String, String)],
    next: usize,
}

impl<'a> Pairs<'a> {
    fn values(&self) -> Values<'a> {
        let (name, _) = &self.all[self.next];
        Values {
            all: self.all,
            name,
        }
    }

    /// Returns true if the next name was given before.
    fn is_repeated(&self) -> bool {
        let (before, from) = self.all.split_at(self.next);
        before.iter().any(|(name, _)| name == &from[0].0)
    }
}

impl<'de> Deserializer<'de> for Pairs<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_map(self)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit_struct seq tuple tuple_struct map struct
        enum identifier ignored_any
    }
}

impl<'de> MapAccess<'de> for Pairs<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        while self.next < self.all.len() && self.is_repeated() {
            self.next += 1;
        }
        let Some((name, _)) = self.all.get(self.next) else {
            return Ok(None);
        };
        seed.deserialize(name.as_str().into_deserializer())
            .map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let values = self.values();
        self.next += 1;
        seed.deserialize(values)
            .map_err(|error| Error::custom(mismatch::describe(values.name, &error.to_string())))
    }
}

/// Deserializer of all values of one name.
#[derive(Clone, Copy)]
struct Values<'a> {
    all: &'a [(String, String)],
    name: &'a str,
}

impl<'a> Values<'a> {
    fn iter(self) -> impl Iterator<Item = Scalar<'a>> {
        self.all
            .iter()
            .filter(move |(name, _)| name == self.name)
            .map(|(_, value)| Scalar(value))
    }

    /// Returns the value of a name that may be given only once.
    fn only(&self) -> Result<Scalar<'a>, Error> {
        let mut values = self.iter();
        match (values.next(), values.next()) {
            (Some(value), None) => Ok(value),
            _ => Err(Error::custom("is given more than once")),
        }
    }
}

impl<'de> Deserializer<'de> for Values<'_> {
    type Error = Error;

    delegate_scalars!(only);

    /// An empty value is `None`, because a form sends a field that was left empty as `name=`.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let mut values = self.iter();
        match (values.next(), values.next()) {
            (Some(Scalar("")), None) => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(SeqDeserializer::new(self.iter()))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("maps and structs cannot be nested here"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_map(visitor)
    }
}

impl fmt::Debug for Values<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the values of {}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Search {
        q: String,
        page: Option<u32>,
        #[serde(default)]
        tag: Vec<String>,
    }

    #[test]
    fn names_may_repeat() {
        let search: Search = from_str("tag=a&q=x+y%21&tag=b&page=2").unwrap();
        assert_eq!(
            search,
            Search {
                q: "x y!".into(),
                page: Some(2),
                tag: vec!["a".into(), "b".into()]
            }
        );
    }

    #[test]
    fn an_empty_value_of_an_option_is_none() {
        for text in ["q=x&page=", "q=x&page", "page=&q=x"] {
            assert_eq!(from_str::<Search>(text).unwrap().page, None, "{text}");
        }
        #[derive(serde::Deserialize)]
        struct All {
            name: Option<String>,
            tags: Option<Vec<String>>,
        }
        let all: All = from_str("name=&tags=").unwrap();
        assert_eq!((all.name, all.tags), (None, None));
        let all: All = from_str("name=+&tags=&tags=b").unwrap();
        let tags = vec![String::new(), "b".to_owned()];
        assert_eq!((all.name, all.tags), (Some(" ".to_owned()), Some(tags)));
        let error = from_str::<Search>("q=x&page=&page=").unwrap_err();
        assert_eq!(error.to_string(), "`page`: is given more than once");
        assert_eq!(from_str::<Search>("q=").unwrap().q, "");
    }

    #[test]
    fn a_map_takes_all() {
        let map: BTreeMap<String, String> = from_str("a=1&b&&c=%C3%A4").unwrap();
        assert!(
            map.iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .eq([("a", "1"), ("b", ""), ("c", "ä")])
        );
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let error = |text| from_str::<Search>(text).unwrap_err().to_string();
        assert_eq!(error("page=1"), "missing field `q`");
        assert_eq!(
            error("q=x&page=many"),
            "`page`: expected a whole number from 0 to 4294967295, found `many`"
        );
        assert_eq!(error("q=x&q=y"), "`q`: is given more than once");
        assert_eq!(
            error("q=100%"),
            "`100%` has a `%` that is not followed by two hexadecimal digits"
        );
        assert_eq!(
            error("q=%zz"),
            "`%zz` has a `%` that is not followed by two hexadecimal digits"
        );
        assert_eq!(
            error("q=%+1"),
            "`%+1` has a `%` that is not followed by two hexadecimal digits"
        );
        assert_eq!(error("q=%ff"), "`%ff` is not UTF-8");
    }
}
