//! The bound of the folder's size: what was not used for the longest time is removed first.

use super::error::CacheError;
use super::folder::{NewFile, PrivateFolder};

/// Removes entries until there are at most `max` bytes of files beside `new`, which will have the name `name`, the least
/// recently used first. Returns the bytes that will be there beside `new`, or `None` if there is not enough room, because
/// of files that others are writing.
///
/// # Errors
/// There is not enough room, because entries cannot be removed.
pub(super) fn make_room(
    folder: &PrivateFolder,
    new: &NewFile<'_>,
    name: &str,
    max: u64,
) -> Result<Option<u64>, CacheError> {
    let mut files = folder.files()?;
    files.retain(|file| file.name != new.name());
    // The entry that is replaced is worth nothing.
    files.sort_unstable_by_key(|file| (file.name != name, file.used));
    let mut total: u64 = files.iter().map(|file| file.size).sum();
    let (mut kept, mut failure) = (0, None);
    for file in files.iter().filter(|file| file.is_entry) {
        let is_replaced = file.name == name;
        if total > max {
            match folder.remove(&file.name) {
                Ok(()) => total -= file.size,
                Err(error) => failure = Some(error),
            }
        } else if is_replaced {
            kept = file.size;
        }
    }
    match failure {
        _ if total <= max => Ok(Some(total - kept)),
        Some(error) => Err(error),
        None => Ok(None),
    }
}
