//! The files that hold the output of this process: a file to which standard output or standard error is redirected, and
//! files that programs such as `tee` write from the other end of a pipe. Their changes are no saves. Otherwise each
//! build would write a line, and each line would start a build.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

/// The device and the inode of a file.
type Id = (u64, u64);

/// The most programs in a row that pass the output on, as in `hitchy dev | grep … | tee …`.
const MAX_PIPES: usize = 8;

/// The number of printed lines that are looked for in files.
const MAX_LINES: usize = 32;
/// The part at the end of a file in which printed lines are looked for, in bytes.
const TAIL: u64 = 64 << 10;

/// The files that hold the output of this process.
#[derive(Default)]
pub(in crate::cli) struct OwnOutput {
    /// Files that are standard output or standard error.
    redirected: BTreeSet<Id>,
    /// Inodes of the pipes that are standard output or standard error.
    pipes: BTreeSet<u64>,
    /// Files that were seen to hold the output. A log that is rotated stays one under its next name.
    known: BTreeMap<PathBuf, Id>,
    /// Paths at which the redirected output was seen, because a new file may be put there.
    places: BTreeSet<PathBuf>,
    /// The last lines that were printed. A file that ends with one is a log, however it was written.
    lines: VecDeque<String>,
}

impl OwnOutput {
    /// Looks at standard output and standard error, which stay what they are while the process runs.
    pub(in crate::cli) fn of_this_process() -> Self {
        let (stdout, stderr) = (std::io::stdout(), std::io::stderr());
        let mut own = Self::default();
        for stream in [stdout.as_fd(), stderr.as_fd()] {
            let Ok(stat) = rustix::fs::fstat(stream) else {
                continue;
            };
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => drop(own.redirected.insert((stat.st_dev, stat.st_ino))),
                FileType::Fifo => drop(own.pipes.insert(stat.st_ino)),
                _ => {}
            }
        }
        own
    }

    /// Adds a line to those by which a log is recognised.
    pub(in crate::cli) fn printed(&mut self, line: String) {
        self.lines.truncate(MAX_LINES - 1);
        self.lines.push_front(line);
    }

    /// Removes the files that hold the output of this process from `changed`.
    pub(in crate::cli) fn remove_from(&mut self, changed: &mut BTreeSet<PathBuf>) {
        if changed.is_empty() {
            return;
        }
        let passed_on = readers::files(&self.pipes);
        let ids: BTreeSet<Id> = self.known.values().copied().chain(passed_on).collect();
        for path in changed.iter() {
            let Some(id) = id(path) else { continue };
            let is_redirected = self.redirected.contains(&id);
            if is_redirected || self.repeats_a_line(path) {
                self.places.insert(path.clone());
            }
            if is_redirected || ids.contains(&id) {
                self.known.insert(path.clone(), id);
            }
        }
        changed.retain(|path| !self.is_own(path));
        self.known.retain(|path, was| id(path) == Some(*was));
    }

    /// Returns true if the end of a file repeats a line that was printed.
    fn repeats_a_line(&self, path: &Path) -> bool {
        let tail = tail(path).unwrap_or_default();
        let tail = String::from_utf8_lossy(&tail);
        self.lines.iter().any(|line| tail.contains(line.as_str()))
    }

    fn is_own(&self, path: &Path) -> bool {
        let logs = || self.known.keys().chain(&self.places);
        logs().any(|log| log == path || is_rotated(path, log))
    }
}

/// Returns true if programs that rotate the file `log` make files such as `path`, for example `dev.log.1.gz`.
fn is_rotated(path: &Path, log: &Path) -> bool {
    let name = |path: &Path| {
        path.file_name()
            .map(|name| name.to_string_lossy().into_owned())
    };
    let (Some(name), Some(log_name)) = (name(path), name(log)) else {
        return false;
    };
    let rest = name.strip_prefix(&log_name).unwrap_or_default();
    let number = rest.strip_prefix(['.', '-']).unwrap_or_default();
    path.parent() == log.parent() && number.starts_with(|first: char| first.is_ascii_digit())
}

/// Returns the end of a regular file.
fn tail(path: &Path) -> std::io::Result<Vec<u8>> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Ok(Vec::new());
    }
    let size = metadata.len();
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(size.saturating_sub(TAIL)))?;
    let mut tail = Vec::new();
    file.take(TAIL).read_to_end(&mut tail)?;
    Ok(tail)
}

fn id(path: &Path) -> Option<Id> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// The programs that read a pipe, as far as the system tells.
#[cfg(target_os = "linux")]
mod readers {
    use super::{BTreeSet, Id, MAX_PIPES, MetadataExt, PathBuf, fs};

    /// An open file of another process.
    struct Open {
        path: PathBuf,
        writes: bool,
    }

    /// Returns the regular files into which the readers of these pipes write.
    pub(super) fn files(pipes: &BTreeSet<u64>) -> BTreeSet<Id> {
        let (mut files, mut seen) = (BTreeSet::new(), BTreeSet::new());
        let mut next = pipes.clone();
        for _ in 0..MAX_PIPES {
            if next.is_empty() {
                break;
            }
            seen.extend(next.iter().copied());
            let mut further = BTreeSet::new();
            for open in processes().map(open_files) {
                let reads = |open: &Open| {
                    !open.writes && pipe(open).is_some_and(|pipe| next.contains(&pipe))
                };
                if open.iter().any(reads) {
                    let written = || open.iter().filter(|open| open.writes);
                    further.extend(written().filter_map(pipe));
                    files.extend(written().filter_map(regular));
                }
            }
            next = further.difference(&seen).copied().collect();
        }
        files
    }

    /// Returns the folders of all other processes in `/proc`.
    fn processes() -> impl Iterator<Item = PathBuf> {
        let own = std::process::id().to_string();
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        entries
            .filter(move |entry| {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                name != *own && name.bytes().all(|byte| byte.is_ascii_digit())
            })
            .map(|entry| entry.path())
    }

    /// Returns the open files of a process, or none if it belongs to somebody else.
    fn open_files(process: PathBuf) -> Vec<Open> {
        let entries = fs::read_dir(process.join("fd"))
            .into_iter()
            .flatten()
            .flatten();
        let open = |entry: fs::DirEntry| {
            let info = fs::read_to_string(process.join("fdinfo").join(entry.file_name())).ok()?;
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:"))?;
            // The two lowest bits are the way in which the file was opened: 0 to read, 1 to write, 2 for both.
            let writes = u32::from_str_radix(flags.trim(), 8).ok()? & 3 != 0;
            let path = entry.path();
            Some(Open { path, writes })
        };
        entries.filter_map(open).collect()
    }

    /// Returns the inode of an open pipe.
    fn pipe(open: &Open) -> Option<u64> {
        let target = fs::read_link(&open.path).ok()?;
        let inode = target.to_str()?.strip_prefix("pipe:[")?.strip_suffix(']')?;
        inode.parse().ok()
    }

    /// Returns device and inode of an open regular file.
    fn regular(open: &Open) -> Option<Id> {
        let metadata = fs::metadata(&open.path).ok()?;
        metadata.is_file().then(|| (metadata.dev(), metadata.ino()))
    }
}

/// The programs that read a pipe, which this system does not tell.
#[cfg(not(target_os = "linux"))]
mod readers {
    use super::{BTreeSet, Id};

    pub(super) fn files(_: &BTreeSet<u64>) -> BTreeSet<Id> {
        BTreeSet::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(folder: &Path, names: &[&str]) -> BTreeSet<PathBuf> {
        names.iter().map(|name| folder.join(name)).collect()
    }

    fn remaining(own: &mut OwnOutput, folder: &Path, names: &[&str]) -> BTreeSet<PathBuf> {
        let mut left = changed(folder, names);
        own.remove_from(&mut left);
        left
    }

    #[test]
    fn i11_4_a_log_stays_one_while_it_is_rotated() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["dev.log", "app.js", "dev.logic.js", "dev.log-notes.md"] {
            fs::write(at(name), "").unwrap();
        }
        let mut own = OwnOutput {
            redirected: [id(&at("dev.log")).unwrap()].into(),
            ..OwnOutput::default()
        };
        let all = ["app.js", "dev.log", "dev.log-notes.md", "dev.logic.js"];
        let sources = ["app.js", "dev.log-notes.md", "dev.logic.js"];
        let left = remaining(&mut own, folder.path(), &all);
        assert_eq!(left, changed(folder.path(), &sources));

        // By a rename, with a new file in its place.
        fs::rename(at("dev.log"), at("old.log")).unwrap();
        fs::write(at("dev.log"), "").unwrap();
        let left = remaining(&mut own, folder.path(), &["dev.log", "old.log"]);
        assert_eq!(left, BTreeSet::new());
        // By a copy, and packed.
        for name in ["dev.log.1", "dev.log-20260101", "dev.log.2.gz"] {
            fs::write(at(name), "").unwrap();
            assert_eq!(remaining(&mut own, folder.path(), &[name]), BTreeSet::new());
        }
        fs::remove_file(at("dev.log")).unwrap();
        assert_eq!(
            remaining(&mut own, folder.path(), &["dev.log"]),
            BTreeSet::new()
        );
    }

    #[test]
    fn i11_4_a_file_that_repeats_what_was_printed_is_a_log() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(
            folder.path().join("typescript"),
            "built a.wasm in 0.1 s (1 KiB)\r\n",
        )
        .unwrap();
        fs::write(folder.path().join("app.js"), "built a.wasm").unwrap();
        let mut own = OwnOutput::default();
        own.printed("built a.wasm in 0.1 s (1 KiB)".to_owned());
        let left = remaining(&mut own, folder.path(), &["app.js", "typescript"]);
        assert_eq!(left, changed(folder.path(), &["app.js"]));
        // It stays one when more is written than this process printed.
        fs::write(folder.path().join("typescript"), "an error of the compiler").unwrap();
        assert_eq!(
            remaining(&mut own, folder.path(), &["typescript"]),
            BTreeSet::new()
        );
    }
}
