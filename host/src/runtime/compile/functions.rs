//! The compiled functions of one component, with which the next version of it is compiled faster: Cranelift compiles
//! only the functions that have changed.
//!
//! A function is found by a hash of everything that its code depends on, which wasmtime computes. The functions of a
//! component travel as one sequence of bytes, because they are kept as one entry of the cache: for each function the
//! lengths of its key and of its code, as two little-endian `u32`, then both.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Mutex;

use bytes::{Buf, Bytes};
use wasmtime::CacheStore;

use crate::lock::lock;

/// Bytes before a function: the lengths of its key and of its code.
const HEAD: usize = 8;
/// Largest size of the functions of a component that are kept, in bytes. Those of a Python interpreter of 18 MB, which
/// is in every version of a handler in Python, have 28 MB.
pub(super) const MAX_FUNCTIONS: usize = 64 << 20;

/// The functions of an earlier version, and those of the version that is being compiled.
#[derive(Debug, Default)]
pub(super) struct Functions {
    earlier: HashMap<Bytes, Bytes>,
    current: Mutex<Current>,
}

/// The functions of the version that is being compiled.
#[derive(Debug, Default)]
struct Current {
    functions: HashMap<Bytes, Bytes>,
    /// Size of all functions as [`Functions::encode`] returns them. Beyond the bound nothing is kept any more.
    size: usize,
}

impl Current {
    /// Keeps a function. Returns false if there are too many.
    fn keep(&mut self, key: Bytes, code: Bytes) -> bool {
        if self.functions.contains_key(&key) {
            return true;
        }
        self.size = self.size.saturating_add(HEAD + key.len() + code.len());
        if self.size > MAX_FUNCTIONS {
            self.functions = HashMap::new();
            return false;
        }
        self.functions.insert(key, code);
        true
    }
}

impl Functions {
    /// Reads the functions of an earlier version. What cannot be read is left out, and compiled again.
    pub(super) fn of(mut bytes: Bytes) -> Self {
        let mut earlier = HashMap::new();
        while let Some((key, code)) = next(&mut bytes) {
            earlier.insert(key, code);
        }
        Self {
            earlier,
            current: Mutex::default(),
        }
    }

    /// Returns the functions of the version that was compiled; none if they are too large to be kept.
    pub(super) fn encode(&self) -> Vec<u8> {
        let current = lock(&self.current);
        let mut bytes = Vec::with_capacity(current.size.min(MAX_FUNCTIONS));
        for (key, code) in &current.functions {
            // Both are shorter than the whole, which is bounded.
            bytes.extend_from_slice(&(key.len() as u32).to_le_bytes());
            bytes.extend_from_slice(&(code.len() as u32).to_le_bytes());
            bytes.extend_from_slice(key);
            bytes.extend_from_slice(code);
        }
        bytes
    }

    /// Returns the number of functions that were compiled, because the earlier version did not have them.
    #[cfg(test)]
    pub(super) fn compiled(&self) -> usize {
        let current = lock(&self.current);
        let keys = current.functions.keys();
        keys.filter(|key| !self.earlier.contains_key(*key)).count()
    }
}

/// Takes the next function off the bytes. Returns `None` at their end, or where they are not what [`Functions::encode`]
/// returns.
fn next(bytes: &mut Bytes) -> Option<(Bytes, Bytes)> {
    let key = bytes.try_get_u32_le().ok()? as usize;
    let code = bytes.try_get_u32_le().ok()? as usize;
    if bytes.len() < key.checked_add(code)? {
        return None;
    }
    Some((bytes.split_to(key), bytes.split_to(code)))
}

impl CacheStore for Functions {
    fn get(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
        let (key, code) = self.earlier.get_key_value(key)?;
        lock(&self.current).keep(key.clone(), code.clone());
        Some(Cow::Borrowed(code))
    }

    fn insert(&self, key: &[u8], code: Vec<u8>) -> bool {
        lock(&self.current).keep(Bytes::copy_from_slice(key), code.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i13_2_only_the_functions_that_the_last_version_used_are_kept() {
        let first = Functions::default();
        assert!(first.insert(b"one", vec![1; 1000]));
        assert!(first.insert(b"two", vec![]));
        assert_eq!(first.get(b"one"), None, "it was not there before");
        let second = Functions::of(first.encode().into());
        assert_eq!(second.get(b"two").as_deref(), Some(&[][..]));
        assert!(second.insert(b"three", vec![3]));
        let third = Functions::of(second.encode().into());
        assert_eq!(third.get(b"one"), None);
        assert_eq!(third.get(b"two").as_deref(), Some(&[][..]));
        assert_eq!(third.get(b"three").as_deref(), Some(&[3][..]));
    }

    #[test]
    fn i13_2_bytes_that_are_cut_off_or_senseless_are_functions_up_to_there() {
        let functions = Functions::default();
        functions.insert(b"one", vec![1; 100]);
        let bytes = functions.encode();
        for end in 0..bytes.len() {
            let cut = Functions::of(Bytes::copy_from_slice(&bytes[..end]));
            assert!(cut.get(b"one").is_none(), "{end}");
        }
        assert!(Functions::of(vec![255; 100].into()).encode().is_empty());
    }

    #[test]
    fn i13_2_too_many_functions_are_not_kept_and_take_no_memory() {
        let functions = Functions::default();
        let code = vec![0; MAX_FUNCTIONS / 4];
        let kept = [1, 2, 3, 4, 5].map(|key| functions.insert(&[key], code.clone()));
        assert_eq!(kept, [true, true, true, false, false]);
        assert!(functions.encode().is_empty());
    }
}
