//! The file to which redb writes, with what redb's own lacks: writes that are held back while the file is checked, and
//! an end to all access.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use redb::StorageBackend;

use crate::lock::lock;

type Outcome<T> = Result<T, io::Error>;

/// The file of a store, shared by redb and by whoever opened it.
#[derive(Clone, Debug)]
pub(super) struct StoreFile(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    file: File,
    /// True when nobody may read or write any more.
    fenced: AtomicBool,
    /// What redb wrote while it checked the file, in its order. `None` as soon as the file may be changed.
    held: Mutex<Option<Held>>,
}

/// Writes that are held back.
#[derive(Debug)]
struct Held {
    length: u64,
    writes: Vec<Write>,
}

#[derive(Debug)]
enum Write {
    Bytes(u64, Vec<u8>),
    Length(u64),
    Sync,
}

impl StoreFile {
    /// Makes the file of a store. Nothing is written to it until [`StoreFile::release`].
    pub(super) fn held(file: File) -> Outcome<Self> {
        let held = Held {
            length: file.metadata()?.len(),
            writes: Vec::new(),
        };
        Ok(Self(Arc::new(Inner {
            file,
            fenced: AtomicBool::new(false),
            held: Mutex::new(Some(held)),
        })))
    }

    /// Writes what was held back, in the same order, and writes through from now on.
    pub(super) fn release(&self) -> Outcome<()> {
        let mut held = lock(&self.0.held);
        let Some(Held { writes, .. }) = held.take() else {
            return Ok(());
        };
        for write in writes {
            match write {
                Write::Bytes(offset, bytes) => self.0.file.write_all_at(&bytes, offset)?,
                Write::Length(length) => self.0.file.set_len(length)?,
                Write::Sync => self.0.file.sync_data()?,
            }
        }
        Ok(())
    }

    /// Ends all access. A database that is given up would else write to the file when it is dropped.
    pub(super) fn fence(&self) {
        self.0.fenced.store(true, Ordering::SeqCst);
    }

    /// Returns true if all access has ended.
    pub(super) fn is_fenced(&self) -> bool {
        self.0.fenced.load(Ordering::SeqCst)
    }

    fn enter(&self) -> Outcome<()> {
        if self.is_fenced() {
            return Err(io::Error::other("the file is opened anew"));
        }
        Ok(())
    }

    /// Holds a write back, or runs `through` if the file may be changed.
    fn write_or(
        &self,
        hold: impl FnOnce(&mut Held),
        through: impl FnOnce(&File) -> Outcome<()>,
    ) -> Outcome<()> {
        self.enter()?;
        if let Some(held) = &mut *lock(&self.0.held) {
            hold(held);
            return Ok(());
        }
        through(&self.0.file)
    }
}

impl Held {
    /// Reads from the file with everything that was held back.
    fn read(&self, file: &File, offset: u64, out: &mut [u8]) -> Outcome<()> {
        if offset + out.len() as u64 > self.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        out.fill(0);
        let length = file.metadata()?.len();
        let there = length.saturating_sub(offset).min(out.len() as u64) as usize;
        file.read_exact_at(&mut out[..there], offset)?;
        for write in &self.writes {
            match write {
                Write::Bytes(at, bytes) => overlay(offset, out, *at, bytes),
                // What lies beyond is zero if the file grows again.
                Write::Length(length) => {
                    let kept = length.saturating_sub(offset).min(out.len() as u64) as usize;
                    out[kept..].fill(0);
                }
                Write::Sync => {}
            }
        }
        Ok(())
    }
}

/// Copies the part of `bytes`, which begin at `at`, that lies within `out`, which begins at `offset`.
fn overlay(offset: u64, out: &mut [u8], at: u64, bytes: &[u8]) {
    let start = offset.max(at);
    let end = (offset + out.len() as u64).min(at + bytes.len() as u64);
    if start < end {
        let length = (end - start) as usize;
        let (to, from) = ((start - offset) as usize, (start - at) as usize);
        out[to..to + length].copy_from_slice(&bytes[from..from + length]);
    }
}

impl StorageBackend for StoreFile {
    fn len(&self) -> Outcome<u64> {
        self.enter()?;
        match &*lock(&self.0.held) {
            Some(held) => Ok(held.length),
            None => Ok(self.0.file.metadata()?.len()),
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Outcome<()> {
        self.enter()?;
        if let Some(held) = &*lock(&self.0.held) {
            return held.read(&self.0.file, offset, out);
        }
        self.0.file.read_exact_at(out, offset)
    }

    fn set_len(&self, length: u64) -> Outcome<()> {
        let hold = |held: &mut Held| {
            held.length = length;
            held.writes.push(Write::Length(length));
        };
        self.write_or(hold, |file| file.set_len(length))
    }

    fn sync_data(&self) -> Outcome<()> {
        self.write_or(|held| held.writes.push(Write::Sync), File::sync_data)
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> Outcome<()> {
        let hold = |held: &mut Held| held.writes.push(Write::Bytes(offset, bytes.to_vec()));
        self.write_or(hold, |file| file.write_all_at(bytes, offset))
    }
}
