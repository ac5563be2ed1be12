//! The other nodes: which there are, and what was heard of each last.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::frame::{Origin, Refused};
use crate::lock::lock;

/// The time between two signs of life.
pub(super) const BEAT: Duration = Duration::from_secs(1);
/// The time without a sign of life after which a node does not count any more.
const PRESENT: Duration = Duration::from_secs(5);
/// The time for which the last number of a silent node is remembered, so that nothing of it is taken twice.
const REMEMBERED: Duration = Duration::from_secs(600);
/// The largest number of nodes that are remembered.
const MAX_MEMBERS: usize = 1024;

/// The other nodes.
#[derive(Default)]
pub(super) struct Members(Mutex<HashMap<Origin, Member>>);

struct Member {
    /// The name for people; empty before the first sign of life.
    name: String,
    /// The largest number of its frames so far.
    number: u64,
    heard: Instant,
    has_left: bool,
}

impl Members {
    /// Takes note of a frame. Returns how many frames before it were lost.
    ///
    /// # Errors
    /// It came before, or a later one did.
    pub(super) fn take(&self, origin: Origin, number: u64, now: Instant) -> Result<u64, Refused> {
        let mut members = lock(&self.0);
        if let Some(member) = members.get_mut(&origin) {
            if number <= member.number {
                return Err(Refused::Repeated);
            }
            let lost = number - member.number - 1;
            member.number = number;
            member.heard = now;
            return Ok(lost);
        }
        if members.len() >= MAX_MEMBERS {
            members.retain(|_, member| now.duration_since(member.heard) < REMEMBERED);
        }
        if members.len() >= MAX_MEMBERS {
            let oldest = members.iter().min_by_key(|(_, member)| member.heard);
            if let Some(oldest) = oldest.map(|(origin, _)| *origin) {
                members.remove(&oldest);
            }
        }
        let member = Member {
            name: String::new(),
            number,
            heard: now,
            has_left: false,
        };
        members.insert(origin, member);
        Ok(0)
    }

    /// Notes the name of a node that gave a sign of life. Returns true if it was not there before.
    pub(super) fn note_name(&self, origin: Origin, name: &str) -> bool {
        let mut members = lock(&self.0);
        let Some(member) = members.get_mut(&origin) else {
            return false;
        };
        let is_new = member.name != name;
        member.name.clear();
        member.name.push_str(name);
        is_new
    }

    /// Notes that a node has ended. Returns its name.
    pub(super) fn leave(&self, origin: Origin) -> Option<String> {
        let mut members = lock(&self.0);
        let member = members.get_mut(&origin)?;
        member.has_left = true;
        Some(member.name.clone())
    }

    /// Returns the nodes that are there, in the order of their names.
    pub(super) fn present(&self, now: Instant) -> Vec<(Origin, String)> {
        let members = lock(&self.0);
        let is_there = |member: &Member| {
            !member.has_left
                && !member.name.is_empty()
                && now.duration_since(member.heard) < PRESENT
        };
        let there = members.iter().filter(|(_, member)| is_there(member));
        let mut there: Vec<_> = there
            .map(|(origin, member)| (*origin, member.name.clone()))
            .collect();
        there.sort_unstable_by(|(_, one), (_, other)| one.cmp(other));
        there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(number: u16) -> Origin {
        let mut bytes = [0; 12];
        bytes[..2].copy_from_slice(&number.to_be_bytes());
        Origin(bytes)
    }

    #[test]
    fn r14_nothing_is_taken_twice_and_gaps_are_counted() {
        let (members, now) = (Members::default(), Instant::now());
        let take = |number| members.take(origin(1), number, now);
        assert_eq!(take(70), Ok(0), "the first that is heard of it");
        assert_eq!(take(71), Ok(0));
        assert_eq!(take(71), Err(Refused::Repeated));
        assert_eq!(take(75), Ok(3));
        for former in [0, 70, 72, 74, 75] {
            assert_eq!(take(former), Err(Refused::Repeated));
        }
        assert_eq!(take(u64::MAX), Ok(u64::MAX - 76));
        assert_eq!(take(u64::MAX), Err(Refused::Repeated));
        assert_eq!(members.take(origin(2), 1, now), Ok(0), "each has its own");
    }

    #[test]
    fn a_node_is_there_until_it_is_silent_or_leaves() {
        let (members, now) = (Members::default(), Instant::now());
        let present = |now| -> Vec<String> {
            let present = members.present(now).into_iter();
            present.map(|(_, name)| name).collect()
        };
        for number in [1, 2] {
            assert_eq!(members.take(origin(number), 1, now), Ok(0));
        }
        assert!(present(now).is_empty(), "they have no names yet");
        assert!(members.note_name(origin(2), "b") && members.note_name(origin(1), "a"));
        assert!(!members.note_name(origin(1), "a"));
        assert_eq!(present(now), ["a", "b"]);
        assert_eq!(members.leave(origin(1)).as_deref(), Some("a"));
        assert_eq!(present(now), ["b"]);
        assert!(present(now + PRESENT).is_empty());
        assert_eq!(members.take(origin(2), 2, now + PRESENT), Ok(0));
        assert_eq!(present(now + PRESENT), ["b"]);
    }

    #[test]
    fn r15_as_many_nodes_are_remembered_as_there_may_be() {
        let (members, now) = (Members::default(), Instant::now());
        for number in 0..3000 {
            let heard = now + Duration::from_millis(number.into());
            assert_eq!(members.take(origin(number), 7, heard), Ok(0));
        }
        assert_eq!(lock(&members.0).len(), MAX_MEMBERS);
        let repeated = members.take(origin(2999), 7, now);
        assert_eq!(repeated, Err(Refused::Repeated), "the newest are known");
    }
}
