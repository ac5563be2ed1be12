//! Commands of `[dev]`, which a shell runs, and what they leave behind.

use std::fs;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::cargo;

/// A file or folder that a command may have begun to write. It is removed on drop unless the path was taken out after
/// the command succeeded.
pub(super) struct RemoveOnDrop(pub(super) Option<PathBuf>);

impl Drop for RemoveOnDrop {
    fn drop(&mut self) {
        let Some(path) = &self.0 else { return };
        // A killed command may still write a last file. Under the hidden name that file is not taken for a result.
        let hidden = hidden_name(path);
        remove(&hidden);
        if fs::rename(path, &hidden).is_ok() {
            remove(&hidden);
        } else {
            remove(path);
        }
    }
}

/// Returns the hidden name in the same folder under which an incomplete result is removed.
fn hidden_name(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.half"))
}

/// Removes a folder or a file, if there is one. It tries three times, because a program that is being killed may still
/// write into a folder while it is removed.
pub(super) fn remove(path: &Path) {
    for _ in 0..3 {
        let removed = fs::remove_dir_all(path).or_else(|_| fs::remove_file(path));
        if removed.is_ok() || path.symlink_metadata().is_err() {
            return;
        }
    }
}

/// Returns `sh -c command`, to be run in `folder`. The command finds this program in the variable `HITCHY`.
pub(super) fn shell(command: &str, folder: &Path) -> Command {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(command).current_dir(folder);
    if let Ok(program) = std::env::current_exe() {
        shell.env("HITCHY", program);
    }
    cargo::remove_cargo_run(&mut shell);
    shell
}
