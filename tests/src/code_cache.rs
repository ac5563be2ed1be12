//! The cache of compiled code of a server, which tests have in a folder of their own.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Server;
use crate::server::Plan;
use crate::wait::{SOON, until};

/// Returns the entries of a cache.
pub fn entries(dir: &Path) -> Vec<PathBuf> {
    files(dir, ".code")
}

/// Returns the files of a cache whose names end in this way.
pub fn files(dir: &Path, end: &str) -> Vec<PathBuf> {
    let Ok(listed) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let paths = listed.map(|entry| entry.expect("a readable entry").path());
    let is_one = |path: &PathBuf| path.to_string_lossy().ends_with(end);
    paths.filter(is_one).collect()
}

/// Waits until a cache has as many entries.
pub async fn has_entries(dir: &Path, count: usize) {
    let what = format!("the cache has {count} entries");
    until(&what, SOON, async || entries(dir).len() == count).await;
}

/// Plans a server whose cache is this folder.
pub fn with_cache(dir: &Path) -> Plan {
    Server::prepare().env("HITCHY_CACHE__DIR", dir.to_str().expect("UTF-8"))
}
