//! Compiled code on disk, so that a file is compiled once and not at every start.
//!
//! Native code that is loaded runs with all rights of the server. Nothing of the folder is therefore trusted: an entry
//! is used only if its seal is right, which is made with a key that only the server's user can read (`seal`), in a
//! folder in which only this user can write (`folder`). Everything else is removed and compiled again.
//!
//! Each operation opens the folder anew and reads the key anew, because an operator may clear the folder, and other
//! servers may share it. Nothing here must run on a thread of the async runtime, because disks may be slow.

mod entry;
mod error;
mod eviction;
mod folder;
mod health;
mod key;
mod seal;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Mutex;

pub(super) use self::entry::CachedCode;
pub use self::health::CacheCounts;

pub(super) use self::key::{EngineId, EntryKey};

use self::error::CacheError;
use self::eviction::make_room;
use self::folder::{Found, NewFile, PrivateFolder};
use self::health::CacheHealth;
use self::seal::{SealKey, seal, unsealed};
use crate::lock::lock;

/// Largest size of an entry in bytes. The largest file that is served, whose code is three times as large, fits.
const MAX_ENTRY: u64 = 512 << 20;

/// The folder of compiled code, and its bound.
#[derive(Clone, Debug, Default)]
pub struct CacheSettings {
    /// Absolute path of the folder. `None` if nothing is kept.
    pub dir: Option<PathBuf>,
    /// Largest size of all files of the folder together, in bytes.
    pub max_bytes: u64,
    /// Absolute path of the folder of the handlers, which tells handlers of one name apart.
    pub handlers: PathBuf,
}

/// Compiled code on disk.
#[derive(Debug)]
pub(super) struct CodeCache {
    settings: CacheSettings,
    health: CacheHealth,
    /// Held while the folder is listed and while a file gets its name: a list may have neither the old nor the new name
    /// of a file that gets it meanwhile.
    naming: Mutex<()>,
}

impl CodeCache {
    pub(super) fn new(settings: CacheSettings) -> Self {
        Self {
            settings,
            health: CacheHealth::default(),
            naming: Mutex::default(),
        }
    }

    /// Returns true if compiled code is kept at all.
    pub(super) fn is_on(&self) -> bool {
        self.settings.dir.is_some()
    }

    /// Returns the key of the functions of a handler, or `None` if nothing is kept.
    pub(super) fn key_of_functions(&self, engine: EngineId, handler: &str) -> Option<EntryKey> {
        let folder = &self.settings.handlers;
        self.is_on()
            .then(|| EntryKey::of_functions(engine, folder, handler))
    }

    /// Returns what has become of entries so far.
    pub(super) fn counts(&self) -> &CacheCounts {
        &self.health.counts
    }

    /// Returns the sentence that says why compiled code is not kept, if that was so the last time.
    pub(super) fn trouble(&self) -> Option<String> {
        self.health.trouble()
    }

    /// Checks the folder, makes it if it is missing, and removes what killed processes have left there. If the folder
    /// cannot be used, a warning says why and what to do.
    pub(super) fn prepare(&self) {
        let Some(dir) = &self.settings.dir else {
            tracing::debug!(
                "compiled code is not kept: cache.dir is \"off\", or not set and there is neither XDG_CACHE_HOME nor HOME"
            );
            return;
        };
        let prepared = PrivateFolder::make(dir).and_then(|folder| {
            folder.remove_left_over()?;
            let files = folder.files()?;
            let entries = files.iter().filter(|file| file.is_entry);
            let bytes = entries.map(|entry| entry.size).sum();
            // Says what is wrong with it now, and not only once something was compiled.
            SealKey::read(&folder)?;
            self.health.counts.set_stored(bytes);
            Ok(())
        });
        if let Err(error) = prepared {
            self.health.failed(dir, &error);
        }
    }

    /// Returns the code of a file, as [`CodeCache::find`] does, and counts if it was there.
    pub(super) fn load(&self, key: &EntryKey) -> Option<CachedCode> {
        let entry = self.find(key);
        match &entry {
            Some(_) => self.health.counts.hits.one(),
            None => self.health.counts.misses.one(),
        }
        entry
    }

    /// Returns an entry that is there and whose seal is right. Removes an entry that is bad.
    pub(super) fn find(&self, key: &EntryKey) -> Option<CachedCode> {
        let dir = self.settings.dir.as_deref()?;
        let entry = PrivateFolder::open(dir).and_then(|folder| match folder {
            Some(folder) => self.load_from(&folder, key),
            None => Ok(None),
        });
        entry.unwrap_or_else(|error| {
            self.health.failed(dir, &error);
            None
        })
    }

    /// Returns the largest size of an entry in bytes. Each is read whole before its seal is checked.
    fn largest_entry(&self) -> u64 {
        self.settings.max_bytes.min(MAX_ENTRY)
    }

    fn load_from(
        &self,
        folder: &PrivateFolder,
        key: &EntryKey,
    ) -> Result<Option<CachedCode>, CacheError> {
        let name = key.file_name();
        let bytes = match folder.read(&name, self.largest_entry())? {
            Found::Nothing | Found::Folder => return Ok(None),
            Found::Bad => None,
            Found::Bytes(bytes) => Some(bytes),
        };
        let seal_key = SealKey::read(folder)?;
        let entry = bytes.zip(seal_key).and_then(|(bytes, seal_key)| {
            let content = unsealed(&seal_key, &name, bytes)?;
            CachedCode::decode(content)
        });
        if entry.is_none() {
            self.reject_in(folder, key);
        }
        Ok(entry)
    }

    /// Removes an entry whose seal was right, but whose code the engine does not accept.
    pub(super) fn reject(&self, key: &EntryKey) {
        let dir = self.settings.dir.as_deref();
        if let Some(Ok(Some(folder))) = dir.map(PrivateFolder::open) {
            self.reject_in(&folder, key);
        }
    }

    fn reject_in(&self, folder: &PrivateFolder, key: &EntryKey) {
        self.health.counts.bad.one();
        // A folder that cannot be written to keeps the entry, which stays unused.
        let removed = folder.remove(&key.file_name());
        tracing::debug!(
            "a bad entry of the cache of compiled code was found: {}, removed: {}",
            key.file_name(),
            removed.is_ok()
        );
    }

    /// Keeps code, and returns true if it is kept. The first failure is logged, and then the end of the failures.
    pub(super) fn store(&self, key: &EntryKey, entry: &CachedCode) -> bool {
        let Some(dir) = self.settings.dir.as_deref() else {
            return false;
        };
        let stored = self.store_in(dir, key, entry);
        match &stored {
            Ok(_) => self.health.worked(dir),
            Err(error) => self.health.failed(dir, error),
        }
        stored.unwrap_or(false)
    }

    /// Keeps functions, if there is room for them beside all code. They make the next version faster, and nobody needs
    /// to know if they are not kept.
    pub(super) fn store_functions(&self, key: &EntryKey, entry: &CachedCode) {
        let Some(dir) = self.settings.dir.as_deref() else {
            return;
        };
        if let Err(error) = self.store_in(dir, key, entry) {
            self.health.counts.failures.one();
            tracing::debug!("compiled functions are not kept: {error}");
        }
    }

    /// Writes an entry. Returns false if there is no room for it.
    fn store_in(&self, dir: &Path, key: &EntryKey, entry: &CachedCode) -> Result<bool, CacheError> {
        let folder = PrivateFolder::make(dir)?;
        let seal_key = SealKey::read_or_make(&folder)?;
        let name = key.file_name();
        let head = entry.head();
        let content = [&head, entry.component(), &entry.code];
        let seal = seal(&seal_key, &name, &content);
        let size = content.iter().map(|piece| piece.len() as u64).sum::<u64>() + seal.len() as u64;
        if size > self.largest_entry() {
            tracing::debug!("{name} is larger than an entry may be and is not kept");
            return Ok(false);
        }
        if folder.has_folder(&name) {
            tracing::debug!("{name} is a folder, and in its place nothing is kept");
            return Ok(false);
        }
        // The file is there with its size before room is made, so that those that are written at the same time do not
        // count on the same room.
        let mut new = folder.begin(size)?;
        let Some(others) = self.room_for(&folder, &new, &name, size)? else {
            tracing::debug!("{name} is not kept, because there is no room for it");
            return Ok(false);
        };
        let [head, component, code] = content;
        new.write(&[&seal, head, component, code])?;
        let naming = lock(&self.naming);
        new.publish(&name)?;
        drop(naming);
        self.health.counts.set_stored(others + size);
        Ok(true)
    }

    /// Makes room for a new entry, as [`make_room`] does.
    fn room_for(
        &self,
        folder: &PrivateFolder,
        new: &NewFile<'_>,
        name: &str,
        size: u64,
    ) -> Result<Option<u64>, CacheError> {
        let max = self.settings.max_bytes - size;
        let _naming = lock(&self.naming);
        if let Some(others) = make_room(folder, new, name, max)? {
            return Ok(Some(others));
        }
        // Processes that were killed meanwhile may have left something.
        folder.remove_left_over()?;
        make_room(folder, new, name, max)
    }
}
