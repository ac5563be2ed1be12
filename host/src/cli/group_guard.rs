//! Guards of process groups: small processes of this same program that kill a group of processes if this process ends
//! without doing so, for example because it is killed.
//!
//! The programs that [`job`](super::job) runs are foreign, such as cargo, and know nothing of this process. The guard
//! belongs to the group itself, so the group's number is not given to others as long as the guard lives.

use std::process::{ExitCode, Stdio};

use rustix::process::{Signal, getpgrp, getpid, kill_current_process_group, kill_process};
use tokio::process::{Child, Command};

use super::processes;
use crate::parent;
use crate::runtime::{Compiler, this_program};

/// The hidden command that waits for the end of its parent and then kills its own process group.
pub(super) const COMMAND: &str = "guard-process-group";

/// Runs the hidden command.
pub(super) fn main() -> ExitCode {
    parent::wait_for_end();
    // Programs such as `timeout` put what they run into a group of their own. The leader's number is that of the group.
    let myself = getpid();
    for descendant in processes::descendants(getpgrp()) {
        if descendant != myself {
            let _ = kill_process(descendant, Signal::KILL);
        }
    }
    let _ = kill_current_process_group(Signal::KILL);
    ExitCode::SUCCESS
}

/// A guard of a process group. Dropping it ends the guard and leaves the group alone.
pub(super) struct GroupGuard(
    #[expect(
        dead_code,
        reason = "dropping it kills the guard and then closes its input"
    )]
    Child,
);

impl GroupGuard {
    /// Starts a guard in the process group `group`. Returns `None` if it cannot be started, for example because the
    /// group has just ended; the group is then not guarded.
    pub(super) fn start(group: i32) -> Option<Self> {
        let Compiler::Child(program) = this_program() else {
            return None;
        };
        let child = Command::new(program)
            .arg(COMMAND)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(group)
            .kill_on_drop(true)
            .spawn();
        child.ok().map(Self)
    }
}
