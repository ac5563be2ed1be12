//! Names, keys, values and pages: the arguments and results of operations. Their constructors check sizes.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;

use super::error::Error;
use super::limits::{MAX_BATCH, MAX_BATCH_BYTES, MAX_BUCKET_NAME, MAX_KEY, MAX_VALUE};

/// The name of a bucket: 1 to [`MAX_BUCKET_NAME`] bytes without control characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BucketName(Arc<str>);

impl BucketName {
    /// Checks a name.
    ///
    /// # Errors
    /// The name is empty, too long or contains a control character.
    pub fn new(name: &str) -> Result<Self, Error> {
        if name.is_empty() || name.len() > MAX_BUCKET_NAME || name.chars().any(char::is_control) {
            // The name may be of any size.
            let shown = name.chars().take(64).collect();
            return Err(Error::BucketName(shown));
        }
        Ok(Self(name.into()))
    }
}

impl Deref for BucketName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BucketName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A key: at most [`MAX_KEY`] bytes of any text, also with NUL.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

impl Key {
    /// Checks a key.
    ///
    /// # Errors
    /// The key is too long.
    pub fn new(key: String) -> Result<Self, Error> {
        if key.len() > MAX_KEY {
            return Err(Error::KeyTooLong(key.len()));
        }
        Ok(Self(key))
    }

    /// Returns the text of the key.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl Deref for Key {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// A value: at most [`MAX_VALUE`] bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value(Bytes);

impl Value {
    /// Checks a value.
    ///
    /// # Errors
    /// The value is too large.
    pub fn new(value: impl Into<Bytes>) -> Result<Self, Error> {
        let bytes = value.into();
        if bytes.len() > MAX_VALUE {
            return Err(Error::ValueTooLarge(bytes.len()));
        }
        Ok(Self(bytes))
    }

    /// Returns the bytes of the value.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl Deref for Value {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// A key with its value.
pub type Pair = (Key, Value);

/// What an operation on several keys names, bounded in number and size.
#[derive(Clone, Debug)]
pub struct Batch<T>(Vec<T>);

impl Batch<Key> {
    /// Checks the number of keys.
    ///
    /// # Errors
    /// There are too many keys.
    pub fn of_keys(keys: Vec<Key>) -> Result<Self, Error> {
        if keys.len() > MAX_BATCH {
            return Err(Error::TooManyKeys(keys.len()));
        }
        Ok(Self(keys))
    }
}

impl Batch<Pair> {
    /// Checks the number of keys and the size of all keys and values together.
    ///
    /// # Errors
    /// There are too many keys, or they are too large together.
    pub fn of_pairs(pairs: Vec<Pair>) -> Result<Self, Error> {
        if pairs.len() > MAX_BATCH {
            return Err(Error::TooManyKeys(pairs.len()));
        }
        let size: usize = pairs
            .iter()
            .map(|(key, value)| key.len() + value.len())
            .sum();
        if size > MAX_BATCH_BYTES {
            return Err(Error::BatchTooLarge);
        }
        Ok(Self(pairs))
    }
}

impl<T> Batch<T> {
    /// Returns the items.
    pub fn into_inner(self) -> Vec<T> {
        self.0
    }
}

impl<T> Deref for Batch<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

/// The value of a key with its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionedValue {
    /// The value.
    pub value: Value,
    /// A number that no other value of this store has or had, also not one of the same key.
    pub version: u64,
}

/// The state in which a compare-and-swap expects a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// The key does not exist.
    Absent,
    /// The key has the value of this version, and nothing has set it since, also not to the same bytes.
    Version(u64),
    /// The key has this value.
    Value(Value),
}

/// The number that `increment` adds. It decides the range of the sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delta {
    /// The sum is signed.
    Signed(i64),
    /// The sum is not negative.
    Unsigned(u64),
}

/// One page of the keys of a bucket, in the order of their bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyPage {
    /// The keys: at most [`PAGE_KEYS`](super::PAGE_KEYS), and [`PAGE_BYTES`](super::PAGE_BYTES) in all.
    pub keys: Vec<Key>,
    /// True if keys follow. The next page begins after the last key of this one.
    pub more: bool,
}

/// The numbers of a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketSize {
    /// The name of the bucket.
    pub name: BucketName,
    /// The number of its keys.
    pub keys: u64,
    /// The bytes of its keys and values.
    pub bytes: u64,
}

/// The state of a store, for probes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Nothing has been stored yet, and no file exists.
    Unused,
    /// Everything works.
    Ok,
    /// Something does not work: the sentence says what.
    Degraded(String),
}
