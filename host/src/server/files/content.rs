//! What the content of a file says about it: a tag for its version, and the encoding of its text.
//!
//! A file is read once for each of its versions, when it is asked for. What was found is kept by the file's stamp.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::str;
use std::sync::Mutex;

use sha2::{Digest, Sha256};

use super::media_type::{Kind, PRESCAN};
use crate::lock::lock;
use crate::stamp::Stamp;

/// The largest file that is read for its tag, in bytes. The tag of a larger file is its stamp.
const MAX_HASHED: u64 = 8 << 20;
/// The number of files about which something is kept.
const MAX_KEPT: usize = 4096;
/// The number of bytes that are read at a time.
const STEP: usize = 64 << 10;
/// The number of bytes of a hash that a tag has.
const TAG_BYTES: usize = 16;

/// What is known about the content of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Content {
    /// The tag, without quotes; none if the file changes while it is looked at.
    pub(super) tag: Option<String>,
    /// True if the file is text in UTF-8 and does not say that it is something else.
    pub(super) is_utf8: bool,
}

/// What is known about the files of a folder.
#[derive(Debug, Default)]
pub(super) struct Contents {
    kept: Mutex<HashMap<(Stamp, Kind), Content>>,
}

impl Contents {
    /// Returns what is known about an open file. Reads the file if its version is new.
    pub(super) fn of(&self, file: &File, stamp: Stamp, kind: Kind) -> io::Result<Content> {
        let key = (stamp, kind);
        if let Some(content) = lock(&self.kept).get(&key) {
            return Ok(content.clone());
        }
        // A stamp is no key as long as another change could leave it as it is.
        let is_lasting = !stamp.is_young();
        let mut content = read(file, stamp.size(), kind)?;
        if stamp.size() > MAX_HASHED {
            content.tag = Some(stamp.text()).filter(|_| is_lasting);
        }
        if Stamp::of(&file.metadata()?) != stamp {
            content.tag = None;
        } else if is_lasting {
            self.keep(key, content.clone());
        }
        Ok(content)
    }

    fn keep(&self, key: (Stamp, Kind), content: Content) {
        let mut kept = lock(&self.kept);
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        kept.insert(key, content);
    }
}

/// Reads a file of `size` bytes: all of it, or the beginning of a large one.
fn read(file: &File, size: u64, kind: Kind) -> io::Result<Content> {
    let is_large = size > MAX_HASHED;
    let mut hash = Sha256::new();
    let mut text = TextCheck::new(kind);
    let mut buffer = vec![0; STEP];
    let mut offset = 0;
    loop {
        let read = file.read_at(&mut buffer, offset)?;
        let bytes = &buffer[..read];
        hash.update(bytes);
        text.add(bytes);
        offset += read as u64;
        // A file that grows meanwhile is another version, which nobody has asked for.
        if read == 0 || is_large || offset > size {
            break;
        }
    }
    let hash = hash.finalize();
    let digits = hash
        .iter()
        .take(TAG_BYTES)
        .map(|byte| format!("{byte:02x}"));
    Ok(Content {
        tag: Some(digits.collect()),
        is_utf8: text.is_utf8(is_large),
    })
}

/// Checks that text which comes in pieces is UTF-8.
struct TextCheck {
    kind: Kind,
    is_utf8: bool,
    /// The first bytes, in which the text may name its encoding.
    head: Vec<u8>,
    /// The bytes of a character that goes on in the next piece.
    begun: Vec<u8>,
}

impl TextCheck {
    fn new(kind: Kind) -> Self {
        Self {
            kind,
            is_utf8: kind != Kind::Other,
            head: Vec::new(),
            begun: Vec::new(),
        }
    }

    fn add(&mut self, bytes: &[u8]) {
        if !self.is_utf8 {
            return;
        }
        let missing = PRESCAN.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..missing]);
        self.begun.extend_from_slice(bytes);
        let (valid, is_broken) = match str::from_utf8(&self.begun) {
            Ok(text) => (text.len(), false),
            Err(error) => (error.valid_up_to(), error.error_len().is_some()),
        };
        self.is_utf8 = !is_broken && !is_other_text(&self.begun[..valid]);
        self.begun.drain(..valid);
    }

    /// Returns true if everything was UTF-8. The end of the text may be missing if it `is_cut`.
    fn is_utf8(&self, is_cut: bool) -> bool {
        let is_complete = is_cut || self.begun.is_empty();
        self.is_utf8 && is_complete && !self.kind.names_another(&self.head)
    }
}

/// Returns true for text that is valid UTF-8 only by chance: UTF-16 of ASCII has NULs, and ISO 2022 (Japanese mail and
/// older pages) changes its alphabet by escape sequences.
fn is_other_text(bytes: &[u8]) -> bool {
    bytes.contains(&0)
        || bytes
            .windows(2)
            .any(|two| matches!(two, [0x1b, b'$' | b'(']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_utf8(pieces: &[&[u8]]) -> bool {
        let mut check = TextCheck::new(Kind::Text);
        for piece in pieces {
            check.add(piece);
        }
        check.is_utf8(false)
    }

    #[test]
    fn i11_19_text_is_checked_across_pieces() {
        assert!(is_utf8(&[]));
        assert!(is_utf8(&[b"plain"]));
        assert!(is_utf8(&[b"gr\xc3", b"\xbc\xc3\x9f", b"e"]));
        assert!(!is_utf8(&[b"gr\xc3", b"e"]));
        assert!(!is_utf8(&[b"gr\xc3"]));
        assert!(!is_utf8(&[b"gr\xfc\xdfe"]));
        assert!(!is_utf8(&[b"\xff\xfeg\0"]));
        assert!(!is_utf8(&[b"g\0r\0"]));
        assert!(!is_utf8(&[b"\x1b$B$3$s\x1b(B"]));
        assert!(is_utf8(&[b"\x1b[31mred"]));
    }
}
