//! The settings of the embedded backend.

use std::path::PathBuf;

/// The settings of the embedded backend.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// The folder of the file.
    pub folder: PathBuf,
    /// Keys that a bucket may have.
    pub max_keys: u64,
    /// Bytes of keys and values that a bucket may have.
    pub max_bytes: u64,
    /// Bytes of the disk that stay free: when less is free, nothing is written.
    pub min_free: u64,
    /// Memory for pages of the file, in bytes.
    pub cache: usize,
}
