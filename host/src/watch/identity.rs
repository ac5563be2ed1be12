//! The identity of a folder, which changes when the folder is replaced by another of the same name.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Returns the device and the inode of a folder, or none if it does not exist.
pub(super) fn identity(folder: &Path) -> Option<(u64, u64)> {
    let metadata = fs::metadata(folder).ok()?;
    Some((metadata.dev(), metadata.ino()))
}
