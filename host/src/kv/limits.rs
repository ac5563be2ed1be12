//! The sizes of keys, values, operations and pages, the same for all backends.

/// Largest size of a key in bytes.
pub const MAX_KEY: usize = 1 << 10;
/// Largest size of a value in bytes.
pub const MAX_VALUE: usize = 1 << 20;
/// Largest size of the name of a bucket in bytes.
pub const MAX_BUCKET_NAME: usize = 512;
/// Largest number of keys of one operation.
pub const MAX_BATCH: usize = 1000;
/// Largest size of the keys and values of one operation in bytes, and of the values that one returns.
pub const MAX_BATCH_BYTES: usize = 4 << 20;
/// Largest number of keys of a page.
pub const PAGE_KEYS: usize = 1000;
/// Largest size of the keys, or keys and values, of a page in bytes. A single value may exceed it.
pub const PAGE_BYTES: usize = 256 << 10;
