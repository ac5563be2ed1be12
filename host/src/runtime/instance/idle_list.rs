//! A list of things in the order in which they were last used, from which any can be taken by its ticket.
//!
//! Adding and taking need constant time, and no memory once the list has had as many things before.

use std::time::Instant;

/// The place in a node that stands for no other node.
const NONE: u32 = u32::MAX;

/// The right to take one thing out of a list. It takes nothing once the thing has been taken by others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket {
    index: u32,
    generation: u32,
}

/// Things that are not in use, the one used least recently first.
pub(super) struct IdleList<T> {
    nodes: Vec<Node<T>>,
    /// The first free node. Free nodes are linked by `next`.
    free: u32,
    first: u32,
    last: u32,
    length: usize,
}

struct Node<T> {
    /// `None` if the node is free.
    thing: Option<T>,
    /// The time at which the thing was last used.
    since: Instant,
    before: u32,
    next: u32,
    /// The number of things that were in the node before.
    generation: u32,
}

impl<T> IdleList<T> {
    /// Makes an empty list.
    pub(super) fn new() -> Self {
        Self {
            nodes: Vec::new(),
            free: NONE,
            first: NONE,
            last: NONE,
            length: 0,
        }
    }

    /// Returns the number of things.
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// Returns the time at which the first thing was last used.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.nodes.get(self.first as usize).map(|node| node.since)
    }

    /// Adds a thing that was used until `now`. Gives it back if the list is as long as a list can be.
    pub(super) fn push(&mut self, thing: T, now: Instant) -> Result<Ticket, T> {
        let length = self.nodes.len();
        let (index, generation) = if let Some(node) = self.nodes.get_mut(self.free as usize) {
            let index = self.free;
            self.free = node.next;
            node.thing = Some(thing);
            (node.since, node.before, node.next) = (now, self.last, NONE);
            (index, node.generation)
        } else {
            let Some(index) = u32::try_from(length).ok().filter(|index| *index != NONE) else {
                return Err(thing);
            };
            self.nodes.push(Node {
                thing: Some(thing),
                since: now,
                before: self.last,
                next: NONE,
                generation: 0,
            });
            (index, 0)
        };
        match self.nodes.get_mut(self.last as usize) {
            Some(last) => last.next = index,
            None => self.first = index,
        }
        self.last = index;
        self.length += 1;
        Ok(Ticket { index, generation })
    }

    /// Takes the thing of a ticket, if it is still there.
    pub(super) fn take(&mut self, ticket: Ticket) -> Option<T> {
        let node = self.nodes.get(ticket.index as usize)?;
        if node.generation != ticket.generation {
            return None;
        }
        self.remove(ticket.index)
    }

    /// Takes the thing that was used least recently.
    pub(super) fn take_first(&mut self) -> Option<T> {
        self.remove(self.first)
    }

    /// Takes the thing that was used last.
    pub(super) fn take_last(&mut self) -> Option<T> {
        self.remove(self.last)
    }

    /// Takes the thing of a node, and links its neighbours.
    fn remove(&mut self, index: u32) -> Option<T> {
        let node = self.nodes.get_mut(index as usize)?;
        let thing = node.thing.take()?;
        node.generation = node.generation.wrapping_add(1);
        let (before, next) = (node.before, node.next);
        node.next = self.free;
        self.free = index;
        match self.nodes.get_mut(before as usize) {
            Some(node) => node.next = next,
            None => self.first = next,
        }
        match self.nodes.get_mut(next as usize) {
            Some(node) => node.before = before,
            None => self.last = before,
        }
        self.length -= 1;
        Some(thing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(things: impl IntoIterator<Item = u32>) -> (IdleList<u32>, Vec<Ticket>) {
        let mut list = IdleList::new();
        let push = |thing| list.push(thing, Instant::now()).unwrap();
        let tickets = things.into_iter().map(push).collect();
        (list, tickets)
    }

    #[test]
    fn d02_things_leave_from_both_ends_and_from_the_middle() {
        let (mut list, tickets) = list(0..6);
        assert_eq!(list.take(tickets[2]), Some(2));
        assert_eq!(list.take(tickets[2]), None);
        assert_eq!(list.take_first(), Some(0));
        assert_eq!(list.take_last(), Some(5));
        assert_eq!(list.take(tickets[0]), None);
        assert_eq!(list.len(), 3);
        let rest: Vec<_> = std::iter::from_fn(|| list.take_first()).collect();
        assert_eq!(rest, [1, 3, 4]);
        assert_eq!((list.len(), list.oldest()), (0, None));
    }

    #[test]
    fn d02_a_ticket_takes_nothing_that_came_later_to_the_same_place() {
        let (mut list, tickets) = list([1]);
        assert_eq!(list.take_first(), Some(1));
        let newer = list.push(2, Instant::now()).unwrap();
        assert_eq!(list.take(tickets[0]), None);
        assert_eq!(list.take(newer), Some(2));
        assert_eq!(list.nodes.len(), 1, "the place is used again");
    }

    #[test]
    fn d02_the_oldest_is_the_one_used_least_recently() {
        let mut list = IdleList::new();
        let now = Instant::now();
        let later = now + std::time::Duration::from_secs(1);
        list.push('a', now).unwrap();
        list.push('b', later).unwrap();
        assert_eq!(list.oldest(), Some(now));
        list.take_first();
        assert_eq!(list.oldest(), Some(later));
    }
}
