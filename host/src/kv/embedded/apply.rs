//! Changes, and how a group of them becomes one transaction.

use std::collections::{BTreeMap, HashMap};

use redb::{Database, Durability, ReadableTable, ReadableTableMetadata, StorageError, Table};

use super::record::{
    BUCKET_KEY, BUCKETS, META, RECORDS, VERSION_KEY, decode, encode, record_key, value_size,
};
use super::settings::StoreSettings;
use crate::kv::error::Error;
use crate::kv::types::{BucketName, Delta, Expected, Key, Pair, Value};

/// A change of one bucket.
pub(super) enum Change {
    /// Sets keys. The number that it returns is 0.
    Set(Vec<Pair>),
    /// Deletes keys. It returns the number of keys that existed.
    Delete(Vec<Key>),
    /// Adds to a number. It returns the sum.
    Increment(Key, Delta),
    /// Sets a key if it is as expected. It returns 1 if it was, else 0.
    Swap(Key, Expected, Value),
}

impl Change {
    /// Returns the bytes of keys and values.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Set(pairs) => pairs
                .iter()
                .map(|(key, value)| key.len() + value.len())
                .sum(),
            Self::Delete(keys) => keys.iter().map(|key| key.len()).sum(),
            Self::Increment(key, _) => key.len(),
            Self::Swap(key, _, value) => key.len() + value.len(),
        }
    }

    /// Returns true if the change may need more of the disk.
    pub(super) fn grows(&self) -> bool {
        !matches!(self, Self::Delete(_))
    }
}

/// The answer to one change: the number that [`Change`] describes.
pub(super) type Answer = Result<i128, Error>;

/// A failure of the storage, which fails all changes of a group.
#[derive(Debug)]
pub(super) enum Failure {
    /// redb failed.
    Storage(redb::Error),
    /// A record is not what was written.
    Damaged,
}

impl<E: Into<redb::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Storage(error.into())
    }
}

/// What a commit gives.
pub(super) struct Committed {
    /// The answers in the order of the changes.
    pub(super) answers: Vec<Answer>,
    /// The number of buckets that have a key.
    pub(super) buckets: u64,
}

/// Applies changes in their order and commits them. A change that is refused changes nothing, and the others are
/// applied all the same.
pub(super) fn commit<'a>(
    database: &Database,
    settings: &StoreSettings,
    changes: impl Iterator<Item = (&'a BucketName, &'a Change)>,
) -> Result<Committed, Failure> {
    let mut transaction = database.begin_write()?;
    transaction
        .set_durability(Durability::Immediate)
        .map_err(redb::Error::from)?;
    let committed = {
        let mut group = Group::begin(&transaction, settings)?;
        let mut answers = Vec::new();
        for (bucket, change) in changes {
            answers.push(group.apply(bucket, change)?);
        }
        let buckets = group.finish()?;
        Committed { answers, buckets }
    };
    transaction.commit()?;
    Ok(committed)
}

/// The numbers of a bucket while a transaction runs.
#[derive(Clone, Copy)]
struct Counts {
    number: u32,
    keys: u64,
    bytes: u64,
}

/// Numbers of buckets that may be given to buckets which come and go. After that, an empty bucket keeps its number.
const PLENTY: u64 = 1 << 24;

/// A transaction that runs.
struct Group<'t> {
    records: Table<'t, &'static [u8], &'static [u8]>,
    buckets: Table<'t, &'static str, (u32, u64, u64)>,
    meta: Table<'t, &'static str, u64>,
    settings: &'t StoreSettings,
    /// The buckets that were touched.
    counts: HashMap<BucketName, Counts>,
    version: u64,
    next_bucket: u64,
}

impl<'t> Group<'t> {
    fn begin(
        transaction: &'t redb::WriteTransaction,
        settings: &'t StoreSettings,
    ) -> Result<Self, Failure> {
        let meta = transaction.open_table(META)?;
        let number = |key| -> Result<u64, StorageError> {
            Ok(meta.get(key)?.map_or(0, |number| number.value()))
        };
        let (version, next_bucket) = (number(VERSION_KEY)?, number(BUCKET_KEY)?);
        Ok(Self {
            records: transaction.open_table(RECORDS)?,
            buckets: transaction.open_table(BUCKETS)?,
            meta,
            settings,
            counts: HashMap::new(),
            version,
            next_bucket,
        })
    }

    /// Writes the numbers of the touched buckets and of the store. Returns the number of buckets.
    fn finish(mut self) -> Result<u64, Failure> {
        for (name, counts) in &self.counts {
            // Numbers are not given twice, and must not run out.
            if counts.keys == 0 && self.next_bucket < PLENTY {
                self.buckets.remove(&**name)?;
            } else {
                let row = (counts.number, counts.keys, counts.bytes);
                self.buckets.insert(&**name, row)?;
            }
        }
        self.meta.insert(VERSION_KEY, self.version)?;
        self.meta.insert(BUCKET_KEY, self.next_bucket)?;
        Ok(self.buckets.len()?)
    }

    fn apply(&mut self, bucket: &BucketName, change: &Change) -> Result<Answer, Failure> {
        let counts = self.counts_of(bucket)?;
        match change {
            Change::Set(pairs) => {
                let pairs: BTreeMap<&str, &[u8]> = pairs
                    .iter()
                    .map(|(key, value)| (&**key, &**value))
                    .collect();
                Ok(self.set(bucket, counts, &pairs)?.map(|()| 0))
            }
            Change::Delete(keys) => Ok(Ok(self.delete(bucket, counts, keys)?)),
            Change::Increment(key, delta) => self.increment(bucket, counts, key, *delta),
            Change::Swap(key, expected, value) => {
                if !self.is_as_expected(counts, key, expected)? {
                    return Ok(Ok(0));
                }
                let pairs = BTreeMap::from([(&**key, &**value)]);
                Ok(self.set(bucket, counts, &pairs)?.map(|()| 1))
            }
        }
    }

    /// Returns the numbers of a bucket. One that does not exist gets a number, which is used if it gets a key.
    fn counts_of(&mut self, bucket: &BucketName) -> Result<Counts, Failure> {
        if let Some(counts) = self.counts.get(bucket) {
            return Ok(*counts);
        }
        let row = self.buckets.get(&**bucket)?.map(|row| row.value());
        let counts = match row {
            Some((number, keys, bytes)) => Counts {
                number,
                keys,
                bytes,
            },
            None => {
                let number = u32::try_from(self.next_bucket).map_err(|_| Failure::Damaged)?;
                self.next_bucket += 1;
                Counts {
                    number,
                    keys: 0,
                    bytes: 0,
                }
            }
        };
        self.counts.insert(bucket.clone(), counts);
        Ok(counts)
    }

    /// Sets keys, if the bucket may have them.
    fn set(
        &mut self,
        bucket: &BucketName,
        mut counts: Counts,
        pairs: &BTreeMap<&str, &[u8]>,
    ) -> Result<Result<(), Error>, Failure> {
        let before = counts;
        for (key, value) in pairs {
            let at = record_key(counts.number, key);
            match self.records.get(&*at)? {
                Some(old) => counts.bytes = counts.bytes.saturating_sub(value_size(old.value())),
                None => {
                    counts.keys += 1;
                    counts.bytes += key.len() as u64;
                }
            }
            counts.bytes += value.len() as u64;
        }
        if let Err(error) = self.check(bucket, before, counts) {
            return Ok(Err(error));
        }
        for (key, value) in pairs {
            let at = record_key(counts.number, key);
            self.version += 1;
            let record = encode(&at, self.version, value);
            self.records.insert(&*at, &*record)?;
        }
        self.counts.insert(bucket.clone(), counts);
        Ok(Ok(()))
    }

    /// Checks that a bucket does not grow beyond its limits. It may be beyond them if they were lowered.
    fn check(&self, bucket: &BucketName, before: Counts, after: Counts) -> Result<(), Error> {
        let (max_keys, max_bytes) = (self.settings.max_keys, self.settings.max_bytes);
        if after.keys > before.keys && after.keys > max_keys {
            return Err(Error::TooManyKeysStored {
                bucket: bucket.to_string(),
                limit: max_keys,
            });
        }
        if after.bytes > before.bytes && after.bytes > max_bytes {
            return Err(Error::BucketFull {
                bucket: bucket.to_string(),
                limit: max_bytes,
            });
        }
        Ok(())
    }

    /// Deletes keys and returns how many existed.
    fn delete(
        &mut self,
        bucket: &BucketName,
        mut counts: Counts,
        keys: &[Key],
    ) -> Result<i128, Failure> {
        let mut existed = 0;
        for key in keys {
            let at = record_key(counts.number, key);
            if let Some(old) = self.records.remove(&*at)? {
                let size = key.len() as u64 + value_size(old.value());
                counts.keys = counts.keys.saturating_sub(1);
                counts.bytes = counts.bytes.saturating_sub(size);
                existed += 1;
            }
        }
        self.counts.insert(bucket.clone(), counts);
        Ok(existed)
    }

    fn increment(
        &mut self,
        bucket: &BucketName,
        counts: Counts,
        key: &Key,
        delta: Delta,
    ) -> Result<Answer, Failure> {
        let old = self.value(counts, key, |_, value| number(value))?;
        let Some(old) = old.unwrap_or(Some(0)) else {
            return Ok(Err(Error::NotANumber));
        };
        let Some(sum) = sum(old, delta) else {
            return Ok(Err(Error::Overflow));
        };
        let text = sum.to_string();
        let pairs = BTreeMap::from([(&**key, text.as_bytes())]);
        Ok(self.set(bucket, counts, &pairs)?.map(|()| sum))
    }

    fn is_as_expected(
        &self,
        counts: Counts,
        key: &Key,
        expected: &Expected,
    ) -> Result<bool, Failure> {
        let is_same = self.value(counts, key, |version, value| match expected {
            Expected::Absent => false,
            Expected::Version(expected) => version == *expected,
            Expected::Value(expected) => *value == **expected,
        })?;
        Ok(is_same.unwrap_or(*expected == Expected::Absent))
    }

    /// Reads version and value of a key with `read`, if the key exists.
    fn value<T>(
        &self,
        counts: Counts,
        key: &Key,
        read: impl FnOnce(u64, &[u8]) -> T,
    ) -> Result<Option<T>, Failure> {
        let at = record_key(counts.number, key);
        let Some(record) = self.records.get(&*at)? else {
            return Ok(None);
        };
        let (version, value) = decode(&at, record.value()).ok_or(Failure::Damaged)?;
        Ok(Some(read(version, value)))
    }
}

/// Reads a number in decimal digits.
fn number(value: &[u8]) -> Option<i128> {
    let text = std::str::from_utf8(value).ok()?;
    // The longest number of 64 bits has 20 characters.
    (text.len() <= 20).then(|| text.parse().ok())?
}

/// Adds to a number. `None` if the sum is out of the range that `delta` has.
fn sum(old: i128, delta: Delta) -> Option<i128> {
    match delta {
        Delta::Signed(delta) => {
            let sum = old + i128::from(delta);
            i64::try_from(sum).is_ok().then_some(sum)
        }
        Delta::Unsigned(delta) => {
            let sum = old + i128::from(delta);
            u64::try_from(sum).is_ok().then_some(sum)
        }
    }
}
