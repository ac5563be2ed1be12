//! The keys of a bucket, page by page.

use std::vec;

use super::bucket::Bucket;
use super::error::Error;

/// An iterator over the keys of a bucket. It ends after the first error.
#[derive(Debug)]
pub struct Keys {
    bucket: Bucket,
    prefix: String,
    page: vec::IntoIter<String>,
    next: Next,
}

/// The page that follows.
#[derive(Debug)]
enum Next {
    First,
    At(String),
    /// There is none.
    End,
}

impl Keys {
    pub(super) fn new(bucket: Bucket, prefix: &str) -> Self {
        Keys {
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
        let (keys, cursor) = self.bucket.page(cursor.as_deref())?;
        self.page = keys.into_iter();
        self.next = cursor.map_or(Next::End, Next::At);
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
