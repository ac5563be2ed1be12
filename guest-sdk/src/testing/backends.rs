//! The configuration and the buckets of the handler under test.

use std::fmt::Display;

pub use crate::double::kv::Access;
use crate::double::{kv, state};
use crate::kv::Bucket;

/// Sets a value of the configuration, or a secret. Call it after [`App::new`](super::App::new), which clears all of them.
///
/// ```
/// use hitchy_guest::{config, testing};
///
/// testing::set_config("retries", 3);
/// assert_eq!(config::get("retries"), Ok(Some(3)));
/// ```
pub fn set_config(key: &str, value: impl Display) {
    let value = value.to_string();
    state::with(|state| state.config.insert(key.to_owned(), value));
}

/// Grants a bucket to the handler, as the operator does with `buckets = { NAME = "read-write" }`.
pub fn grant_bucket(name: &str, access: Access) {
    state::with(|state| state.store.grants.insert(name.to_owned(), access));
}

/// Opens a bucket as the test, which may read and write every bucket. The handler's own bucket is `default`.
///
/// ```
/// use hitchy_guest::testing::{self, Access};
/// use hitchy_guest::kv;
///
/// testing::grant_bucket("prices", Access::Read);
/// testing::bucket("prices").set("tea", &3).unwrap();
///
/// let prices = kv::bucket("prices").unwrap();
/// assert_eq!(prices.get("tea"), Ok(Some(3)));
/// assert!(prices.set("tea", &4).is_err());
/// ```
pub fn bucket(name: &str) -> Bucket {
    Bucket::new(name, kv::Bucket::new(name, Access::ReadWrite))
}
