//! Seals of entries: a code that only those can make who can read the key.

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::error::CacheError;
use super::folder::{Found, PrivateFolder};

/// The name of the file with the key.
const KEY_FILE: &str = "key";
/// Length of the key and of a seal in bytes.
const LENGTH: usize = 32;

/// The key of all seals of a folder. `Debug` does not show it.
pub(super) struct SealKey([u8; LENGTH]);

impl SealKey {
    /// Reads the key of a folder. Returns `None` if there is none, or if the file has another length or may be read by
    /// others.
    ///
    /// # Errors
    /// The key cannot be read, or there is a folder in its place.
    pub(super) fn read(folder: &PrivateFolder) -> Result<Option<Self>, CacheError> {
        match folder.read_secret(KEY_FILE, LENGTH as u64)? {
            Found::Bytes(bytes) => Ok(bytes.try_into().ok().map(Self)),
            Found::Nothing | Found::Bad => Ok(None),
            Found::Folder => Err(CacheError::KeyIsFolder),
        }
    }

    /// Reads the key of a folder, or makes one. All entries of an earlier key are bad then. Servers that begin at the
    /// same time have the same key.
    pub(super) fn read_or_make(folder: &PrivateFolder) -> Result<Self, CacheError> {
        if let Some(key) = Self::read(folder)? {
            return Ok(key);
        }
        let mut key = [0; LENGTH];
        getrandom::fill(&mut key).map_err(CacheError::Random)?;
        let make = || -> Result<(), CacheError> {
            let new = folder.begin(LENGTH as u64)?;
            new.write_if_missing(KEY_FILE, &[&key])
        };
        make()?;
        // Another process may have made one at the same time: the one that is there now is that of both.
        if let Some(key) = Self::read(folder)? {
            return Ok(key);
        }
        // What is there is no key: it has another length, or others may read it.
        folder.remove(KEY_FILE)?;
        make()?;
        Ok(Self::read(folder)?.unwrap_or(Self(key)))
    }

    /// Begins the seal of an entry. The name belongs to it, so that an entry under the name of another is bad.
    fn mac(&self, name: &str) -> Hmac<Sha256> {
        let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&self.0);
        mac.expect("HMAC takes keys of every length")
            .chain_update((name.len() as u64).to_le_bytes())
            .chain_update(name)
    }
}

/// Returns the seal of a content, which is given in pieces.
pub(super) fn seal(key: &SealKey, name: &str, pieces: &[&[u8]]) -> [u8; LENGTH] {
    let mut mac = key.mac(name);
    for piece in pieces {
        mac.update(piece);
    }
    mac.finalize().into_bytes().into()
}

/// Returns the content of bytes that begin with its seal, made with this key and this name, or `None` if they are
/// anything else. The comparison takes the same time wherever the seals differ.
pub(super) fn unsealed(key: &SealKey, name: &str, bytes: Vec<u8>) -> Option<Bytes> {
    let (seal, content) = bytes.split_at_checked(LENGTH)?;
    let mac = key.mac(name).chain_update(content);
    mac.verify_slice(seal).ok()?;
    Some(Bytes::from(bytes).slice(LENGTH..))
}
