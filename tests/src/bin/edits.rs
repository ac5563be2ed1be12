//! Saves 100 sources of every kind under `hitchy dev`, whose log lies in the project, and prints what was built. Every
//! save must be built once, and nothing must be built in the minute after the last.

use std::process::ExitCode;
use std::time::Duration;

use hitchy_tests::edits::edit;

#[expect(clippy::print_stdout, reason = "it is a program")]
#[tokio::main]
async fn main() -> ExitCode {
    let seen = edit(100, Duration::from_secs(60)).await;
    println!("{seen:?}");
    let is_right = seen.builds == seen.edits && seen.unchanged == 0 && seen.idle == 0;
    ExitCode::from(u8::from(!is_right))
}
