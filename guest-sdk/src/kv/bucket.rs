//! A bucket, and all operations on it.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::Error;
use super::keys::Keys;
use crate::host::kv;

/// The most times that an update is tried.
const MAX_TRIES: usize = 1000;

/// An open bucket.
///
/// It belongs to the call that opened it. The functions of [`kv`](super) do the same with the handler's own bucket.
pub struct Bucket {
    name: String,
    handle: kv::Bucket,
}

impl Bucket {
    pub(super) fn open(name: &str) -> Result<Self, Error> {
        let handle = kv::open(name).map_err(|error| Error::of(name, error))?;
        Ok(Bucket::new(name, handle))
    }

    pub(crate) fn new(name: &str, handle: kv::Bucket) -> Self {
        Bucket {
            name: name.to_owned(),
            handle,
        }
    }

    /// Returns the value of a key. See [`kv::get`](super::get).
    ///
    /// # Errors
    /// Fails when the store fails, and with [`Error::Invalid`] when the value does not fit `T`.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, Error> {
        decode(key, self.get_bytes(key)?)
    }

    /// Returns the bytes of a value, whatever they are.
    ///
    /// # Errors
    /// Fails when the store fails.
    pub fn get_bytes(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        self.check(self.handle.get(key))
    }

    /// Sets the value of a key. See [`kv::set`](super::set).
    ///
    /// # Errors
    /// Fails when the store fails, and when the key or the value is too large.
    pub fn set<T: Serialize + ?Sized>(&self, key: &str, value: &T) -> Result<(), Error> {
        self.set_bytes(key, &encode(key, value)?)
    }

    /// Sets the value of a key to these bytes.
    ///
    /// # Errors
    /// Fails when the store fails, and when the key or the value is too large.
    pub fn set_bytes(&self, key: &str, value: &[u8]) -> Result<(), Error> {
        self.check(self.handle.set(key, value))
    }

    /// Deletes a key. A key that does not exist is not an error.
    ///
    /// # Errors
    /// Fails when the store fails.
    pub fn delete(&self, key: &str) -> Result<(), Error> {
        self.check(self.handle.delete(key))
    }

    /// Returns true if the key exists.
    ///
    /// # Errors
    /// Fails when the store fails.
    pub fn exists(&self, key: &str) -> Result<bool, Error> {
        self.check(self.handle.exists(key))
    }

    /// Returns all keys in the order of their bytes. See [`kv::keys`](super::keys).
    pub fn keys(self) -> Keys {
        Keys::new(self.name, self.handle, "")
    }

    /// Returns the keys that begin with `prefix`. See [`kv::keys_with_prefix`](super::keys_with_prefix).
    pub fn keys_with_prefix(self, prefix: &str) -> Keys {
        Keys::new(self.name, self.handle, prefix)
    }

    /// Changes the value of a key as one step. See [`kv::update`](super::update).
    ///
    /// # Errors
    /// Fails when the store fails, with [`Error::Invalid`] when the value does not fit `T`, and with
    /// [`Error::Contended`] when other calls changed the key each time.
    pub fn update<T>(&self, key: &str, mut change: impl FnMut(Option<T>) -> T) -> Result<T, Error>
    where
        T: Serialize + DeserializeOwned,
    {
        self.swap(key, |old| Ok(change(old)))
    }

    /// Changes the value of a key as one step, unless `change` fails. See [`kv::try_update`](super::try_update).
    ///
    /// # Errors
    /// Returns the error of `change`, and the errors of [`update`](Bucket::update).
    pub fn try_update<T, E>(
        &self,
        key: &str,
        mut change: impl FnMut(Option<T>) -> Result<T, E>,
    ) -> crate::Result<T>
    where
        T: Serialize + DeserializeOwned,
        E: Into<crate::Error>,
    {
        self.swap(key, |old| change(old).map_err(Into::into))
    }

    /// Compares and swaps until nothing has changed the key between the two. `E` is the error of `change`, and takes
    /// those of the store.
    fn swap<T, E>(
        &self,
        key: &str,
        mut change: impl FnMut(Option<T>) -> Result<T, E>,
    ) -> Result<T, E>
    where
        T: Serialize + DeserializeOwned,
        E: From<Error>,
    {
        let mut cas = self.check(kv::Cas::new(&self.handle, key))?;
        for _ in 0..MAX_TRIES {
            let old = decode(key, self.check(cas.current())?)?;
            let new = change(old)?;
            match kv::swap(cas, &encode(key, &new)?) {
                Ok(()) => return Ok(new),
                Err(kv::CasError::CasFailed(newer)) => cas = newer,
                Err(kv::CasError::StoreError(error)) => {
                    return Err(Error::of(&self.name, error).into());
                }
            }
        }
        let key = key.to_owned();
        Err(Error::Contended { key }.into())
    }

    /// Adds `delta` to a number as one step. See [`kv::increment`](super::increment).
    ///
    /// # Errors
    /// Fails when the store fails, when the value is not a number, and when the sum does not fit.
    pub fn increment(&self, key: &str, delta: i64) -> Result<i64, Error> {
        self.check(kv::increment(&self.handle, key, delta))
    }

    /// Appends an item to a list as one step, and keeps the last `max` items. See
    /// [`kv::push_bounded`](super::push_bounded).
    ///
    /// # Errors
    /// Has the errors of [`update`](Bucket::update).
    pub fn push_bounded<T>(&self, key: &str, item: T, max: usize) -> Result<Vec<T>, Error>
    where
        T: Clone + Serialize + DeserializeOwned,
    {
        self.update(key, |list: Option<Vec<T>>| {
            let mut items = list.unwrap_or_default();
            items.push(item.clone());
            items.drain(..items.len().saturating_sub(max));
            items
        })
    }

    /// Returns the values of several keys in their order. See [`kv::get_many`](super::get_many).
    ///
    /// # Errors
    /// Fails when the store fails, and with [`Error::Invalid`] when a value does not fit `T`.
    pub fn get_many<T: DeserializeOwned>(
        &self,
        keys: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Vec<Option<T>>, Error> {
        let keys: Vec<String> = keys.into_iter().map(Into::into).collect();
        let found = self.check(kv::get_many(&self.handle, &keys))?;
        let values = found.into_iter().map(|pair| match pair {
            Some((key, value)) => decode(&key, Some(value)),
            None => Ok(None),
        });
        values.collect()
    }

    /// Sets the values of several keys: all of them, or none if it fails.
    ///
    /// # Errors
    /// Fails when the store fails, and when a key or a value is too large.
    pub fn set_many<K: Into<String>, T: Serialize>(
        &self,
        pairs: impl IntoIterator<Item = (K, T)>,
    ) -> Result<(), Error> {
        let encoded = pairs.into_iter().map(|(key, value)| {
            let key = key.into();
            let value = encode(&key, &value)?;
            Ok((key, value))
        });
        let pairs: Vec<_> = encoded.collect::<Result<_, Error>>()?;
        self.check(kv::set_many(&self.handle, &pairs))
    }

    /// Deletes several keys: all of them, or none if it fails.
    ///
    /// # Errors
    /// Fails when the store fails.
    pub fn delete_many(
        &self,
        keys: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<(), Error> {
        let keys: Vec<String> = keys.into_iter().map(Into::into).collect();
        self.check(kv::delete_many(&self.handle, &keys))
    }

    fn check<T>(&self, result: Result<T, kv::Error>) -> Result<T, Error> {
        result.map_err(|error| Error::of(&self.name, error))
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bucket({})", self.name)
    }
}

fn encode<T: Serialize + ?Sized>(key: &str, value: &T) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value).map_err(|error| Error::invalid(key, &error))
}

fn decode<T: DeserializeOwned>(key: &str, value: Option<Vec<u8>>) -> Result<Option<T>, Error> {
    let Some(json) = value else {
        return Ok(None);
    };
    let decoded = serde_json::from_slice(&json);
    decoded
        .map(Some)
        .map_err(|error| Error::invalid(key, &error))
}
