//! The processes of this machine, as the system lists them.

use std::collections::{BTreeMap, HashSet};

use rustix::process::Pid;

/// Returns the processes that a process started, and those that they started, as far as the system tells.
pub(super) fn descendants(process: Pid) -> HashSet<Pid> {
    let children = children();
    let mut found = HashSet::new();
    let mut next = vec![process.as_raw_nonzero().get()];
    while let Some(parent) = next.pop() {
        for child in children.get(&parent).into_iter().flatten() {
            if Pid::from_raw(*child).is_some_and(|child| found.insert(child)) {
                next.push(*child);
            }
        }
    }
    found
}

/// Returns the ids of all processes, keyed by their parents.
fn children() -> BTreeMap<i32, Vec<i32>> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let id = entry.file_name().to_string_lossy().parse().ok();
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok();
        if let Some((id, parent)) = id.zip(stat.and_then(|stat| parent(&stat))) {
            children.entry(parent).or_default().push(id);
        }
    }
    children
}

/// Returns the parent's id from `/proc/PID/stat`: the second field after the name in parentheses.
fn parent(stat: &str) -> Option<i32> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}
