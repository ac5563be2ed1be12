//! Processes that end with their parent.
//!
//! The parent gives such a child a pipe as standard input and keeps its end open. The system closes that end when the
//! parent has ended, also if the parent was killed, or had ended before the child began to read. Linux could send a
//! signal instead, but it sends the signal when the thread that started the child ends.

use std::io::{ErrorKind, Read, stdin};
use std::thread;

use rustix::process::{Signal, getpid, kill_process};

/// Waits until standard input ends.
pub fn wait_for_end() {
    let (mut input, mut unused) = (stdin().lock(), [0; 64]);
    loop {
        match input.read(&mut unused) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

/// Kills this process when standard input ends. Returns at once.
///
/// # Errors
/// The thread that waits cannot be started.
pub fn end_with_parent() -> std::io::Result<()> {
    let wait = || {
        wait_for_end();
        // There is nothing to clean up, and an ordinary exit would run handlers beside the threads that work.
        let _ = kill_process(getpid(), Signal::KILL);
    };
    thread::Builder::new()
        .name("parent".to_owned())
        .spawn(wait)
        .map(drop)
}
