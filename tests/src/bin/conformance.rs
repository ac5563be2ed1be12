//! Writes `docs/conformance.md` from the records of the last test run. With `--check`, the program compares the file
//! with those records and writes nothing.

use std::process::ExitCode;

use hitchy_tests::conformance::{Table, file};

#[expect(clippy::print_stderr, reason = "it is a program")]
fn main() -> ExitCode {
    let check = match std::env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [] => false,
        [flag] if flag == "--check" => true,
        _ => {
            eprintln!("usage: conformance [--check]");
            return ExitCode::from(2);
        }
    };
    match run(check) {
        Ok(complaints) if complaints.is_empty() => ExitCode::SUCCESS,
        Ok(complaints) => {
            complaints.iter().for_each(|it| eprintln!("{it}"));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(check: bool) -> anyhow::Result<Vec<String>> {
    let table = Table::read()?;
    let (mut complaints, rendered) = (table.complaints(), table.render());
    if !check {
        std::fs::create_dir_all(file().parent().unwrap_or(&file()))?;
        std::fs::write(file(), rendered)?;
    } else if std::fs::read_to_string(file()).ok().as_ref() != Some(&rendered) {
        let sentence = "docs/conformance.md is not what this run of the tests gives: write it anew with the program conformance";
        complaints.push(sentence.to_owned());
    }
    Ok(complaints)
}
