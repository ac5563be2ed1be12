//! The trait of a store.

use std::fmt;

use futures_util::future::BoxFuture;

use super::counters::Counters;
use super::error::Error;
use super::types::{
    Batch, BucketName, BucketSize, Delta, Expected, Health, Key, KeyPage, Pair, Value,
    VersionedValue,
};

/// The result of an operation, which may have to wait for the disk or the network.
pub type Pending<'a, T> = BoxFuture<'a, Result<T, Error>>;

/// Buckets of keys with values.
///
/// What an operation wrote is durable when the operation returns, and later operations see it. Each operation happens
/// completely or not at all. An operation whose future is dropped may still happen. A bucket exists as long as it has a
/// key.
///
/// Callers bound the time of an operation: none of them has a deadline of its own.
pub trait Store: fmt::Debug + Send + Sync {
    /// Returns the value of a key with its version, or `None` if the key does not exist.
    fn get(&self, bucket: &BucketName, key: Key) -> Pending<'_, Option<VersionedValue>>;

    /// Returns true if the key exists.
    fn exists(&self, bucket: &BucketName, key: Key) -> Pending<'_, bool>;

    /// Sets the value of a key.
    fn set(&self, bucket: &BucketName, key: Key, value: Value) -> Pending<'_, ()>;

    /// Deletes a key. Returns true if it existed.
    fn delete(&self, bucket: &BucketName, key: Key) -> Pending<'_, bool>;

    /// Returns the keys after `after`, or the first of the bucket.
    fn list(&self, bucket: &BucketName, after: Option<Key>) -> Pending<'_, KeyPage>;

    /// Adds a number to the value of a key, which is written in decimal digits, and returns the sum. A key that does
    /// not exist counts as 0.
    fn increment(&self, bucket: &BucketName, key: Key, delta: Delta) -> Pending<'_, i128>;

    /// Sets the value of a key if the key is as expected. Returns false, and changes nothing, if it is not.
    fn swap(
        &self,
        bucket: &BucketName,
        key: Key,
        expected: Expected,
        value: Value,
    ) -> Pending<'_, bool>;

    /// Returns the values of several keys in the order of the keys. All are of the same moment.
    fn get_many(&self, bucket: &BucketName, keys: Batch<Key>) -> Pending<'_, Vec<Option<Value>>>;

    /// Sets the values of several keys: all of them, or none. The last value of a key that occurs twice counts.
    fn set_many(&self, bucket: &BucketName, pairs: Batch<Pair>) -> Pending<'_, ()>;

    /// Deletes several keys: all of them, or none.
    fn delete_many(&self, bucket: &BucketName, keys: Batch<Key>) -> Pending<'_, ()>;

    /// Returns the buckets that have a key, in the order of their names.
    fn buckets(&self) -> Pending<'_, Vec<BucketSize>>;

    /// Returns keys with their values, for an export: those after `after`, or the first of the bucket. An empty list
    /// means that no key follows. [`Store::set_many`] imports them.
    fn pairs(&self, bucket: &BucketName, after: Option<Key>) -> Pending<'_, Vec<Pair>>;

    /// Returns whether the store works.
    fn health(&self) -> Health;

    /// Returns the counters of the store.
    fn counters(&self) -> &Counters;

    /// Ends the operations that have begun and closes the store. Later operations fail.
    fn close(&self) -> Pending<'_, ()>;
}
