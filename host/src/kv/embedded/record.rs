//! The form of what is stored: tables, keys and records with checksums.
//!
//! redb checks its pages when the file is opened, but not when it reads them afterwards. Each record therefore has a
//! checksum of its own, over its key, version and value.

use redb::TableDefinition;

use crate::kv::types::{Value, VersionedValue};

/// The number of the form, at [`FORMAT_KEY`].
pub(super) const FORMAT: u64 = 1;
/// The key of [`FORMAT`] in [`META`].
pub(super) const FORMAT_KEY: &str = "hitchy-kv-format";
/// The key of the last version in [`META`].
pub(super) const VERSION_KEY: &str = "version";
/// The key of the number for the next bucket in [`META`].
pub(super) const BUCKET_KEY: &str = "bucket";

/// Numbers of the store.
pub(super) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
/// Buckets by name: number, keys, and bytes of keys and values.
pub(super) const BUCKETS: TableDefinition<'_, &str, (u32, u64, u64)> =
    TableDefinition::new("buckets");
/// Records of all buckets.
pub(super) const RECORDS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("records");

/// Bytes of a record before its value: the version and the checksum.
const HEAD: usize = 12;

/// Returns the key of a record: the number of the bucket, so that a bucket is one range, and the key in it.
pub(super) fn record_key(bucket: u32, key: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(4 + key.len());
    bytes.extend_from_slice(&bucket.to_be_bytes());
    bytes.extend_from_slice(key.as_bytes());
    bytes
}

/// Returns the key in the bucket of a record's key. `None` if the bytes are not what was written.
pub(super) fn key_in_bucket(record_key: &[u8]) -> Option<&str> {
    std::str::from_utf8(record_key.get(4..)?).ok()
}

/// Returns the record of a value.
pub(super) fn encode(record_key: &[u8], version: u64, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD + value.len());
    bytes.extend_from_slice(&version.to_le_bytes());
    bytes.extend_from_slice(&checksum(record_key, version, value).to_le_bytes());
    bytes.extend_from_slice(value);
    bytes
}

/// Returns version and value of a record. `None` if the bytes are not what was written.
pub(super) fn decode<'a>(record_key: &[u8], record: &'a [u8]) -> Option<(u64, &'a [u8])> {
    let (version, rest) = record.split_first_chunk()?;
    let (sum, value) = rest.split_first_chunk()?;
    let version = u64::from_le_bytes(*version);
    (checksum(record_key, version, value) == u32::from_le_bytes(*sum)).then_some((version, value))
}

/// Returns the entry of a record. `None` if the bytes are not what was written.
pub(super) fn entry(record_key: &[u8], record: &[u8]) -> Option<VersionedValue> {
    let (version, value) = decode(record_key, record)?;
    let value = Value::new(value.to_vec()).ok()?;
    Some(VersionedValue { value, version })
}

/// Returns the size of the value of a record in bytes.
pub(super) fn value_size(record: &[u8]) -> u64 {
    record.len().saturating_sub(HEAD) as u64
}

fn checksum(record_key: &[u8], version: u64, value: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(record_key);
    hasher.update(&version.to_le_bytes());
    hasher.update(value);
    hasher.finalize()
}
