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

/// Largest size of the functions of a component that are kept, in bytes. Those of a Python interpreter of 18 MB, which is
/// in every version of a handler in Python, have 28 MB.
pub(super) const MAX_FUNCTIONS: usize = 64 << 20;

/// The functions of an earlier version, and those that the version being compiled uses.
#[derive(Debug, Default)]
pub(super) struct Functions {
    earlier: HashMap<Bytes, Bytes>,
    used: Mutex<HashMap<Bytes, Bytes>>,
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
            used: Mutex::default(),
        }
    }

    /// Returns the functions that were used. Returns nothing if they are too large to be kept.
    pub(super) fn used(&self) -> Vec<u8> {
        let used = lock(&self.used);
        let size = |(key, code): (&Bytes, &Bytes)| 8 + key.len() + code.len();
        let size: usize = used.iter().map(size).sum();
        if size > MAX_FUNCTIONS {
            return Vec::new();
        }
        let mut bytes = Vec::with_capacity(size);
        for (key, code) in &*used {
            // Both are shorter than the whole, which is bounded.
            bytes.extend_from_slice(&(key.len() as u32).to_le_bytes());
            bytes.extend_from_slice(&(code.len() as u32).to_le_bytes());
            bytes.extend_from_slice(key);
            bytes.extend_from_slice(code);
        }
        bytes
    }
}

/// Takes the next function off the bytes. Returns `None` at their end, or where they are not what [`Functions::used`]
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
        lock(&self.used).insert(key.clone(), code.clone());
        Some(Cow::Borrowed(code))
    }

    fn insert(&self, key: &[u8], code: Vec<u8>) -> bool {
        lock(&self.used).insert(Bytes::copy_from_slice(key), code.into());
        true
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
        let second = Functions::of(first.used().into());
        assert_eq!(second.get(b"two").as_deref(), Some(&[][..]));
        assert!(second.insert(b"three", vec![3]));
        let third = Functions::of(second.used().into());
        assert_eq!(third.get(b"one"), None);
        assert_eq!(third.get(b"two").as_deref(), Some(&[][..]));
        assert_eq!(third.get(b"three").as_deref(), Some(&[3][..]));
    }

    #[test]
    fn i13_2_bytes_that_are_cut_off_or_senseless_are_functions_up_to_there() {
        let functions = Functions::default();
        functions.insert(b"one", vec![1; 100]);
        let bytes = functions.used();
        for end in 0..bytes.len() {
            let cut = Functions::of(Bytes::copy_from_slice(&bytes[..end]));
            assert!(cut.get(b"one").is_none(), "{end}");
        }
        assert!(Functions::of(vec![255; 100].into()).used().is_empty());
    }
}
