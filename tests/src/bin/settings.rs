//! Writes `docs/settings.md` from the table of all settings. With `--check`, the program compares the file with the
//! table and writes nothing.

use std::process::ExitCode;

use hitchy_tests::settings::{COMMAND, file, is_up_to_date};

#[expect(clippy::print_stderr, reason = "it is a program")]
fn main() -> ExitCode {
    let done = match std::env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [] => {
            std::fs::write(file(), hitchy::config::reference()).map_err(|error| error.to_string())
        }
        [flag] if flag == "--check" && is_up_to_date() => Ok(()),
        [flag] if flag == "--check" => Err(format!(
            "docs/settings.md is not what the settings are: {COMMAND}"
        )),
        _ => {
            eprintln!("usage: settings [--check]");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("{sentence}");
            ExitCode::FAILURE
        }
    }
}
