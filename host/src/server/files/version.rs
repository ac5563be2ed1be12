//! The version of a served file: its entity tag and its date (RFC 9110, 8.8).

use std::time::{Duration, SystemTime};

use axum::http::{HeaderMap, HeaderValue, header};
use httpdate::HttpDate;

use crate::stamp::Stamp;

/// The first second of 1990. Build systems and archives write earlier dates so that their output is always the same.
/// Such a date says nothing about the content.
const EARLIEST: i64 = 631_152_000;

/// What tells the versions of a file apart.
#[derive(Debug)]
pub(super) struct Version {
    /// The strong tag with its quotes; none if nothing reliable is known.
    tag: Option<String>,
    /// The date that clients see, in seconds since 1970; none if the file has no honest date.
    modified: Option<u64>,
    /// The latest second in which the file may have changed.
    changed: u64,
}

impl Version {
    /// Makes the version of a file from its stamp and its tag, at the time `now`.
    pub(super) fn new(tag: Option<String>, stamp: &Stamp, now: SystemTime) -> Self {
        let now = now.duration_since(SystemTime::UNIX_EPOCH);
        let now = now.map_or(0, |now| now.as_secs());
        let changed = u64::try_from(stamp.changed_second()).unwrap_or(0).min(now);
        let claimed = stamp.modified_second();
        let claimed = u64::try_from(claimed).ok().filter(|_| claimed >= EARLIEST);
        // A date in the future must not be sent. The time at which the file came here is the best one known.
        let modified = claimed.map(|claimed| if claimed > now { changed } else { claimed });
        Self {
            tag,
            modified,
            changed: changed.max(modified.unwrap_or(0)),
        }
    }

    /// Returns the tag with its quotes.
    pub(super) fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Returns the date that clients see.
    pub(super) fn modified(&self) -> Option<SystemTime> {
        let seconds = Duration::from_secs(self.modified?);
        Some(SystemTime::UNIX_EPOCH + seconds)
    }

    /// Returns true if the file surely did not change after `date`; none if the file has no date.
    ///
    /// A file that came here after `date` may have replaced another one with the same date.
    pub(super) fn is_unchanged_since(&self, date: SystemTime) -> Option<bool> {
        self.modified?;
        Some(SystemTime::UNIX_EPOCH + Duration::from_secs(self.changed) <= date)
    }

    /// Adds `etag` and `last-modified`.
    pub(super) fn add_to(&self, headers: &mut HeaderMap) {
        let date = self.modified().map(|date| HttpDate::from(date).to_string());
        for (name, value) in [
            (header::ETAG, self.tag.clone()),
            (header::LAST_MODIFIED, date),
        ] {
            if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
                headers.insert(name, value);
            }
        }
    }
}
