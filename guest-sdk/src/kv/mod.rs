//! Keeps data between calls, in buckets of keys and values.
//!
//! A handler has a bucket of its own, which the functions here use. A value is there for every later call, also after
//! the server was restarted: when [`set`] returns, it is on the disk. Values are written as JSON;
//! [`Bucket::get_bytes`] and [`Bucket::set_bytes`] do without.
//!
//! ```
//! use hitchy_guest::{Failure, Json, Path, Result, kv};
//!
//! #[derive(serde::Deserialize, serde::Serialize)]
//! struct Note { text: String }
//!
//! fn read(Path(id): Path<String>) -> Result<Json<Note>> {
//!     let note: Option<Note> = kv::get(&format!("note:{id}"))?;
//!     note.map(Json).ok_or(Failure::new(404, "there is no such note").into())
//! }
//!
//! fn write(Path(id): Path<String>, Json(note): Json<Note>) -> Result<()> {
//!     kv::set(&format!("note:{id}"), &note)?;
//!     kv::increment("writes", 1)?;
//!     Ok(())
//! }
//! # write(Path("1".to_owned()), Json(Note { text: "milk".to_owned() })).unwrap();
//! # assert_eq!(read(Path("1".to_owned())).unwrap().0.text, "milk");
//! # assert_eq!(kv::get::<u32>("writes").unwrap(), Some(1));
//! ```
//!
//! # Several calls at once
//! Calls run side by side, so a [`get`] followed by a [`set`] may undo what another call wrote between them. [`update`]
//! changes a value as one step, and [`increment`] a number:
//!
//! ```
//! use hitchy_guest::{Result, kv};
//!
//! fn join(name: String) -> Result<Vec<String>> {
//!     let names = kv::update("names", |names: Option<Vec<String>>| {
//!         let mut names = names.unwrap_or_default();
//!         names.push(name.clone());
//!         names
//!     })?;
//!     Ok(names)
//! }
//! # join("Ada".to_owned()).unwrap();
//! # assert_eq!(join("Bob".to_owned()).unwrap(), ["Ada", "Bob"]);
//! ```
//!
//! # Other buckets
//! [`bucket`] opens a bucket that the operator granted to the handler, with `buckets = { shared = "read-write" }` in its
//! settings.
//!
//! # Limits
//! A key has at most 1 KiB and a value at most 1 MiB. Nothing can be read or written while the server asks the handler
//! for its declarations.

mod bucket;
mod error;
mod keys;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::bucket::Bucket;
pub use self::error::Error;
pub use self::keys::Keys;

/// The name of the handler's own bucket.
const OWN: &str = "default";

/// Opens a bucket that the operator granted to the handler. The name `default` stands for the handler's own bucket.
///
/// ```
/// use hitchy_guest::{Result, kv};
///
/// fn price(article: &str) -> Result<Option<u32>> {
///     Ok(kv::bucket("prices")?.get(article)?)
/// }
/// # use hitchy_guest::testing::{self, Access};
/// # testing::grant_bucket("prices", Access::Read);
/// # testing::bucket("prices").set("tea", &3).unwrap();
/// # assert_eq!(price("tea").unwrap(), Some(3));
/// ```
///
/// # Errors
/// Fails with [`Error::AccessDenied`] or [`Error::NoSuchStore`] when the bucket is not granted.
pub fn bucket(name: &str) -> Result<Bucket, Error> {
    Bucket::open(name)
}

/// Returns the value of a key, or `None` if the key does not exist.
///
/// # Errors
/// Fails when the store fails, and with [`Error::Invalid`] when the value does not fit `T`.
pub fn get<T: DeserializeOwned>(key: &str) -> Result<Option<T>, Error> {
    bucket(OWN)?.get(key)
}

/// Sets the value of a key, whether it exists or not.
///
/// # Errors
/// Fails when the store fails, and when the key or the value is too large.
pub fn set<T: Serialize + ?Sized>(key: &str, value: &T) -> Result<(), Error> {
    bucket(OWN)?.set(key, value)
}

/// Deletes a key. A key that does not exist is not an error.
///
/// # Errors
/// Fails when the store fails.
pub fn delete(key: &str) -> Result<(), Error> {
    bucket(OWN)?.delete(key)
}

/// Returns true if the key exists.
///
/// # Errors
/// Fails when the store fails.
pub fn exists(key: &str) -> Result<bool, Error> {
    bucket(OWN)?.exists(key)
}

/// Returns all keys in the order of their bytes. They are read page by page, while the iterator is used.
///
/// # Errors
/// Fails when the store fails. The iterator ends with such an error too.
pub fn keys() -> Result<Keys, Error> {
    Ok(bucket(OWN)?.keys())
}

/// Returns the keys that begin with `prefix`, in the order of their bytes. The keys in front of them are read too.
///
/// ```
/// use hitchy_guest::{Result, kv};
///
/// fn ids() -> Result<Vec<String>> {
///     let keys = kv::keys_with_prefix("note:")?;
///     Ok(keys.collect::<Result<_, _>>()?)
/// }
/// # kv::set("note:1", "milk").unwrap();
/// # kv::set("user:1", "Ada").unwrap();
/// # assert_eq!(ids().unwrap(), ["note:1"]);
/// ```
///
/// # Errors
/// Fails when the store fails. The iterator ends with such an error too.
pub fn keys_with_prefix(prefix: &str) -> Result<Keys, Error> {
    Ok(bucket(OWN)?.keys_with_prefix(prefix))
}

/// Changes the value of a key as one step, and returns the new value. `change` gets the value that the key has, and runs
/// again when another call changed it meanwhile.
///
/// # Errors
/// Fails when the store fails, with [`Error::Invalid`] when the value does not fit `T`, and with [`Error::Contended`]
/// when other calls changed the key each time.
pub fn update<T>(key: &str, change: impl FnMut(Option<T>) -> T) -> Result<T, Error>
where
    T: Serialize + DeserializeOwned,
{
    bucket(OWN)?.update(key, change)
}

/// Changes the value of a key as one step, unless `change` returns an error: then the key stays as it is.
///
/// ```
/// use hitchy_guest::{Failure, Result, kv};
///
/// fn reserve(seat: &str, name: &str) -> Result<String> {
///     kv::try_update(seat, |taken: Option<String>| match taken {
///         Some(other) => Err(Failure::new(409, format!("{other} has this seat"))),
///         None => Ok(name.to_owned()),
///     })
/// }
/// # reserve("12a", "Ada").unwrap();
/// # assert_eq!(reserve("12a", "Bob").unwrap_err().failure().unwrap().code(), 409);
/// ```
///
/// # Errors
/// Returns the error of `change`, and the errors of [`update`].
pub fn try_update<T, E>(
    key: &str,
    change: impl FnMut(Option<T>) -> Result<T, E>,
) -> crate::Result<T>
where
    T: Serialize + DeserializeOwned,
    E: Into<crate::Error>,
{
    bucket(OWN)?.try_update(key, change)
}

/// Adds `delta` to a number as one step, and returns the sum. A key that does not exist counts as 0.
///
/// # Errors
/// Fails when the store fails, when the value is not a number, and when the sum does not fit.
pub fn increment(key: &str, delta: i64) -> Result<i64, Error> {
    bucket(OWN)?.increment(key, delta)
}

/// Appends an item to a list as one step, and returns the list. Beyond `max` items, the first ones are dropped.
///
/// ```
/// use hitchy_guest::{Result, kv};
///
/// fn remember(line: &str) -> Result<Vec<String>> {
///     Ok(kv::push_bounded("lines", line.to_owned(), 2)?)
/// }
/// # remember("a").unwrap();
/// # remember("b").unwrap();
/// # assert_eq!(remember("c").unwrap(), ["b", "c"]);
/// ```
///
/// # Errors
/// Has the errors of [`update`].
pub fn push_bounded<T>(key: &str, item: T, max: usize) -> Result<Vec<T>, Error>
where
    T: Clone + Serialize + DeserializeOwned,
{
    bucket(OWN)?.push_bounded(key, item, max)
}

/// Returns the values of several keys in their order, with `None` for a key that does not exist.
///
/// # Errors
/// Fails when the store fails, and with [`Error::Invalid`] when a value does not fit `T`.
pub fn get_many<T: DeserializeOwned>(
    keys: impl IntoIterator<Item = impl Into<String>>,
) -> Result<Vec<Option<T>>, Error> {
    bucket(OWN)?.get_many(keys)
}

/// Sets the values of several keys: all of them, or none if it fails.
///
/// ```
/// use hitchy_guest::{Result, kv};
///
/// fn move_one() -> Result<()> {
///     kv::set_many([("left", &1), ("right", &2)])?;
///     Ok(())
/// }
/// # move_one().unwrap();
/// # assert_eq!(kv::get_many::<u8>(["right", "up"]).unwrap(), [Some(2), None]);
/// ```
///
/// # Errors
/// Fails when the store fails, and when a key or a value is too large.
pub fn set_many<K: Into<String>, T: Serialize>(
    pairs: impl IntoIterator<Item = (K, T)>,
) -> Result<(), Error> {
    bucket(OWN)?.set_many(pairs)
}

/// Deletes several keys: all of them, or none if it fails.
///
/// # Errors
/// Fails when the store fails.
pub fn delete_many(keys: impl IntoIterator<Item = impl Into<String>>) -> Result<(), Error> {
    bucket(OWN)?.delete_many(keys)
}
