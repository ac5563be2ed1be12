//! The time of day.

use std::time::{SystemTime, UNIX_EPOCH};

/// Returns the time in milliseconds since 1970, as `Date.now()` of JavaScript does.
///
/// ```
/// let birth_of_rust = 1_431_648_000_000;
/// assert!(hitchy_guest::now_ms() > birth_of_rust);
/// ```
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}
