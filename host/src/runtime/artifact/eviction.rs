//! The bound of the folder's size: what was not used for the longest time is removed first.

use super::error::CacheError;
use super::folder::Folder;

/// Removes entries until all but `name` have at most `max` bytes together, the least recently used first. Returns their
/// size.
pub(super) fn make_room(folder: &Folder, name: &str, max: u64) -> Result<u64, CacheError> {
    let mut entries = folder.entries()?;
    entries.retain(|entry| entry.name != name);
    entries.sort_unstable_by_key(|entry| entry.used);
    let mut total: u64 = entries.iter().map(|entry| entry.size).sum();
    for entry in &entries {
        if total <= max {
            break;
        }
        folder.remove(&entry.name)?;
        total -= entry.size;
    }
    Ok(total)
}
