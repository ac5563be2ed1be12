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

pub(super) use self::entry::CachedCode;
pub use self::health::CacheCounts;

pub(super) use self::key::{EngineId, EntryKey};

use self::error::CacheError;
use self::eviction::make_room;
use self::folder::{Found, PrivateFolder};
use self::health::CacheHealth;
use self::seal::{SealKey, seal, unsealed};

/// Largest size of an entry in bytes. The largest file that is served, whose code is three times as large, fits.
const MAX_ENTRY: u64 = 512 << 20;

/// The folder of compiled code, and its bound.
#[derive(Clone, Debug, Default)]
pub struct CacheSettings {
    /// Absolute path of the folder. `None` if nothing is kept.
    pub dir: Option<PathBuf>,
    /// Largest size of all files of the folder together, in bytes.
    pub max_bytes: u64,
}

/// Compiled code on disk.
#[derive(Debug)]
pub(super) struct CodeCache {
    settings: CacheSettings,
    state: CacheHealth,
}

impl CodeCache {
    pub(super) fn new(settings: CacheSettings) -> Self {
        Self {
            settings,
            state: CacheHealth::default(),
        }
    }

    /// Returns true if compiled code is kept at all.
    pub(super) fn is_on(&self) -> bool {
        self.settings.dir.is_some()
    }

    /// Returns what has become of entries so far.
    pub(super) fn counts(&self) -> &CacheCounts {
        &self.state.counts
    }

    /// Returns the sentence that says why compiled code is not kept, if that was so the last time.
    pub(super) fn trouble(&self) -> Option<String> {
        self.state.trouble()
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
            self.state.counts.set_stored(bytes);
            Ok(())
        });
        if let Err(error) = prepared {
            self.state.failed(dir, &error);
        }
    }

    /// Returns the code of a file, as [`CodeCache::find`] does, and counts if it was there.
    pub(super) fn load(&self, key: &EntryKey) -> Option<CachedCode> {
        let entry = self.find(key);
        match &entry {
            Some(_) => self.state.counts.hits.one(),
            None => self.state.counts.misses.one(),
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
            self.state.failed(dir, &error);
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
        self.state.counts.bad.one();
        // A folder that cannot be written to keeps the entry, which stays unused.
        let removed = folder.remove(&key.file_name());
        tracing::debug!(
            "a bad entry of the cache of compiled code was found: {}, removed: {}",
            key.file_name(),
            removed.is_ok()
        );
    }

    /// Keeps an entry. The first failure is logged, and then the end of the failures.
    pub(super) fn store(&self, key: &EntryKey, entry: &CachedCode) {
        let Some(dir) = self.settings.dir.as_deref() else {
            return;
        };
        match self.store_in(dir, key, entry) {
            Ok(()) => self.state.worked(dir),
            Err(error) => self.state.failed(dir, &error),
        }
    }

    fn store_in(&self, dir: &Path, key: &EntryKey, entry: &CachedCode) -> Result<(), CacheError> {
        let folder = PrivateFolder::make(dir)?;
        let seal_key = SealKey::read_or_make(&folder)?;
        let name = key.file_name();
        let head = entry.head();
        let content = [&head, entry.component(), &entry.code];
        let seal = seal(&seal_key, &name, &content);
        let size = content.iter().map(|piece| piece.len() as u64).sum::<u64>() + seal.len() as u64;
        if size > self.largest_entry() {
            tracing::debug!("{name} is larger than an entry may be and is not kept");
            return Ok(());
        }
        if folder.has_folder(&name) {
            tracing::debug!("{name} is a folder, and in its place nothing is kept");
            return Ok(());
        }
        // The file is there with its size before room is made, so that those that are written at the same time do not
        // count on the same room.
        let new = folder.begin(size)?;
        let Some(others) = make_room(&folder, &new, &name, self.settings.max_bytes - size)? else {
            tracing::debug!("{name} is not kept, because other entries are being written");
            return Ok(());
        };
        let [head, component, code] = content;
        new.write(&name, &[&seal, head, component, code])?;
        self.state.counts.set_stored(others + size);
        Ok(())
    }
}
