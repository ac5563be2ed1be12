//! Processes of this machine, read from `/proc`.

use std::fs;
use std::time::Duration;

/// Returns the ids of the processes that the process `parent` has started and that still run.
pub fn children(parent: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("the system has /proc");
    let ids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    ids.filter(|id| stat(*id).is_some_and(|(state, of)| of == parent && is_alive(state)))
        .collect()
}

/// Returns true if the process runs. A process that has ended and was not waited for does not run.
pub fn is_running(id: u32) -> bool {
    stat(id).is_some_and(|(state, _)| is_alive(state))
}

/// Returns the processor time that a process has used, or zero if it has ended.
///
/// The unit of the system is a hundredth of a second.
pub fn processor_time(id: u32) -> Duration {
    let ticks = fields(id).map_or(0, |fields| {
        let number = |place: usize| {
            fields
                .get(place)
                .and_then(|field| field.parse::<u64>().ok())
        };
        number(11).unwrap_or(0) + number(12).unwrap_or(0)
    });
    Duration::from_millis(10 * ticks)
}

/// Returns true if the process has ever waited for the end of a process that it started.
///
/// # Panics
/// Panics if the process has ended.
pub fn has_had_children(id: u32) -> bool {
    // The page faults of children that were waited for. No program runs without one.
    let faults = fields(id).and_then(|fields| fields.get(8)?.parse::<u64>().ok());
    faults.expect("the process runs") > 0
}

/// Returns the niceness of a process, or `None` if the process has ended.
pub fn niceness(id: u32) -> Option<i32> {
    fields(id)?.get(16)?.parse().ok()
}

/// Returns the arguments of a process, separated by spaces. The text is empty if the process has ended.
pub fn command_line(id: u32) -> String {
    let arguments = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    let arguments = arguments.split(|byte| *byte == 0);
    let arguments: Vec<_> = arguments.map(String::from_utf8_lossy).collect();
    arguments.join(" ")
}

/// Returns the state of a process and the id of its parent.
fn stat(id: u32) -> Option<(char, u32)> {
    let fields = fields(id)?;
    let state = fields.first()?.chars().next()?;
    Some((state, fields.get(1)?.parse().ok()?))
}

/// Returns the fields of `/proc/ID/stat` that follow the name of the program: the state is the first of them.
fn fields(id: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name stands in parentheses and may contain spaces and parentheses.
    let (_, rest) = text.rsplit_once(") ")?;
    Some(rest.split(' ').map(str::to_owned).collect())
}

/// Returns false for the states of a process that has ended: `Z` and `X`.
fn is_alive(state: char) -> bool {
    !matches!(state, 'Z' | 'X')
}
