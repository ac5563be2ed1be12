//! Key-value storage: named buckets of keys with values, behind one trait.
//!
//! [`Store`] is what the rest of the server knows. [`Embedded`] keeps the data in one file of this machine. Another
//! backend, for example one over Redis, implements the same trait. Sizes are bounded by the types of the arguments, so
//! that no backend has to check them.

mod command;
mod counters;
mod embedded;
mod error;
mod limits;
mod store;
mod types;

pub use self::command::{Binary, BucketShown, Command, MAX_COMMAND, Reply, buckets};
pub use self::counters::Counters;
pub use self::embedded::{Embedded, FILE, OpenError, StoreSettings};
pub use self::error::Error;
pub use self::limits::{
    MAX_BATCH, MAX_BATCH_BYTES, MAX_BUCKET_NAME, MAX_KEY, MAX_VALUE, PAGE_BYTES, PAGE_KEYS,
};
pub use self::store::{Pending, Store};
pub use self::types::{
    Batch, BucketName, BucketSize, Delta, Expected, Health, Key, KeyPage, Pair, Value,
    VersionedValue,
};
