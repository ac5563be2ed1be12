//! Reads over snapshots.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use redb::{ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable, StorageError};

use super::open::{FILE, Opened};
use super::record::{BUCKETS, RECORDS, entry, key_in_bucket, record_key, value_size};
use super::shared::{Slot, StoreState};
use crate::kv::error::Error;
use crate::kv::limits::{MAX_BATCH_BYTES, PAGE_BYTES, PAGE_KEYS};
use crate::kv::types::{BucketName, BucketSize, Health, Key, KeyPage, Pair, Value, VersionedValue};

/// How long a read waits while the file is opened again after a failure.
const REOPENING: Duration = Duration::from_secs(5);
/// Time between two attempts meanwhile.
const PAUSE: Duration = Duration::from_millis(20);

/// The failure of a read.
pub(super) enum Failure {
    /// The storage or the operation failed.
    Error(Error),
    /// A record or a page is not what was written.
    Damaged(String),
    /// The file could not be read, perhaps because it is opened again.
    Io(String),
}

impl From<redb::Error> for Failure {
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::Io(_) | redb::Error::PreviousIo | redb::Error::DatabaseClosed => {
                Self::Io(error.to_string())
            }
            _ => Self::Damaged(error.to_string()),
        }
    }
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        redb::Error::from(error).into()
    }
}

/// Runs a read on a snapshot of now. `reopen` asks the writer to open the file again.
pub(super) fn run<T: Default>(
    shared: &StoreState,
    read: impl Fn(&Snapshot) -> Result<T, Failure>,
    reopen: impl Fn(),
) -> Result<T, Error> {
    shared.counters.read();
    let outcome = attempt(shared, read, reopen);
    if outcome.as_ref().is_err_and(Error::is_of_storage) {
        shared.counters.failed(1);
    }
    outcome
}

fn attempt<T: Default>(
    shared: &StoreState,
    read: impl Fn(&Snapshot) -> Result<T, Failure>,
    reopen: impl Fn(),
) -> Result<T, Error> {
    let until = Instant::now() + REOPENING;
    loop {
        let opened = match shared.slot() {
            Slot::Unmade if !has_file(shared) => return Ok(T::default()),
            Slot::Unmade if is_refused(shared) || Instant::now() > until => {
                reopen();
                return Err(unopened(shared));
            }
            Slot::Unmade => {
                reopen();
                thread::sleep(PAUSE);
                continue;
            }
            Slot::Open(opened) => opened,
            Slot::Failed(sentence) => {
                reopen();
                return Err(Error::Unavailable(sentence));
            }
            Slot::Closed => return Err(Error::closed()),
        };
        let outcome = catch_unwind(AssertUnwindSafe(|| read(&Snapshot::of(&opened)?)))
            .unwrap_or_else(|_| Err(Failure::Damaged("reading it failed".to_owned())));
        match outcome {
            Ok(value) => return Ok(value),
            Err(Failure::Error(error)) => return Err(error),
            Err(Failure::Damaged(_)) if opened.file.is_fenced() => {}
            Err(Failure::Damaged(cause)) => {
                shared.damaged(damage(shared, &cause));
                return Err(Error::Damaged);
            }
            Err(Failure::Io(cause)) if Instant::now() > until => {
                let sentence = format!("the key-value storage cannot be read: {cause}");
                shared.degrade(sentence.clone());
                return Err(Error::Unavailable(sentence));
            }
            Err(Failure::Io(_)) if opened.file.is_fenced() => {}
            Err(Failure::Io(_)) => reopen(),
        }
        thread::sleep(PAUSE);
    }
}

/// Returns true if the store has a file, which `hitchy kv` may have made while the server had none.
fn has_file(shared: &StoreState) -> bool {
    shared.settings.folder.join(FILE).exists()
}

/// Returns true if a file that was made meanwhile could not be opened.
fn is_refused(shared: &StoreState) -> bool {
    matches!(shared.health(), Health::Degraded(_))
}

/// Returns the error of a file that was made meanwhile and cannot be opened.
fn unopened(shared: &StoreState) -> Error {
    match shared.health() {
        Health::Degraded(sentence) => Error::Unavailable(sentence),
        _ => Error::Unavailable("the key-value storage is being opened".to_owned()),
    }
}

/// Returns the sentence about damage that was found while the server runs.
pub(super) fn damage(shared: &StoreState, cause: &str) -> String {
    let path = shared.settings.folder.join(FILE);
    format!(
        "the key-value storage {} is damaged ({cause}): what was read is not what was written; stop the server and put back a backup",
        path.display()
    )
}

/// The state of a store at one moment.
pub(super) struct Snapshot {
    transaction: ReadTransaction,
    records: ReadOnlyTable<&'static [u8], &'static [u8]>,
}

impl Snapshot {
    fn of(opened: &Arc<Opened>) -> Result<Self, Failure> {
        let transaction = opened.database().begin_read().map_err(redb::Error::from)?;
        let records = transaction.open_table(RECORDS).map_err(redb::Error::from)?;
        Ok(Self {
            transaction,
            records,
        })
    }

    /// Returns the number of a bucket, if the bucket exists.
    fn bucket(&self, name: &BucketName) -> Result<Option<u32>, Failure> {
        let buckets = self
            .transaction
            .open_table(BUCKETS)
            .map_err(redb::Error::from)?;
        Ok(buckets.get(&**name)?.map(|row| row.value().0))
    }

    pub(super) fn get(
        &self,
        bucket: &BucketName,
        key: &str,
    ) -> Result<Option<VersionedValue>, Failure> {
        match self.bucket(bucket)? {
            Some(bucket) => self.record(bucket, key),
            None => Ok(None),
        }
    }

    fn record(&self, bucket: u32, key: &str) -> Result<Option<VersionedValue>, Failure> {
        let at = record_key(bucket, key);
        let Some(record) = self.records.get(&*at)? else {
            return Ok(None);
        };
        entry(&at, record.value()).map(Some).ok_or_else(bad_record)
    }

    pub(super) fn get_many(
        &self,
        bucket: &BucketName,
        keys: &[Key],
    ) -> Result<Vec<Option<Value>>, Failure> {
        let Some(bucket) = self.bucket(bucket)? else {
            return Ok(Vec::new());
        };
        let (mut values, mut size) = (Vec::with_capacity(keys.len()), 0);
        for key in keys {
            let value = self.record(bucket, key)?.map(|entry| entry.value);
            size += key.len() + value.as_ref().map_or(0, |value| value.len());
            if size > MAX_BATCH_BYTES {
                return Err(Failure::Error(Error::BatchTooLarge));
            }
            values.push(value);
        }
        Ok(values)
    }

    pub(super) fn list(
        &self,
        bucket: &BucketName,
        after: Option<&str>,
    ) -> Result<KeyPage, Failure> {
        let mut page = KeyPage::default();
        let mut size = 0;
        self.walk(bucket, after, |at, _| {
            let key = key_of(at)?;
            if page.keys.len() >= PAGE_KEYS || size + key.len() > PAGE_BYTES {
                page.more = true;
                return Ok(false);
            }
            size += key.len();
            page.keys.push(key);
            Ok(true)
        })?;
        Ok(page)
    }

    pub(super) fn pairs(
        &self,
        bucket: &BucketName,
        after: Option<&str>,
    ) -> Result<Vec<Pair>, Failure> {
        let (mut pairs, mut size) = (Vec::new(), 0);
        self.walk(bucket, after, |at, record| {
            let key = key_of(at)?;
            size += key.len() as u64 + value_size(record);
            if !pairs.is_empty() && (pairs.len() >= PAGE_KEYS || size > PAGE_BYTES as u64) {
                return Ok(false);
            }
            let entry = entry(at, record).ok_or_else(bad_record)?;
            pairs.push((key, entry.value));
            Ok(true)
        })?;
        Ok(pairs)
    }

    /// Calls `visit` with the records of a bucket after the key `after`, until it returns false.
    fn walk(
        &self,
        bucket: &BucketName,
        after: Option<&str>,
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        let Some(bucket) = self.bucket(bucket)? else {
            return Ok(());
        };
        let first = record_key(bucket, after.unwrap_or_default());
        for record in self.records.range::<&[u8]>(&*first..)? {
            let (at, value) = record?;
            let at = at.value();
            if after.is_some() && at == first {
                continue;
            }
            if !at.starts_with(&bucket.to_be_bytes()) || !visit(at, value.value())? {
                break;
            }
        }
        Ok(())
    }

    pub(super) fn buckets(&self) -> Result<Vec<BucketSize>, Failure> {
        let buckets = self
            .transaction
            .open_table(BUCKETS)
            .map_err(redb::Error::from)?;
        let mut sizes = Vec::new();
        for row in buckets.iter()? {
            let (name, row) = row?;
            let name = BucketName::new(name.value()).map_err(|_| bad_record())?;
            let (_, keys, bytes) = row.value();
            if keys > 0 {
                sizes.push(BucketSize { name, keys, bytes });
            }
        }
        Ok(sizes)
    }
}

fn key_of(at: &[u8]) -> Result<Key, Failure> {
    let key = key_in_bucket(at).and_then(|key| Key::new(key.to_owned()).ok());
    key.ok_or_else(bad_record)
}

fn bad_record() -> Failure {
    Failure::Damaged("the checksum of a record is wrong".to_owned())
}
