//! The imports of `wasi:keyvalue`, in memory. A handler has its own bucket, and those that a test has granted.

use std::collections::BTreeMap;

use super::instances::Scope;
use super::state;
pub(crate) use crate::bindings::wasi::keyvalue::store::{Error, KeyResponse};

/// Largest key and largest value in bytes, as in the server.
const MAX_KEY: usize = 1 << 10;
const MAX_VALUE: usize = 1 << 20;
/// The keys in one page. Pages are small, so that tests turn them.
const PAGE: usize = 10;

/// What a handler may do with a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Access {
    /// It may read.
    Read,
    /// It may read and write.
    ReadWrite,
}

/// The buckets of this thread.
#[derive(Default)]
pub(crate) struct Store {
    buckets: BTreeMap<String, BTreeMap<String, Entry>>,
    pub(crate) grants: BTreeMap<String, Access>,
    /// The number of changes so far, which tells one change of a key from another.
    changes: u64,
}

#[derive(Clone)]
struct Entry {
    value: Vec<u8>,
    change: u64,
}

/// A handle to a bucket. It is valid until the call ends in which it was made.
pub(crate) struct Bucket {
    name: String,
    access: Access,
    scope: Scope,
}

/// A comparison, with the entry as it was when the comparison began.
pub(crate) struct Cas {
    bucket: String,
    access: Access,
    key: String,
    entry: Option<Entry>,
}

pub(crate) enum CasError {
    StoreError(Error),
    CasFailed(Cas),
}

/// Opens a bucket as the handler.
pub(crate) fn open(identifier: &str) -> Result<Bucket, Error> {
    if matches!(identifier, "" | "default") {
        return Ok(Bucket::new("default", Access::ReadWrite));
    }
    let access = state::with(|state| state.store.grants.get(identifier).copied());
    let access = access.ok_or(Error::AccessDenied)?;
    Ok(Bucket::new(identifier, access))
}

impl Bucket {
    pub(crate) fn new(name: &str, access: Access) -> Self {
        Bucket {
            name: name.to_owned(),
            access,
            scope: Scope::current(),
        }
    }

    /// Fails when the call of this handle is over.
    fn usable(&self) -> Result<(), Error> {
        let usable = self.scope.check("a bucket", "open it anew");
        usable.map_err(Error::Other)
    }

    fn read<T>(&self, act: impl FnOnce(&BTreeMap<String, Entry>) -> T) -> Result<T, Error> {
        self.usable()?;
        let read =
            state::with(|state| act(state.store.buckets.entry(self.name.clone()).or_default()));
        Ok(read)
    }

    /// Sets or deletes keys: all of them, or none.
    fn write(&self, changes: &[(String, Option<Vec<u8>>)]) -> Result<(), Error> {
        self.usable()?;
        if self.access == Access::Read {
            return Err(Error::AccessDenied);
        }
        let sizes = changes.iter().map(|(key, value)| {
            (
                key.len() <= MAX_KEY,
                value.as_ref().is_none_or(|value| value.len() <= MAX_VALUE),
            )
        });
        for (key_fits, value_fits) in sizes {
            if !key_fits {
                return Err(Error::Other("the key has more than 1 KiB".to_owned()));
            }
            if !value_fits {
                return Err(Error::Other("the value has more than 1 MiB".to_owned()));
            }
        }
        state::with(|state| {
            let bucket = state.store.buckets.entry(self.name.clone()).or_default();
            for (key, value) in changes {
                state.store.changes += 1;
                let change = state.store.changes;
                let value = value.clone();
                match value {
                    Some(value) => bucket.insert(key.clone(), Entry { value, change }),
                    None => bucket.remove(key),
                };
            }
        });
        Ok(())
    }

    pub(crate) fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        self.read(|bucket| bucket.get(key).map(|entry| entry.value.clone()))
    }

    pub(crate) fn set(&self, key: &str, value: &[u8]) -> Result<(), Error> {
        self.write(&[(key.to_owned(), Some(value.to_vec()))])
    }

    pub(crate) fn delete(&self, key: &str) -> Result<(), Error> {
        self.write(&[(key.to_owned(), None)])
    }

    pub(crate) fn exists(&self, key: &str) -> Result<bool, Error> {
        self.read(|bucket| bucket.contains_key(key))
    }

    pub(crate) fn list_keys(&self, cursor: Option<&str>) -> Result<KeyResponse, Error> {
        let after = |key: &&String| cursor.is_none_or(|cursor| key.as_str() > cursor);
        let mut keys: Vec<String> = self.read(|bucket| {
            bucket
                .keys()
                .filter(after)
                .take(PAGE + 1)
                .cloned()
                .collect()
        })?;
        let has_more = keys.len() > PAGE;
        keys.truncate(PAGE);
        let cursor = keys.last().filter(|_| has_more).cloned();
        Ok(KeyResponse { keys, cursor })
    }
}

impl Cas {
    pub(crate) fn new(bucket: &Bucket, key: &str) -> Result<Self, Error> {
        Ok(Cas {
            bucket: bucket.name.clone(),
            access: bucket.access,
            key: key.to_owned(),
            entry: bucket.read(|bucket| bucket.get(key).cloned())?,
        })
    }

    pub(crate) fn current(&self) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.entry.as_ref().map(|entry| entry.value.clone()))
    }
}

pub(crate) fn swap(cas: Cas, value: &[u8]) -> Result<(), CasError> {
    let bucket = Bucket::new(&cas.bucket, cas.access);
    let newer = Cas::new(&bucket, &cas.key).map_err(CasError::StoreError)?;
    let change = |cas: &Cas| cas.entry.as_ref().map(|entry| entry.change);
    if change(&newer) != change(&cas) {
        return Err(CasError::CasFailed(newer));
    }
    bucket.set(&cas.key, value).map_err(CasError::StoreError)
}

pub(crate) fn increment(bucket: &Bucket, key: &str, delta: i64) -> Result<i64, Error> {
    let number = match bucket.get(key)? {
        Some(value) => String::from_utf8(value)
            .ok()
            .and_then(|text| text.parse::<i64>().ok()),
        None => Some(0),
    };
    let number =
        number.ok_or_else(|| Error::Other(format!("the value of {key} is not a number")))?;
    let sum = number.checked_add(delta);
    let sum =
        sum.ok_or_else(|| Error::Other(format!("the sum for {key} does not fit into 64 bits")))?;
    bucket.set(key, sum.to_string().as_bytes())?;
    Ok(sum)
}

/// Keys with their values, in the order in which they were asked for.
type Found = Vec<Option<(String, Vec<u8>)>>;

pub(crate) fn get_many(bucket: &Bucket, keys: &[String]) -> Result<Found, Error> {
    let pairs = keys.iter().map(|key| {
        let value = bucket.get(key)?;
        Ok(value.map(|value| (key.clone(), value)))
    });
    pairs.collect()
}

pub(crate) fn set_many(bucket: &Bucket, key_values: &[(String, Vec<u8>)]) -> Result<(), Error> {
    let changes = key_values
        .iter()
        .map(|(key, value)| (key.clone(), Some(value.clone())));
    bucket.write(&changes.collect::<Vec<_>>())
}

pub(crate) fn delete_many(bucket: &Bucket, keys: &[String]) -> Result<(), Error> {
    let changes = keys.iter().map(|key| (key.clone(), None));
    bucket.write(&changes.collect::<Vec<_>>())
}
