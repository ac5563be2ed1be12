//! The failures of operations on a store.

use super::limits::{MAX_BATCH, MAX_BATCH_BYTES, MAX_BUCKET_NAME, MAX_KEY, MAX_VALUE};

/// The failure of an operation. Nothing of an operation that failed is stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The key is too long.
    #[error("the key has {0} bytes; at most {MAX_KEY} are stored, so use a shorter key")]
    KeyTooLong(usize),
    /// The value is too large.
    #[error(
        "the value has {0} bytes; at most {MAX_VALUE} are stored, so split it over several keys"
    )]
    ValueTooLarge(usize),
    /// The name of the bucket is empty, too long or contains a control character.
    #[error(
        "{0:?} cannot be the name of a bucket, which has 1 to {MAX_BUCKET_NAME} bytes and no control characters"
    )]
    BucketName(String),
    /// The operation names too many keys.
    #[error(
        "the operation names {0} keys; at most {MAX_BATCH} may be used at once, so use several operations"
    )]
    TooManyKeys(usize),
    /// The values of the operation are too large together.
    #[error(
        "the values of the operation have more than {MAX_BATCH_BYTES} bytes together; use several operations"
    )]
    BatchTooLarge,
    /// The cursor does not come from this server.
    #[error("the cursor is not one that a page of keys ended with; begin again without one")]
    Cursor,
    /// The value of the key is not a number.
    #[error(
        "the value of the key is not a number in decimal digits; delete or set the key before it is incremented"
    )]
    NotANumber,
    /// The sum does not fit.
    #[error("the sum does not fit into 64 bits; the value was left as it was")]
    Overflow,
    /// The bucket may not have more keys.
    #[error(
        "the bucket {bucket:?} has {limit} keys, which is all it may have (kv.max-keys); delete some or raise the limit"
    )]
    TooManyKeysStored {
        /// The name of the bucket.
        bucket: String,
        /// The number of keys that a bucket may have.
        limit: u64,
    },
    /// The bucket may not have more bytes.
    #[error(
        "the bucket {bucket:?} may have {limit} bytes of keys and values (kv.max-bytes); delete some or raise the limit"
    )]
    BucketFull {
        /// The name of the bucket.
        bucket: String,
        /// The number of bytes that a bucket may have.
        limit: u64,
    },
    /// The disk has not enough free space.
    #[error("the disk of the key-value storage is full; nothing was written. Reading goes on")]
    DiskFull,
    /// The system does not let the file grow.
    #[error(
        "the file of the key-value storage may not grow, because the server's files are limited; nothing was written. Reading goes on"
    )]
    FileLimit,
    /// The store could not be opened, was closed, or failed while it was used.
    #[error("{0}")]
    Unavailable(String),
    /// A record on the disk is not what was written.
    #[error(
        "the key-value storage is damaged: what was read is not what was written; the server's log says more"
    )]
    Damaged,
}

impl Error {
    /// Makes the error of an operation on a store that was closed.
    pub(super) fn closed() -> Self {
        Self::Unavailable(
            "the key-value storage is closed, because the server shuts down".to_owned(),
        )
    }

    /// Returns true if the storage and not the operation is the cause.
    pub fn is_of_storage(&self) -> bool {
        matches!(
            self,
            Self::DiskFull | Self::FileLimit | Self::Unavailable(_) | Self::Damaged
        )
    }
}
