//! Figures of the operating system about this process. Each is none where the system does not provide it.

use std::fs;

/// Returns the resident memory, in bytes.
pub(super) fn resident_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// Returns the number of open file descriptors.
pub(super) fn open_descriptors() -> Option<u64> {
    let entries = fs::read_dir("/proc/self/fd").ok()?;
    // One of them is the descriptor that reads this folder.
    Some((entries.count() as u64).saturating_sub(1))
}

/// Returns the largest number of file descriptors that may be open (`ulimit -n`).
pub(super) fn most_descriptors() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}
