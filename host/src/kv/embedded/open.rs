//! Opens the file of a store, or refuses it and leaves it as it is.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::{
    Database, DatabaseError, ReadableDatabase, ReadableTableMetadata, StorageError, TableError,
};

use super::file::StoreFile;
use super::record::{BUCKETS, FORMAT, FORMAT_KEY, META, RECORDS};
use super::settings::StoreSettings;

/// The name of the file in the folder of a store.
pub const FILE: &str = "keyvalue.redb";
/// The name under which a new file is made, before it gets its own.
const UNFINISHED: &str = "keyvalue.redb.new";
/// The name of the file whose lock a process holds while it uses the folder.
const LOCK: &str = "keyvalue.lock";
/// The first bytes of every file of redb.
const MAGIC: &[u8] = b"redb\x1A\x0A\xA9\x0D\x0A";

/// A reason why a store cannot be opened. Each sentence names the path, the cause and what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process uses the folder.
    #[error(
        "the key-value storage {} is used by another process{}; end it, or give this one another folder (kv.path)",
        .path.display(),
        .process.as_deref().map(|id| format!(" ({id})")).unwrap_or_default()
    )]
    Locked {
        /// The path of the file.
        path: PathBuf,
        /// The id of the other process, as it wrote it.
        process: Option<String>,
    },
    /// The file is not a store.
    #[error(
        "{} is not a key-value storage of this server ({cause}); it was left as it is. Move it away, or name another folder (kv.path)",
        .path.display()
    )]
    Foreign {
        /// The path of the file.
        path: PathBuf,
        /// What it is instead.
        cause: String,
    },
    /// The file is not what was written.
    #[error(
        "the key-value storage {} is damaged ({cause}); it was left as it is. Put back a backup, or move the file away to begin with an empty one",
        .path.display()
    )]
    Damaged {
        /// The path of the file.
        path: PathBuf,
        /// What was found.
        cause: String,
    },
    /// The system refuses access.
    #[error(
        "the key-value storage {} cannot be used: {cause}; make its folder writable for this server, or name another (kv.path)",
        .path.display()
    )]
    Access {
        /// The path of the file or the folder.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// No thread could be started.
    #[error("the thread that writes the key-value storage cannot be started: {0}")]
    Thread(io::Error),
}

/// An open file.
pub(super) struct Opened {
    /// `None` only while it is closed.
    database: Option<Database>,
    pub(super) file: StoreFile,
    /// Its lock lasts as long as the file is open.
    lock: Option<File>,
    /// A handle of the file itself, with a lock of its own: the file beside it may be removed.
    own_lock: File,
}

impl Opened {
    /// Opens the file of a folder, if there is one.
    pub(super) fn existing(settings: &StoreSettings) -> Result<Option<Self>, OpenError> {
        check_folder(&settings.folder)?;
        let path = settings.folder.join(FILE);
        match fs::symlink_metadata(&path) {
            Ok(_) => {
                let lock = take_lock(&settings.folder)?;
                let own_lock = take_own_lock(&path)?;
                open(&path, settings.cache, lock, own_lock).map(Some)
            }
            Err(error) if is_absent(&error) => Ok(None),
            Err(cause) => Err(OpenError::Access { path, cause }),
        }
    }

    /// Opens the file of a folder, and makes folder and file if they are missing.
    pub(super) fn existing_or_new(settings: &StoreSettings) -> Result<Self, OpenError> {
        let folder = &settings.folder;
        let access = |cause| OpenError::Access {
            path: folder.clone(),
            cause,
        };
        make_folder(folder).map_err(access)?;
        let lock = take_lock(folder)?;
        let path = folder.join(FILE);
        if !path.try_exists().map_err(access)? {
            create(folder, settings.cache)?;
            tracing::info!("made the key-value storage {}", path.display());
        }
        let own_lock = take_own_lock(&path)?;
        open(&path, settings.cache, lock, own_lock)
    }

    /// Opens the file that could not be opened after a failure. A file that is gone is not made again.
    pub(super) fn existing_again(settings: &StoreSettings) -> Result<Self, OpenError> {
        let gone = || OpenError::Access {
            path: settings.folder.join(FILE),
            cause: io::Error::new(ErrorKind::NotFound, "it is gone"),
        };
        Self::existing(settings)?.ok_or_else(gone)
    }

    /// Opens the file again after a failure, under the same lock. Nobody can use `self` any more.
    pub(super) fn again(
        &self,
        lock: Option<File>,
        settings: &StoreSettings,
    ) -> Result<Self, OpenError> {
        self.file.fence();
        let path = settings.folder.join(FILE);
        let lock = match lock {
            Some(lock) => lock,
            None => take_lock(&settings.folder)?,
        };
        let own_lock = match self.own_lock.try_clone() {
            // Another lock of the same file would wait for this one.
            Ok(own_lock) if self.is_in_place(settings) => own_lock,
            _ => take_own_lock(&path)?,
        };
        open(&path, settings.cache, lock, own_lock)
    }

    /// Returns true if the file is still the one that has its name. What is written to another one is lost.
    pub(super) fn is_in_place(&self, settings: &StoreSettings) -> bool {
        let named = fs::metadata(settings.folder.join(FILE));
        let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        let own = self.own_lock.metadata().map(identity);
        named
            .map(identity)
            .is_ok_and(|named| own.is_ok_and(|own| own == named))
    }

    /// Returns another handle of the lock, which lasts until all handles are dropped.
    pub(super) fn lock(&self) -> Option<File> {
        self.lock.as_ref().and_then(|lock| lock.try_clone().ok())
    }

    /// Returns the database.
    pub(super) fn database(&self) -> &Database {
        self.database
            .as_ref()
            .expect("it is taken only to close it")
    }

    /// Returns the number of buckets.
    pub(super) fn bucket_count(&self) -> Option<u64> {
        let transaction = self.database().begin_read().ok()?;
        transaction.open_table(BUCKETS).ok()?.len().ok()
    }

    /// Closes the file cleanly.
    pub(super) fn close(mut self) -> Result<(), DatabaseError> {
        self.database.take().map_or(Ok(()), Database::close)
    }
}

/// Returns true if there is no file, or no folder in which it could be.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// Refuses a folder that is something else, or a link that leads nowhere. Without this, nothing would seem to be
/// stored.
fn check_folder(folder: &Path) -> Result<(), OpenError> {
    let access = |cause| OpenError::Access {
        path: folder.to_owned(),
        cause,
    };
    match fs::symlink_metadata(folder) {
        Err(error) if is_absent(&error) => Ok(()),
        Err(cause) => Err(access(cause)),
        Ok(_) if fs::metadata(folder).map_err(access)?.is_dir() => Ok(()),
        Ok(_) => Err(access(ErrorKind::NotADirectory.into())),
    }
}

/// Takes the lock of the file itself.
fn take_own_lock(path: &Path) -> Result<File, OpenError> {
    let access = |cause| OpenError::Access {
        path: path.to_owned(),
        cause,
    };
    // What is no file may wait for ever when it is opened. It is refused with the others that are not ours.
    if !fs::metadata(path).map_err(access)?.is_file() {
        return Err(OpenError::Foreign {
            path: path.to_owned(),
            cause: "it is no file".to_owned(),
        });
    }
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .map_err(access)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked {
            path: path.to_owned(),
            process: None,
        }),
        Err(TryLockError::Error(cause)) => Err(access(cause)),
    }
}

/// Takes the lock of a folder for this process.
fn take_lock(folder: &Path) -> Result<File, OpenError> {
    let path = folder.join(LOCK);
    let access = |cause| OpenError::Access {
        path: path.clone(),
        cause,
    };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(access)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut process = String::new();
            // The id is only a help; the file may be of any content.
            let _ = file.take(32).read_to_string(&mut process);
            let is_id = !process.is_empty() && process.bytes().all(|byte| byte.is_ascii_digit());
            return Err(OpenError::Locked {
                path: folder.join(FILE),
                process: is_id.then_some(process),
            });
        }
        Err(TryLockError::Error(cause)) => return Err(access(cause)),
    }
    // A full disk must not keep the storage from being read.
    let _ = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| write!(file, "{}", std::process::id()));
    Ok(file)
}

/// Makes a folder, and those above it, that only the user of this process can read. They are there after a loss of
/// power.
fn make_folder(folder: &Path) -> io::Result<()> {
    let missing: Vec<_> = folder
        .ancestors()
        .take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists())
        .collect();
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    for made in missing {
        let parent = made
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}

/// Makes the file of a store. It gets its name when it is complete, so that a file that is not is damage.
fn create(folder: &Path, cache: usize) -> Result<(), OpenError> {
    let unfinished = folder.join(UNFINISHED);
    let access = |cause| OpenError::Access {
        path: unfinished.clone(),
        cause,
    };
    let _ = fs::remove_file(&unfinished);
    let database = Database::builder()
        .set_cache_size(cache)
        .create(&unfinished)
        .map_err(|error| access(io::Error::other(error)))?;
    fs::set_permissions(&unfinished, Permissions::from_mode(0o600)).map_err(access)?;
    initialise(&database)
        .and_then(|()| database.close().map_err(redb::Error::from))
        .map_err(|error| access(io::Error::other(error)))?;
    fs::rename(&unfinished, folder.join(FILE)).map_err(access)?;
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(access)
}

/// Makes the tables of a new file.
fn initialise(database: &Database) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    transaction.open_table(META)?.insert(FORMAT_KEY, FORMAT)?;
    transaction.open_table(BUCKETS)?;
    transaction.open_table(RECORDS)?;
    transaction.commit()?;
    Ok(())
}

/// Opens a file that exists. Nothing is written to it until all of it has been checked.
fn open(path: &Path, cache: usize, lock: File, own_lock: File) -> Result<Opened, OpenError> {
    let access = |cause| OpenError::Access {
        path: path.to_owned(),
        cause,
    };
    let damaged = |cause: String| OpenError::Damaged {
        path: path.to_owned(),
        cause,
    };
    let raw = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .map_err(access)?;
    check_beginning(path, &raw)?;
    let file = StoreFile::held(raw).map_err(access)?;
    let opened = catch_unwind(AssertUnwindSafe(|| {
        Database::builder()
            .set_cache_size(cache)
            .set_check_integrity_on_open(true)
            .create_with_backend(file.clone())
    }));
    let database = match opened {
        Ok(Ok(database)) => database,
        Ok(Err(DatabaseError::Storage(StorageError::Io(cause)))) if is_of_system(&cause) => {
            return Err(access(cause));
        }
        Ok(Err(error)) => return Err(damaged(error.to_string())),
        Err(_) => return Err(damaged("reading it fails in an unexpected way".to_owned())),
    };
    let opened = Opened {
        database: Some(database),
        file,
        lock: Some(lock),
        own_lock,
    };
    let checked = catch_unwind(AssertUnwindSafe(|| check_format(path, opened.database())))
        .unwrap_or_else(|_| Err(damaged("its tables cannot be read".to_owned())));
    if checked.is_err() {
        // The database would write that it was closed.
        opened.file.fence();
    }
    checked?;
    opened.file.release().map_err(access)?;
    Ok(opened)
}

/// Returns true if an error comes from the system, and not from what redb read.
fn is_of_system(error: &io::Error) -> bool {
    error.raw_os_error().is_some()
}

/// Checks that a file begins as one of redb.
fn check_beginning(path: &Path, file: &File) -> Result<(), OpenError> {
    use std::os::unix::fs::FileExt;
    let access = |cause| OpenError::Access {
        path: path.to_owned(),
        cause,
    };
    let metadata = file.metadata().map_err(access)?;
    let mut beginning = [0; MAGIC.len()];
    let is_whole = metadata.len() >= MAGIC.len() as u64;
    if metadata.is_file() && is_whole {
        file.read_exact_at(&mut beginning, 0).map_err(access)?;
    }
    if metadata.is_file() && beginning == *MAGIC {
        return Ok(());
    }
    let cause = match metadata.len() {
        _ if !metadata.is_file() => "it is not a file",
        0 => "the file is empty",
        _ => "it begins with other bytes",
    };
    Err(OpenError::Foreign {
        path: path.to_owned(),
        cause: cause.to_owned(),
    })
}

/// Checks that a file of redb has our tables in our form.
fn check_format(path: &Path, database: &Database) -> Result<(), OpenError> {
    let foreign = |cause: &str| OpenError::Foreign {
        path: path.to_owned(),
        cause: cause.to_owned(),
    };
    let damaged = |error: redb::Error| OpenError::Damaged {
        path: path.to_owned(),
        cause: error.to_string(),
    };
    let transaction = database
        .begin_read()
        .map_err(|error| damaged(error.into()))?;
    let meta = match transaction.open_table(META) {
        Ok(meta) => meta,
        Err(TableError::Storage(error)) => return Err(damaged(error.into())),
        Err(_) => return Err(foreign("it is the database of another program")),
    };
    let format = meta
        .get(FORMAT_KEY)
        .map_err(|error| damaged(error.into()))?;
    match format.map(|format| format.value()) {
        Some(FORMAT) => {}
        Some(_) => return Err(foreign("a newer version of this server wrote it")),
        None => return Err(foreign("it is the database of another program")),
    }
    let tables = transaction.open_table(BUCKETS).map(drop);
    tables
        .and_then(|()| transaction.open_table(RECORDS).map(drop))
        .map_err(|error| damaged(error.into()))
}
