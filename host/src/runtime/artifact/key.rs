//! The names of entries: what compiled code depends on, as one hash.

use std::hash::{Hash, Hasher};
use std::path::Path;

use sha2::{Digest, Sha256};
use wasmtime::Engine;

use super::super::adapt::Adapter;
use super::super::content_hash::ContentHash;
use super::super::settings::Serve;

/// The version of what entries contain. Entries of another version have other names.
const FORMAT: &[u8] = b"hitchy code 1";
/// The version of wasmtime, which wasmtime itself checks only up to its major number. A test compares it with
/// Cargo.lock.
pub(super) const WASMTIME: &str = "48.0.8";
/// The version of the crate that makes components of core modules, whose result is in entries too.
pub(super) const WIT_COMPONENT: &str = "0.254.2";
/// The end of the names of entries with the code of a file.
const CODE: &str = ".code";
/// The end of the names of entries with the functions of a handler.
const FUNCTIONS: &str = ".functions";

/// Returns true if files of this name are entries.
pub(super) fn is_entry(name: &str) -> bool {
    name.ends_with(CODE) || is_functions(name)
}

/// Returns true if files of this name are entries with functions.
pub(super) fn is_functions(name: &str) -> bool {
    name.ends_with(FUNCTIONS)
}

/// Everything about an engine on which the code for it depends: the version of wasmtime, its settings and the
/// processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::runtime) struct EngineId([u8; 32]);

impl EngineId {
    pub(in crate::runtime) fn of(engine: &Engine) -> Self {
        let mut hasher = Sha256Hasher(Sha256::new_with_prefix(FORMAT));
        (WASMTIME, WIT_COMPONENT, env!("CARGO_PKG_VERSION")).hash(&mut hasher);
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Self(hasher.0.finalize().into())
    }
}

/// The key of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::runtime) struct EntryKey {
    hash: [u8; 32],
    suffix: &'static str,
}

impl EntryKey {
    /// Makes the key of the code of a file that is served as `serve` says, after `adapter` if it is a core module.
    pub(in crate::runtime) fn new(
        engine: EngineId,
        content: ContentHash,
        serve: Serve,
        adapter: Option<Adapter>,
    ) -> Self {
        let serve = match serve {
            Serve::Exports => 0,
            Serve::Cgi => 1,
        };
        let adapter = match adapter {
            None => 0,
            Some(Adapter::Reactor) => 1,
            Some(Adapter::Command) => 2,
        };
        let hash = Sha256::new_with_prefix(engine.0)
            .chain_update(content.as_bytes())
            .chain_update([serve, adapter]);
        Self {
            hash: hash.finalize().into(),
            suffix: CODE,
        }
    }

    /// Makes the key of the functions that were compiled for a handler of this folder, whatever version of it.
    pub(super) fn of_functions(engine: EngineId, folder: &Path, handler: &str) -> Self {
        let hash = Sha256::new_with_prefix(engine.0)
            .chain_update(handler)
            .chain_update([0])
            .chain_update(folder.as_os_str().as_encoded_bytes());
        Self {
            hash: hash.finalize().into(),
            suffix: FUNCTIONS,
        }
    }

    /// Makes the key of the code of a part of the server itself, which no file of a handler has.
    pub(in crate::runtime) fn of_part(engine: EngineId, content: ContentHash) -> Self {
        let hash = Sha256::new_with_prefix(engine.0)
            .chain_update(content.as_bytes())
            .chain_update(b"part");
        Self {
            hash: hash.finalize().into(),
            suffix: CODE,
        }
    }

    /// Returns the name of the entry's file.
    pub(super) fn file_name(&self) -> String {
        let digits = self.hash.iter().map(|byte| format!("{byte:02x}"));
        digits.chain([self.suffix.to_owned()]).collect()
    }
}

/// A hasher whose result is the same in every process and hard to meet by chance.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Returns the first eight bytes. The whole result is taken from the field.
    fn finish(&self) -> u64 {
        let hash = self.0.clone().finalize();
        hash.first_chunk()
            .map_or(0, |first| u64::from_le_bytes(*first))
    }
}
