//! The files in which the compiler and cargo list what they read, in the form of a makefile: one line for each file
//! that is made, with the files that it is made of. A space in a name follows a backslash.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Returns the paths that a file lists, or none if it cannot be read.
pub(in crate::cli) fn read(file: &Path) -> Option<Vec<PathBuf>> {
    Some(parse(&fs::read(file).ok()?))
}

/// Returns the paths that each file of a folder lists which was written since `began`.
pub(in crate::cli) fn read_since(folder: &Path, began: SystemTime) -> Vec<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let is_new = |entry: &fs::DirEntry| {
        let written = entry.metadata().and_then(|metadata| metadata.modified());
        written.is_ok_and(|written| written >= began)
    };
    entries
        .filter(|entry| {
            entry
                .path()
                .extension()
                .is_some_and(|extension| extension == "d")
        })
        .filter(is_new)
        .filter_map(|entry| read(&entry.path()))
        .collect()
}

fn parse(text: &[u8]) -> Vec<PathBuf> {
    text.split(|byte| *byte == b'\n')
        .filter(|line| !line.starts_with(b"#"))
        .flat_map(|line| {
            words(line)
                .into_iter()
                .skip_while(|word| !word.ends_with(b":"))
                .skip(1)
        })
        .map(|word| PathBuf::from(OsString::from_vec(word)))
        .collect()
}

/// Splits a line at spaces that do not follow a backslash.
fn words(line: &[u8]) -> Vec<Vec<u8>> {
    let (mut words, mut word) = (Vec::new(), Vec::new());
    for &byte in line {
        match byte {
            b' ' if word.last() == Some(&b'\\') => {
                word.pop();
                word.push(b' ');
            }
            b' ' => words.push(std::mem::take(&mut word)),
            byte => word.push(byte),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i11_2_names_with_spaces_colons_and_other_bytes_are_read() {
        let text = b"/t/my\\ pkg/x.wasm: /p/a.rs /p/my\\ pkg/src/../te\\ xt.txt /p/a: /p/b\\c\xff.rs\n\n/p/a.rs:\n# env-dep:X=1 2\n";
        let paths = parse(text);
        let last = PathBuf::from(OsString::from_vec(b"/p/b\\c\xff.rs".to_vec()));
        let all = ["/p/a.rs", "/p/my pkg/src/../te xt.txt", "/p/a:"].map(PathBuf::from);
        assert_eq!(paths[..3], all);
        assert_eq!(paths[3..], [last]);
    }
}
