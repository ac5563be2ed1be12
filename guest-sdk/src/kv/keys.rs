//! The keys of a bucket, page by page.

use std::{fmt, vec};

use super::error::Error;
use crate::host::kv;

/// An iterator over the keys of a bucket. It ends after the first error.
pub struct Keys {
    /// The name of the bucket, for errors.
    name: String,
    bucket: kv::Bucket,
    prefix: String,
    page: vec::IntoIter<String>,
    next: Next,
}

/// The page that follows.
enum Next {
    First,
    At(String),
    /// There is none.
    End,
}

impl Keys {
    pub(super) fn new(name: String, bucket: kv::Bucket, prefix: &str) -> Self {
        Keys {
            name,
            bucket,
            prefix: prefix.to_owned(),
            page: Vec::new().into_iter(),
            next: Next::First,
        }
    }

    /// Reads the next page. Returns false if there is none.
    fn turn(&mut self) -> Result<bool, Error> {
        let cursor = match std::mem::replace(&mut self.next, Next::End) {
            Next::First => None,
            Next::At(cursor) => Some(cursor),
            Next::End => return Ok(false),
        };
        let page = self.bucket.list_keys(cursor.as_deref());
        let page = page.map_err(|error| Error::of(&self.name, error))?;
        self.page = page.keys.into_iter();
        self.next = page.cursor.map_or(Next::End, Next::At);
        Ok(true)
    }
}

impl Iterator for Keys {
    type Item = Result<String, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            for key in self.page.by_ref() {
                if key.starts_with(&self.prefix) {
                    return Some(Ok(key));
                }
                // Keys are in order, so none that follows this one has the prefix.
                if key.as_bytes() > self.prefix.as_bytes() {
                    self.next = Next::End;
                    self.page = Vec::new().into_iter();
                    return None;
                }
            }
            match self.turn() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({}, {:?})", self.name, self.prefix)
    }
}
