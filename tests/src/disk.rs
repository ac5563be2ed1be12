//! A disk that a test can fill.

use std::path::Path;

/// A small disk in memory, for as long as the value lives.
pub struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// Mounts a disk, if this process may.
    ///
    /// # Panics
    /// Panics if there is no temporary folder.
    pub fn mount(options: &str) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(folder.path())
            .output();
        mounted
            .is_ok_and(|output| output.status.success())
            .then_some(Self(folder))
    }

    /// Mounts the disk again, with other options.
    ///
    /// # Panics
    /// Panics if that fails.
    pub fn remount(&self, options: &str) {
        let status = std::process::Command::new("mount")
            .args(["-o", &format!("remount,{options}")])
            .arg(self.0.path())
            .status();
        assert!(status.expect("mount starts").success(), "{options}");
    }

    /// Returns the folder at which the disk is mounted.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount")
            .arg("-l")
            .arg(self.0.path())
            .output();
    }
}
