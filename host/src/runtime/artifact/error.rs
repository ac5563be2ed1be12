//! The reasons for which compiled code is not kept.

use rustix::io::Errno;

/// The reason for which the folder cannot be used, or something in it cannot be read or written. Each sentence says what
/// to do.
#[derive(Debug, thiserror::Error)]
pub(super) enum CacheError {
    /// The folder cannot be made.
    #[error(
        "it cannot be made: {0}; make it, name another folder with cache.dir, or set it to \"off\""
    )]
    Make(#[source] std::io::Error),
    /// The folder cannot be opened.
    #[error(
        "it cannot be opened: {0}; check its permissions, or name another folder with cache.dir"
    )]
    Open(#[source] Errno),
    /// The path leads to a symbolic link or to a file.
    #[error("it is a link or no folder; name the folder itself with cache.dir")]
    NoFolder,
    /// The folder belongs to another user, who could put code there.
    #[error(
        "it belongs to the user with the id {owner}, who could put code there; give it to the server's user with chown, or name \
         another folder with cache.dir"
    )]
    Foreign {
        /// The id of the user.
        owner: u32,
    },
    /// Others can write to the folder.
    #[error(
        "other users can write to it (its mode is {mode:03o}); clear it, then take the right away with chmod 700, or name another \
         folder with cache.dir"
    )]
    Writable {
        /// The bits of the permissions.
        mode: u32,
    },
    /// A file of the folder cannot be read.
    #[error("a file in it cannot be read: {0}; check the disk")]
    Read(#[source] Errno),
    /// A file of the folder cannot be written.
    #[error("nothing can be written there: {cause}; {remedy}")]
    Write {
        /// The error of the file system.
        cause: Errno,
        /// The advice.
        remedy: &'static str,
    },
    /// There is a folder in the place of the key.
    #[error("`key` in it is a folder, and would be the file with the key of its seals; remove it")]
    KeyIsFolder,
    /// The system gives no random numbers for the key.
    #[error("the system gives no random numbers: {0}")]
    Random(#[source] getrandom::Error),
}

impl CacheError {
    /// Makes the error of a file that could not be written.
    pub(super) fn write(cause: Errno) -> Self {
        let remedy = match cause {
            Errno::NOSPC | Errno::DQUOT => {
                "make space, or name a folder on another disk with cache.dir"
            }
            Errno::ROFS => "name a folder that can be written with cache.dir, or set it to \"off\"",
            _ => "check its permissions and the disk, or name another folder with cache.dir",
        };
        Self::Write { cause, remedy }
    }
}
