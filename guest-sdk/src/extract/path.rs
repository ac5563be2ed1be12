//! The extractor for the parameters of a route's path.

use std::cell::Cell;
use std::fmt;

use serde::de::value::{Error as ValueError, MapDeserializer, SeqDeserializer};
use serde::de::{DeserializeOwned, Deserializer, Error as _, Visitor};

use super::FromRequest;
use crate::error::{Error, Result};
use crate::mismatch;
use crate::request::Request;
use crate::urlencoded::{Scalar, delegate_scalars};

/// Extractor for the parameters of the route's path, percent-decoded.
///
/// A single value takes the only parameter, a tuple takes them in their order, and a struct or map takes them by name.
/// A parameter that does not fit the type is refused with a 400.
///
/// ```
/// use hitchy_guest::{App, Path};
///
/// #[derive(serde::Deserialize)]
/// struct Version { file: String, number: u32 }
///
/// fn app() -> App {
///     App::new()
///         .get("/users/{id}", |Path(id): Path<u64>| format!("user {id}"))
///         .get("/rooms/{room}/{message}", |Path((room, message)): Path<(String, u64)>| format!("{room}, {message}"))
///         .get("/files/{number}/{*file}", |Path(version): Path<Version>| version.file)
/// }
/// # app();
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned> FromRequest for Path<T> {
    fn from_request(request: &Request) -> Result<Self> {
        let params = names(request.pattern())
            .map(|name| (name, request.param(name).unwrap_or_default()))
            .collect();
        let (mistaken, current) = (Cell::new(false), Cell::new(""));
        let value = T::deserialize(Params {
            params,
            mistaken: &mistaken,
            current: &current,
        });
        value.map(Path).map_err(|error| {
            let text = error.to_string();
            // The route defines which parameters there are, so a missing one is a mistake of the handler and not of the
            // client.
            if mistaken.get() || text.starts_with("missing field") {
                return Error::internal(format_args!("route {}: {text}", request.pattern()));
            }
            let words = mismatch::describe(current.get(), &text);
            Error::rejected(format!("the path does not fit: {words}"))
        })
    }
}

/// Returns the names of a pattern's parameters in their order.
fn names(pattern: &'static str) -> impl Iterator<Item = &'static str> {
    let mut rest = pattern;
    std::iter::from_fn(move || {
        let (_, from_name) = rest.split_once('{')?;
        let (name, after) = from_name.split_once('}')?;
        rest = after;
        Some(name.trim_start_matches('*'))
    })
}

/// Deserializer of the parameters of a request.
struct Params<'a> {
    params: Vec<(&'static str, String)>,
    /// Set when the function wants parameters that the route does not have, which is a mistake of the handler's author.
    mistaken: &'a Cell<bool>,
    /// Name of the parameter that is being read.
    current: &'a Cell<&'static str>,
}

impl Params<'_> {
    /// Returns the value of the only parameter, or an error if there is not exactly one.
    fn only(&self) -> Result<Scalar<'_>, ValueError> {
        self.expect(1)?;
        let (name, value) = &self.params[0];
        self.current.set(name);
        Ok(Scalar(value))
    }

    /// Returns all parameters, and records in `current` the one that was returned last.
    fn all(&self) -> impl Iterator<Item = (&'static str, Scalar<'_>)> {
        self.params.iter().map(|(name, value)| {
            self.current.set(name);
            (*name, Scalar(value))
        })
    }

    /// Fails if the number of parameters is not the one that the function takes.
    fn expect(&self, wanted: usize) -> Result<(), ValueError> {
        let there = self.params.len();
        if there == wanted {
            return Ok(());
        }
        self.mistaken.set(true);
        Err(ValueError::custom(format_args!(
            "its path has {there} parameters, the function takes {wanted}"
        )))
    }
}

impl<'de> Deserializer<'de> for Params<'_> {
    type Error = ValueError;

    delegate_scalars!(only);

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        visitor.visit_seq(SeqDeserializer::new(self.all().map(|(_, value)| value)))
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        self.expect(len)?;
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        visitor.visit_map(MapDeserializer::new(self.all()))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        if fields.is_empty() {
            self.mistaken.set(true);
        }
        self.deserialize_map(visitor)
    }
}

impl fmt::Debug for Params<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.params.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: DeserializeOwned>(params: &[(&'static str, &str)]) -> Result<T, (String, bool)> {
        let params = params
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect();
        let (mistaken, current) = (Cell::new(false), Cell::new(""));
        T::deserialize(Params {
            params,
            mistaken: &mistaken,
            current: &current,
        })
        .map_err(|error| (format!("{}: {error}", current.get()), mistaken.get()))
    }

    #[test]
    fn names_stand_in_their_order() {
        assert!(names("/a/{b}/c/{*d}").eq(["b", "d"]));
        assert_eq!(names("/a").count(), 0);
    }

    #[test]
    fn one_value() {
        assert_eq!(read::<String>(&[("a", "x")]).unwrap(), "x");
        assert_eq!(read::<u8>(&[("a", "7")]).unwrap(), 7);
        assert_eq!(
            read::<u8>(&[("a", "x")]).unwrap_err(),
            (
                "a: expected a whole number from 0 to 255, found `x`".to_owned(),
                false
            )
        );
    }

    #[test]
    fn several_values() {
        assert_eq!(
            read::<(u8, String)>(&[("a", "7"), ("b", "x")]).unwrap(),
            (7, "x".to_owned())
        );
    }

    #[test]
    fn values_by_name() {
        #[derive(Debug, PartialEq, serde::Deserialize)]
        struct Named {
            b: String,
            a: u8,
        }
        assert_eq!(
            read::<Named>(&[("a", "7"), ("b", "x")]).unwrap(),
            Named {
                a: 7,
                b: "x".to_owned()
            }
        );
    }

    #[test]
    fn the_parameter_that_does_not_fit_is_known() {
        let (sentence, mistaken) = read::<(u8, i64)>(&[("a", "7"), ("b", "x")]).unwrap_err();
        assert_eq!(sentence, "b: expected a whole number, found `x`");
        assert!(!mistaken);
    }

    #[test]
    fn another_number_of_parameters_is_the_authors_mistake() {
        assert!(read::<(u8, u8)>(&[("a", "7")]).unwrap_err().1);
        assert!(read::<String>(&[]).unwrap_err().1);
    }
}
