//! The embedded backend: one file of redb in a folder, durable with group commit.
//!
//! A thread of its own writes: it takes the operations that wait, applies them in one transaction, commits once, and
//! answers all of them (`writer`). Reads run on tokio's threads for blocking work, over snapshots of redb. `file` is
//! what redb writes to, `open` decides whether a file may be used, `record` is the form of what is stored.

mod apply;
mod file;
mod open;
mod read;
mod record;
mod settings;
mod shared;
mod writer;

use std::fmt;
use std::sync::Arc;
use std::thread;

use tokio::sync::{Semaphore, mpsc, oneshot};

pub use self::open::{FILE, OpenError};
pub use self::settings::StoreSettings;

use self::apply::Change;
use self::open::Opened;
use self::shared::{Slot, StoreState};
use self::writer::{Request, Writer};
use super::counters::Counters;
use super::error::Error;
use super::store::{Pending, Store};
use super::types::{
    Batch, BucketName, BucketSize, Delta, Expected, Health, Key, KeyPage, Pair, Value,
    VersionedValue,
};

/// Operations that may wait for the writer.
const QUEUE: usize = 1024;
/// Memory of the operations that may wait for the writer, in KiB.
const QUEUE_KIB: usize = 64 << 10;

/// A store in one file of this machine.
pub struct Embedded {
    shared: Arc<StoreState>,
    queue: mpsc::Sender<Request>,
    /// Bounds the memory of what is in the queue.
    waiting: Arc<Semaphore>,
}

impl Embedded {
    /// Opens the store of a folder. If the folder has no store, the first operation that writes makes it.
    ///
    /// The file is read completely, because its checksums are checked: about half a second for a million keys.
    ///
    /// # Errors
    /// The folder has a store that is damaged, not ours or used by another process. The file is left as it is.
    pub fn open(settings: StoreSettings) -> Result<Self, OpenError> {
        let slot = match Opened::existing(&settings)? {
            Some(opened) => Slot::Open(Arc::new(opened)),
            None => Slot::Unmade,
        };
        let shared = Arc::new(StoreState::new(settings, slot));
        shared.count_buckets();
        let (queue, requests) = mpsc::channel(QUEUE);
        let writer = Writer::new(Arc::clone(&shared), requests);
        thread::Builder::new()
            .name("kv-writer".to_owned())
            .spawn(move || writer.run())
            .map_err(OpenError::Thread)?;
        Ok(Self {
            shared,
            queue,
            waiting: Arc::new(Semaphore::new(QUEUE_KIB)),
        })
    }

    /// Has the writer apply and commit a change. Returns the number that [`Change`] describes.
    async fn write(&self, bucket: BucketName, change: Change) -> Result<i128, Error> {
        let kib = change.size().div_ceil(1 << 10).clamp(1, QUEUE_KIB) as u32;
        let space = Arc::clone(&self.waiting).acquire_many_owned(kib).await;
        let (answer, answered) = oneshot::channel();
        let request = Request::Change {
            bucket,
            change,
            answer,
            space: space.ok(),
        };
        self.queue
            .send(request)
            .await
            .map_err(|_| Error::closed())?;
        // The writer answers every request that it has taken, unless it ended with a panic.
        answered.await.map_err(|_| Error::closed())?
    }

    /// Runs a read on a thread that may block. A store without a file gives `T::default()`.
    fn read<T: Default + Send + 'static>(
        &self,
        read: impl Fn(&read::Snapshot) -> Result<T, read::Failure> + Send + Sync + 'static,
    ) -> Pending<'_, T> {
        let (shared, queue) = (Arc::clone(&self.shared), self.queue.clone());
        Box::pin(async move {
            let reopen = move || drop(queue.try_send(Request::Reopen));
            let work = move || read::run(&shared, read, reopen);
            tokio::task::spawn_blocking(work)
                .await
                .map_err(|_| Error::Damaged)?
        })
    }
}

impl fmt::Debug for Embedded {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = &self.shared.settings;
        formatter.debug_tuple("Embedded").field(settings).finish()
    }
}

impl Store for Embedded {
    fn get(&self, bucket: &BucketName, key: Key) -> Pending<'_, Option<VersionedValue>> {
        let bucket = bucket.clone();
        self.read(move |snapshot| snapshot.get(&bucket, &key))
    }

    fn exists(&self, bucket: &BucketName, key: Key) -> Pending<'_, bool> {
        let bucket = bucket.clone();
        self.read(move |snapshot| Ok(snapshot.get(&bucket, &key)?.is_some()))
    }

    fn set(&self, bucket: &BucketName, key: Key, value: Value) -> Pending<'_, ()> {
        let change = Change::Set(vec![(key, value)]);
        let bucket = bucket.clone();
        Box::pin(async move { self.write(bucket, change).await.map(drop) })
    }

    fn delete(&self, bucket: &BucketName, key: Key) -> Pending<'_, bool> {
        let bucket = bucket.clone();
        Box::pin(async move { Ok(self.write(bucket, Change::Delete(vec![key])).await? > 0) })
    }

    fn list(&self, bucket: &BucketName, after: Option<Key>) -> Pending<'_, KeyPage> {
        let bucket = bucket.clone();
        self.read(move |snapshot| snapshot.list(&bucket, after.as_deref()))
    }

    fn increment(&self, bucket: &BucketName, key: Key, delta: Delta) -> Pending<'_, i128> {
        let bucket = bucket.clone();
        Box::pin(self.write(bucket, Change::Increment(key, delta)))
    }

    fn swap(
        &self,
        bucket: &BucketName,
        key: Key,
        expected: Expected,
        value: Value,
    ) -> Pending<'_, bool> {
        let (bucket, change) = (bucket.clone(), Change::Swap(key, expected, value));
        Box::pin(async move { Ok(self.write(bucket, change).await? > 0) })
    }

    fn get_many(&self, bucket: &BucketName, keys: Batch<Key>) -> Pending<'_, Vec<Option<Value>>> {
        let bucket = bucket.clone();
        let count = keys.len();
        let values = self.read(move |snapshot| snapshot.get_many(&bucket, &keys));
        Box::pin(async move {
            let mut values = values.await?;
            // A store without a file has none of the keys.
            values.resize(count, None);
            Ok(values)
        })
    }

    fn set_many(&self, bucket: &BucketName, pairs: Batch<Pair>) -> Pending<'_, ()> {
        let (bucket, change) = (bucket.clone(), Change::Set(pairs.into_inner()));
        Box::pin(async move { self.write(bucket, change).await.map(drop) })
    }

    fn delete_many(&self, bucket: &BucketName, keys: Batch<Key>) -> Pending<'_, ()> {
        let (bucket, change) = (bucket.clone(), Change::Delete(keys.into_inner()));
        Box::pin(async move { self.write(bucket, change).await.map(drop) })
    }

    fn buckets(&self) -> Pending<'_, Vec<BucketSize>> {
        self.read(read::Snapshot::buckets)
    }

    fn pairs(&self, bucket: &BucketName, after: Option<Key>) -> Pending<'_, Vec<Pair>> {
        let bucket = bucket.clone();
        self.read(move |snapshot| snapshot.pairs(&bucket, after.as_deref()))
    }

    fn health(&self) -> Health {
        self.shared.health()
    }

    fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    fn close(&self) -> Pending<'_, ()> {
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            // An error means that the writer has ended, and that the store is closed.
            if self.queue.send(Request::Close(answer)).await.is_ok() {
                let _ = answered.await;
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests;
