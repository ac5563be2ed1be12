//! Stands for the import `log`: a test shows what was logged when it fails.

use super::world;

#[derive(Debug)]
pub(crate) enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

#[expect(
    clippy::print_stderr,
    reason = "cargo test captures it and shows it with what failed"
)]
pub(crate) fn write(level: Level, message: &str) {
    eprintln!("{level:?}: {message}");
    world::with(|world| world.logged.push(message.to_owned()));
}
