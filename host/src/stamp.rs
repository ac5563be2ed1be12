//! The stamp of a file: what the file system says of its current state, without a look at its content.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

/// Longest time within which two changes of a file may have the same time of change. Clocks of file systems advance
/// every 10 ms at the slowest.
const RESOLUTION: Duration = Duration::from_millis(100);

/// The properties that tell two states of a file apart without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// Returns the stamp of a file from its metadata.
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Returns the size of the file in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns the time of the last modification that the file claims, in seconds since 1970. Anybody may set it.
    pub fn modified_second(&self) -> i64 {
        self.modified.0
    }

    /// Returns the time at which the file was put here or changed, in seconds since 1970. Only the system sets it.
    pub fn changed_second(&self) -> i64 {
        self.changed.0
    }

    /// Returns how long nothing has been written. A clock that was set back counts as a long time.
    pub fn quiet_for(&self) -> Duration {
        let quiet = SystemTime::now().duration_since(time(self.modified));
        quiet.unwrap_or(Duration::MAX)
    }

    /// Returns true if a later change could leave the stamp as it is, because the clock of the file system may not have
    /// advanced since this one.
    pub fn is_young(&self) -> bool {
        let age = SystemTime::now().duration_since(time(self.changed));
        age.map_or(true, |age| age < RESOLUTION)
    }

    /// Returns the stamp as text, in which no two stamps are equal.
    pub fn text(&self) -> String {
        let (modified, changed) = (self.modified, self.changed);
        format!(
            "{:x}.{:x}.{:x}.{:x}.{:x}.{:x}.{:x}",
            self.device, self.inode, self.size, modified.0, modified.1, changed.0, changed.1
        )
    }
}

/// Returns a time of the file system. Times before 1970 become 1970.
fn time((seconds, nanos): (i64, i64)) -> SystemTime {
    let since = Duration::new(
        u64::try_from(seconds).unwrap_or(0),
        u32::try_from(nanos).unwrap_or(0),
    );
    SystemTime::UNIX_EPOCH + since
}
