//! The folder of compiled code, in which only the server's user can write.
//!
//! All files are named relative to a descriptor of the folder, and no link is followed, so that nothing outside can be
//! read or written, whatever somebody does to the path meanwhile.

use std::fs::{DirBuilder, File};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use rustix::fs::{
    AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, RawMode, Stat, Timespec, Timestamps,
    UTIME_NOW, UTIME_OMIT, flock, fstat, fsync, futimens, linkat, openat, renameat, statat,
    unlinkat,
};
use rustix::io::Errno;

use super::error::CacheError;
use super::key::is_entry;

/// The beginning of the names of files that are being written.
const TEMPORARY: &str = ".new-";
/// The bits of the permissions by which others write. Reading is harmless: files in the folder are readable by this
/// user only.
const OTHERS_WRITE: RawMode = 0o022;
/// The bits of the permissions by which others do anything.
const OTHERS: RawMode = 0o077;
/// Times that a temporary file is made anew, because another process took it for a left-over.
const ATTEMPTS: usize = 3;

/// The folder, opened and checked.
#[derive(Debug)]
pub(super) struct PrivateFolder(OwnedFd);

/// The result of reading a file.
pub(super) enum Found {
    /// There is no such file.
    Nothing,
    /// There is something that cannot be what was written: a link, a pipe, a file that is too large.
    Bad,
    /// There is a folder, which is nothing of ours.
    Folder,
    /// The content.
    Bytes(Vec<u8>),
}

/// An entry or a file that is being written, as the folder lists it.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) name: String,
    /// False while it is being written.
    pub(super) is_entry: bool,
    /// Size in bytes.
    pub(super) size: u64,
    /// The time at which it was read or written last, as seconds and nanoseconds.
    pub(super) used: (i64, i64),
}

impl PrivateFolder {
    /// Opens the folder and checks that nobody else can write to it. Returns `None` if there is none.
    pub(super) fn open(path: &Path) -> Result<Option<Self>, CacheError> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
        let folder = match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(folder) => folder,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP | Errno::NOTDIR) => return Err(CacheError::NoFolder),
            Err(error) => return Err(CacheError::Open(error)),
        };
        let stat = fstat(&folder).map_err(CacheError::Open)?;
        let mode = stat.st_mode & 0o777;
        if stat.st_uid != rustix::process::geteuid().as_raw() {
            let owner = stat.st_uid;
            return Err(CacheError::Foreign { owner });
        }
        if mode & OTHERS_WRITE != 0 {
            return Err(CacheError::Writable { mode });
        }
        Ok(Some(Self(folder)))
    }

    /// Opens the folder, after making it if there is none.
    pub(super) fn make(path: &Path) -> Result<Self, CacheError> {
        if let Some(folder) = Self::open(path)? {
            return Ok(folder);
        }
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(CacheError::Make)?;
        Self::open(path)?.ok_or(CacheError::Open(Errno::NOENT))
    }

    /// Reads a file of at most `max` bytes, and marks it as used now.
    pub(super) fn read(&self, name: &str, max: u64) -> Result<Found, CacheError> {
        let Some((file, stat)) = self.open_file(name)? else {
            return Ok(Found::Nothing);
        };
        if is_folder(&stat) {
            return Ok(Found::Folder);
        }
        let Some(file) = file.filter(|_| size_of(&stat) <= max) else {
            return Ok(Found::Bad);
        };
        // A folder that cannot be written to does not learn what is used.
        let _ = futimens(&file, &USED_NOW);
        read_all(file, size_of(&stat)).map(Found::Bytes)
    }

    /// Reads a file of `length` bytes that nobody else may read.
    pub(super) fn read_secret(&self, name: &str, length: u64) -> Result<Found, CacheError> {
        let Some((file, stat)) = self.open_file(name)? else {
            return Ok(Found::Nothing);
        };
        if is_folder(&stat) {
            return Ok(Found::Folder);
        }
        let is_ours = stat.st_uid == rustix::process::geteuid().as_raw();
        let is_secret = is_ours && stat.st_mode & OTHERS == 0 && size_of(&stat) == length;
        match file.filter(|_| is_secret) {
            Some(file) => read_all(file, length).map(Found::Bytes),
            None => Ok(Found::Bad),
        }
    }

    /// Opens a file for reading. Returns `None` if there is none, and no file if it is a link or not a regular file.
    fn open_file(&self, name: &str) -> Result<Option<(Option<File>, Stat)>, CacheError> {
        // A pipe without a writer would block an ordinary open.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = match openat(&self.0, name, flags, Mode::empty()) {
            Ok(file) => Some(file),
            Err(Errno::NOENT) => return Ok(None),
            // A link, or a socket.
            Err(Errno::LOOP | Errno::NXIO) => None,
            Err(error) => return Err(CacheError::Read(error)),
        };
        let stat = match &opened {
            Some(file) => fstat(file),
            None => statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW),
        };
        let stat = stat.map_err(CacheError::Read)?;
        let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        let file = opened.filter(|_| is_file).map(File::from);
        Ok(Some((file, stat)))
    }

    /// Begins a file of `size` bytes, which has no name for readers yet. Its size counts from now on, for all
    /// processes.
    pub(super) fn begin(&self, size: u64) -> Result<NewFile<'_>, CacheError> {
        let new = self.make_temporary()?;
        // A hole takes no space of the disk.
        new.file
            .set_len(size)
            .map_err(|error| CacheError::write(errno(&error)))?;
        Ok(new)
    }

    /// Makes an empty file that only this user can read. It has a lock, which tells other processes that it is no
    /// left-over.
    fn make_temporary(&self) -> Result<NewFile<'_>, CacheError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        for _ in 0..ATTEMPTS {
            let number = getrandom::u64().map_err(CacheError::Random)?;
            let name = format!("{TEMPORARY}{number:016x}");
            let mode = Mode::RUSR | Mode::WUSR;
            let file = openat(&self.0, &name, flags | OFlags::CLOEXEC, mode);
            let new = NewFile {
                file: File::from(file.map_err(CacheError::write)?),
                folder: self,
                name,
            };
            let is_locked = flock(&new.file, FlockOperation::NonBlockingLockExclusive).is_ok();
            let links = fstat(&new.file).map_or(0, |stat| stat.st_nlink);
            // Another process may have found the file between these two steps, and taken it for a left-over.
            if is_locked && links > 0 {
                return Ok(new);
            }
        }
        Err(CacheError::write(Errno::AGAIN))
    }

    /// Returns true if there is something of this name that is a folder, in whose place no file can be written.
    pub(super) fn has_folder(&self, name: &str) -> bool {
        let stat = statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW);
        stat.is_ok_and(|stat| is_folder(&stat))
    }

    /// Removes a file that was not written completely.
    fn discard(&self, name: &str) {
        // What cannot be removed now is a left-over for the next start.
        let _ = unlinkat(&self.0, name, AtFlags::empty());
    }

    /// Removes a file. It is no error if it has gone already.
    pub(super) fn remove(&self, name: &str) -> Result<(), CacheError> {
        match unlinkat(&self.0, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(CacheError::write(error)),
        }
    }

    /// Removes files that processes began to write and did not finish, because they were killed.
    pub(super) fn remove_left_over(&self) -> Result<(), CacheError> {
        let names = self.names()?;
        for name in names.iter().filter(|name| name.starts_with(TEMPORARY)) {
            // What cannot be opened or removed is nothing of ours, or of a disk that cannot be written.
            let Ok(Some((Some(file), _))) = self.open_file(name) else {
                continue;
            };
            // A process that writes it still holds the lock.
            if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
                self.discard(name);
            }
        }
        Ok(())
    }

    /// Lists the entries, and the files that are being written. What is not a regular file is nothing of ours.
    pub(super) fn files(&self) -> Result<Vec<Listed>, CacheError> {
        let mut files = Vec::new();
        for name in self.names()? {
            let is_entry = is_entry(&name);
            if !is_entry && !name.starts_with(TEMPORARY) {
                continue;
            }
            // Another server may have removed it meanwhile.
            let Ok(stat) = statat(&self.0, &name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
                files.push(Listed {
                    size: size_of(&stat),
                    used: (stat.st_mtime, stat.st_mtime_nsec as i64),
                    name,
                    is_entry,
                });
            }
        }
        Ok(files)
    }

    fn names(&self) -> Result<Vec<String>, CacheError> {
        let listed = Dir::read_from(&self.0).map_err(CacheError::Read)?;
        let mut names = Vec::new();
        for entry in listed {
            let entry = entry.map_err(CacheError::Read)?;
            // Names of ours are ASCII.
            names.extend(entry.file_name().to_str().ok().map(str::to_owned));
        }
        Ok(names)
    }
}

/// A file that is being written. It is removed when this is dropped before it has got its name.
#[derive(Debug)]
pub(super) struct NewFile<'a> {
    folder: &'a PrivateFolder,
    name: String,
    file: File,
}

impl NewFile<'_> {
    /// Returns the name under which the folder lists it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Writes the pieces.
    pub(super) fn write(&mut self, pieces: &[&[u8]]) -> Result<(), CacheError> {
        self.fill(pieces).map_err(CacheError::write)
    }

    /// Gives the file, which was written, its name: whoever reads it sees all of it or nothing, also after a loss of
    /// power. What has the name already is replaced.
    pub(super) fn publish(self, name: &str) -> Result<(), CacheError> {
        let folder = &self.folder.0;
        renameat(folder, &self.name, folder, name)
            .and_then(|()| fsync(folder))
            .map_err(CacheError::write)
    }

    /// Writes the pieces and gives the file its name, unless there is something of this name already.
    pub(super) fn write_if_missing(
        mut self,
        name: &str,
        pieces: &[&[u8]],
    ) -> Result<(), CacheError> {
        let folder = &self.folder.0;
        self.fill(pieces)
            .and_then(|()| {
                match linkat(folder, &self.name, folder, name, AtFlags::empty()) {
                    Err(Errno::EXIST) => Ok(()),
                    // A file system without hard links.
                    Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS) => {
                        renameat(folder, &self.name, folder, name)
                    }
                    linked => linked,
                }
            })
            .and_then(|()| fsync(folder))
            .map_err(CacheError::write)
    }

    fn fill(&mut self, pieces: &[&[u8]]) -> Result<(), Errno> {
        let written = pieces
            .iter()
            .try_for_each(|piece| self.file.write_all(piece));
        written.map_err(|error| errno(&error))?;
        fsync(&self.file)
    }
}

impl Drop for NewFile<'_> {
    fn drop(&mut self) {
        // After a rename there is nothing of this name any more.
        self.folder.discard(&self.name);
    }
}

/// The times of a file that was used now.
const USED_NOW: Timestamps = Timestamps {
    last_access: Timespec {
        tv_sec: 0,
        tv_nsec: UTIME_OMIT,
    },
    last_modification: Timespec {
        tv_sec: 0,
        tv_nsec: UTIME_NOW,
    },
};

fn is_folder(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

fn size_of(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

/// Reads at most `size` bytes: what is appended meanwhile does not count.
fn read_all(file: File, size: u64) -> Result<Vec<u8>, CacheError> {
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    let read = file.take(size).read_to_end(&mut bytes);
    read.map_err(|error| CacheError::Read(errno(&error)))?;
    Ok(bytes)
}

fn errno(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
