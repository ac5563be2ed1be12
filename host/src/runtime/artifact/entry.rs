//! An entry of the cache: what compiling a file has made.

use bytes::Bytes;

/// The native code of a file, with what was made on the way to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::runtime) struct CachedCode {
    /// The component that was made of a core module. `None` if the file is a component itself.
    pub(in crate::runtime) adapted: Option<Bytes>,
    /// The native code, or the compiled functions of a component.
    pub(in crate::runtime) code: Bytes,
}

/// Bytes before the component: one that says if there is a component, and eight with its length.
const HEAD: usize = 9;

impl CachedCode {
    /// Makes an entry without a component.
    pub(in crate::runtime) fn of(code: Bytes) -> Self {
        Self {
            adapted: None,
            code,
        }
    }

    /// Returns what comes first in the bytes of an entry. The component follows, and the code.
    pub(super) fn head(&self) -> [u8; HEAD] {
        let mut head = [0; HEAD];
        head[0] = u8::from(self.adapted.is_some());
        head[1..].copy_from_slice(&(self.component().len() as u64).to_le_bytes());
        head
    }

    /// Returns the bytes of the component that was made of a core module; none if there is no such component.
    pub(super) fn component(&self) -> &[u8] {
        self.adapted.as_deref().unwrap_or_default()
    }

    /// Reads the head, the component and the code. Returns `None` if it is anything else.
    pub(super) fn decode(bytes: Bytes) -> Option<Self> {
        let (is_adapted, rest) = bytes.split_first()?;
        let length = u64::from_le_bytes(*rest.first_chunk()?);
        let code_at = usize::try_from(length).ok()?.checked_add(HEAD)?;
        if code_at > bytes.len() {
            return None;
        }
        Some(Self {
            adapted: (*is_adapted == 1).then(|| bytes.slice(HEAD..code_at)),
            code: bytes.slice(code_at..),
        })
    }
}
