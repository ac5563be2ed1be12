//! Reads the values and secrets that the operator set for the handler.
//!
//! The operator writes `config = { greeting = "hello", retries = 3 }` in the handler's settings, and names secrets with
//! `secrets = ["TOKEN"]`, whose values come from the server's environment. A handler reads both in the same way. When
//! the operator changes one of them, the handler is reloaded.
//!
//! ```
//! use hitchy_guest::{Path, Result, config};
//!
//! fn greet(Path(name): Path<String>) -> Result<String> {
//!     let greeting = config::get("greeting")?.unwrap_or("hello".to_owned());
//!     let retries: u32 = config::get("retries")?.unwrap_or(1);
//!     let token: String = config::require("TOKEN")?;
//! #   assert_eq!((retries, token.as_str()), (3, "hunter2"));
//!     Ok(format!("{greeting} {name}"))
//! }
//! # use hitchy_guest::testing;
//! # testing::set_config("retries", 3);
//! # testing::set_config("TOKEN", "hunter2");
//! # assert_eq!(greet(Path("Ada".to_owned())).unwrap(), "hello Ada");
//! ```
//!
//! Nothing can be read while the server asks the handler for its declarations: the function that
//! [`export!`](crate::export) takes must not depend on the configuration.

use std::any::type_name;
use std::fmt;
use std::str::FromStr;

use crate::host::config;

/// The reason for which a value cannot be read. Its text never contains the value, which may be a secret.
///
/// The `?` operator turns it into an internal error: the client gets a 500, and the log has the text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The key is not set.
    Missing {
        /// The key.
        key: String,
    },
    /// The value cannot be read as the type that was asked for.
    Invalid {
        /// The key.
        key: String,
        /// The name of the type.
        expected: &'static str,
    },
    /// The server does not give values now, as a sentence.
    Unavailable(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Missing { key } => write!(
                f,
                "the configuration has no `{key}`: set it in `config`, or name it in `secrets`, of this handler"
            ),
            Error::Invalid { key, expected } => {
                write!(
                    f,
                    "the configuration's `{key}` is not a value of type {expected}"
                )
            }
            Error::Unavailable(reason) => write!(f, "the configuration cannot be read: {reason}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<config::Error> for Error {
    fn from(error: config::Error) -> Self {
        match error {
            config::Error::Upstream(reason) | config::Error::Io(reason) => {
                Error::Unavailable(reason)
            }
        }
    }
}

/// Returns the value of a key, or `None` if it is not set. Numbers and booleans are parsed from their text.
///
/// # Errors
/// Fails when the value cannot be parsed as `T`.
pub fn get<T: FromStr>(key: &str) -> Result<Option<T>, Error> {
    let Some(text) = config::get(key)? else {
        return Ok(None);
    };
    let parsed = text.parse().map_err(|_| Error::Invalid {
        key: key.to_owned(),
        expected: type_name::<T>(),
    });
    parsed.map(Some)
}

/// Returns the value of a key that has to be set.
///
/// # Errors
/// Fails when the key is not set, or when the value cannot be parsed as `T`.
pub fn require<T: FromStr>(key: &str) -> Result<T, Error> {
    get(key)?.ok_or_else(|| Error::Missing {
        key: key.to_owned(),
    })
}

/// Returns all keys with their values, those of secrets too.
///
/// # Errors
/// Fails when the server does not give values now.
pub fn get_all() -> Result<Vec<(String, String)>, Error> {
    Ok(config::get_all()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn values_are_parsed() {
        testing::reset();
        testing::set_config("retries", 3);
        testing::set_config("verbose", true);
        assert_eq!(get("retries"), Ok(Some(3_u8)));
        assert_eq!(require("verbose"), Ok(true));
        assert_eq!(get::<String>("nothing"), Ok(None));
        let all = [("retries", "3"), ("verbose", "true")];
        assert_eq!(
            get_all().unwrap(),
            all.map(|(key, value)| (key.to_owned(), value.to_owned()))
        );
    }

    #[test]
    fn errors_name_the_key_and_never_the_value() {
        testing::reset();
        testing::set_config("TOKEN", "hunter2");
        let invalid = get::<u8>("TOKEN").unwrap_err();
        assert_eq!(
            invalid.to_string(),
            "the configuration's `TOKEN` is not a value of type u8"
        );
        let missing = require::<u8>("PORT").unwrap_err();
        assert!(missing.to_string().contains("has no `PORT`"), "{missing}");
    }
}
