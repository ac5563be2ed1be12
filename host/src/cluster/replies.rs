//! The answer of this node to a question of another, in parts.

use std::sync::Arc;

use super::frame::Origin;
use super::message::Sent;
use super::outbox::Outbox;
use super::question::{Ack, Arguments, Part, Refusal, Reply};
use super::receiver::ClientAnswers;
use crate::payload::Failure;

/// The size at which a part is sent, in bytes.
const PART: usize = 256 << 10;

/// The answer to one question.
pub(super) struct Replies {
    outbox: Arc<Outbox>,
    to: Origin,
    question: u64,
    next: u32,
}

impl Replies {
    /// Begins the answer to the question of this number.
    pub(super) fn new(outbox: Arc<Outbox>, to: Origin, question: u64) -> Self {
        Self {
            outbox,
            to,
            question,
            next: 0,
        }
    }

    /// Says that the clients were asked.
    pub(super) fn begun(&mut self) {
        self.send(Part::Begun);
    }

    /// Says that there is nothing more to say.
    pub(super) fn done(mut self) {
        self.send(Part::Done);
    }

    /// Says why there is no answer.
    pub(super) fn failed(mut self, failure: Failure) {
        self.send(Part::Failed(failure.into()));
    }

    /// Answers with ids.
    pub(super) fn ids(mut self, ids: Vec<String>) {
        for part in parts(ids, String::len) {
            self.send(Part::Ids(part));
        }
        self.done();
    }

    /// Answers with what clients answered.
    pub(super) fn acks(mut self, answers: ClientAnswers) {
        let ack = |(id, answer): (String, Result<_, Failure>)| Ack {
            id,
            answer: answer.map(Arguments::from).map_err(Refusal::from),
        };
        for part in parts(answers.into_iter().map(ack), Ack::size) {
            self.send(Part::Acks(part));
        }
        self.done();
    }

    fn send(&mut self, part: Part) {
        let reply = Reply {
            question: self.question,
            number: self.next,
            part,
        };
        self.next += 1;
        let frame = self.outbox.frame(&Sent::Reply(&reply));
        self.outbox.push_to(self.to, frame);
    }
}

/// Cuts a list where its things have [`PART`] bytes together.
fn parts<T>(all: impl IntoIterator<Item = T>, size: impl Fn(&T) -> usize) -> Vec<Vec<T>> {
    let (mut parts, mut part, mut bytes) = (Vec::new(), Vec::new(), 0);
    for one in all {
        bytes += size(&one);
        part.push(one);
        if bytes >= PART {
            parts.push(std::mem::take(&mut part));
            bytes = 0;
        }
    }
    if !part.is_empty() {
        parts.push(part);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_cut_where_it_is_large() {
        assert!(parts(Vec::<String>::new(), String::len).is_empty());
        let ids = vec!["x".repeat(100 << 10); 7];
        let lengths: Vec<_> = parts(ids, String::len).iter().map(Vec::len).collect();
        assert_eq!(lengths, [3, 3, 1]);
    }
}
