//! The bound of the folder's size: functions are removed first, and then the code that was not used for the longest
//! time. Functions get only the room that code leaves, so that they never cost a compilation.

use super::error::CacheError;
use super::folder::{Listed, NewFile, PrivateFolder};
use super::key::is_functions;

/// Removes entries until there are at most `max` bytes of files beside `new`, which will have the name `name`. Returns
/// the bytes that will be there beside `new`, or `None` if there is not enough room, because of files that others are
/// writing or, for functions, of code.
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
    files.sort_unstable_by_key(|file| (file.name != name, !is_functions(&file.name), file.used));
    let may_go =
        |file: &&Listed| file.is_entry && (!is_functions(name) || is_functions(&file.name));
    let mut total: u64 = files.iter().map(|file| file.size).sum();
    let (mut kept, mut failure) = (0, None);
    for file in files.iter().filter(may_go) {
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
