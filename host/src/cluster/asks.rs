//! Questions to other nodes, from their beginning until all have answered or are known to be silent.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, timeout_at};

use super::frame::Origin;
use super::question::{Part, Reply};
use crate::lock::lock;

/// The time within which the answer of a node has to begin.
pub(super) const ANSWER_TIME: Duration = Duration::from_secs(2);
/// The most questions that are under way.
const MAX_QUESTIONS: usize = 256;
/// The most bytes of all answers to one question.
const MAX_ANSWERS: usize = 16 << 20;

/// The questions that are under way.
#[derive(Default)]
pub(super) struct Asks(Mutex<HashMap<u64, Pending>>);

struct Pending {
    parts: UnboundedSender<(Origin, Reply)>,
    /// Bytes of the parts that came.
    bytes: usize,
}

/// One question. It is forgotten when this is dropped.
pub(super) struct Asking<'a> {
    asks: &'a Asks,
    pub(super) number: u64,
    parts: UnboundedReceiver<(Origin, Reply)>,
}

/// What became of a question.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Answers {
    /// The parts that are not about the course of the answers.
    pub(super) parts: Vec<Part>,
    /// The names of the nodes whose answers did not come, or not whole.
    pub(super) silent: Vec<String>,
    /// How many nodes answered.
    pub(super) answered: usize,
}

/// How far the answer of one node has come.
struct Course {
    name: String,
    next: u32,
    has_ended: bool,
}

impl Asks {
    /// Begins a question. Returns `None` if too many are under way.
    pub(super) fn begin(&self) -> Option<Asking<'_>> {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).ok()?;
        let number = u64::from_ne_bytes(bytes);
        let (sender, parts) = unbounded_channel();
        let mut pending = lock(&self.0);
        if pending.len() >= MAX_QUESTIONS || pending.contains_key(&number) {
            return None;
        }
        let none = Pending {
            parts: sender,
            bytes: 0,
        };
        pending.insert(number, none);
        Some(Asking {
            asks: self,
            number,
            parts,
        })
    }

    /// Takes a part of an answer, which has `size` bytes. What nobody waits for, or what is too much, is dropped: then a
    /// part is missing, and its node counts as silent.
    pub(super) fn take(&self, from: Origin, reply: Reply, size: usize) {
        let mut pending = lock(&self.0);
        if let Some(asked) = pending.get_mut(&reply.question)
            && asked.bytes + size <= MAX_ANSWERS
        {
            asked.bytes += size;
            // Fails if nobody waits any more.
            let _ = asked.parts.send((from, reply));
        }
    }
}

impl Asking<'_> {
    /// Collects the answers of these nodes. An answer has to begin within `time`, and to end within `time` after
    /// `patience`.
    pub(super) async fn collect(
        mut self,
        asked: Vec<(Origin, String)>,
        time: Duration,
        patience: Duration,
    ) -> Answers {
        let begun = Instant::now();
        let course = |(origin, name)| {
            let course = Course {
                name,
                next: 0,
                has_ended: false,
            };
            (origin, course)
        };
        let mut courses: HashMap<Origin, Course> = asked.into_iter().map(course).collect();
        let mut answers = Answers::default();
        while courses.values().any(|course| !course.has_ended) {
            let is_silent = |course: &Course| !course.has_ended && course.next == 0;
            let first = begun + time;
            let deadline = if courses.values().any(is_silent) {
                first
            } else {
                first + patience
            };
            match timeout_at(deadline, self.parts.recv()).await {
                Ok(Some((from, reply))) => {
                    if let Some(course) = courses.get_mut(&from) {
                        course.take(reply, &mut answers);
                    }
                }
                // The sender is kept with the question, so that the channel does not end.
                Ok(None) | Err(_) => {
                    let is_late = Instant::now() >= first + patience;
                    for course in courses.values_mut() {
                        if !course.has_ended && (course.next == 0 || is_late) {
                            course.give_up(&mut answers);
                        }
                    }
                }
            }
        }
        answers.silent.sort_unstable();
        answers
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        lock(&self.asks.0).remove(&self.number);
    }
}

impl Course {
    fn take(&mut self, reply: Reply, answers: &mut Answers) {
        if self.has_ended {
            return;
        }
        if reply.number != self.next {
            self.give_up(answers);
            return;
        }
        self.next += 1;
        match reply.part {
            Part::Begun => {}
            Part::Ids(_) | Part::Acks(_) => answers.parts.push(reply.part),
            Part::Done => {
                self.has_ended = true;
                answers.answered += 1;
            }
            Part::Failed(_) => {
                self.has_ended = true;
                answers.answered += 1;
                answers.parts.push(reply.part);
            }
        }
    }

    fn give_up(&mut self, answers: &mut Answers) {
        self.has_ended = true;
        answers.silent.push(std::mem::take(&mut self.name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(50);
    const A: Origin = Origin([1; 12]);
    const B: Origin = Origin([2; 12]);

    fn asked() -> Vec<(Origin, String)> {
        vec![(A, "a".to_owned()), (B, "b".to_owned())]
    }

    fn ids(id: &str) -> Part {
        Part::Ids(vec![id.to_owned()])
    }

    /// Sends the parts of an answer.
    fn answer(asks: &Asks, question: u64, from: Origin, parts: impl IntoIterator<Item = Part>) {
        for (number, part) in (0..).zip(parts) {
            let reply = Reply {
                question,
                number,
                part,
            };
            asks.take(from, reply, 10);
        }
    }

    #[tokio::test]
    async fn all_answers_are_collected() {
        let asks = Asks::default();
        let asking = asks.begin().expect("the first");
        let number = asking.number;
        answer(&asks, number, B, [ids("1"), ids("2"), Part::Done]);
        answer(&asks, number, A, [Part::Done]);
        let answers = asking.collect(asked(), SHORT, Duration::ZERO).await;
        assert_eq!(answers.parts, [ids("1"), ids("2")]);
        assert_eq!((answers.answered, answers.silent.len()), (2, 0));
        assert!(lock(&asks.0).is_empty());
    }

    #[tokio::test]
    async fn a_silent_node_is_named_in_time() {
        let asks = Asks::default();
        let asking = asks.begin().expect("the first");
        answer(&asks, asking.number, A, [ids("1"), Part::Done]);
        let start = Instant::now();
        // Those that have begun to ask their clients have a minute for it.
        let answers = asking
            .collect(asked(), SHORT, Duration::from_secs(60))
            .await;
        assert_eq!(
            (answers.silent, answers.answered),
            (vec!["b".to_owned()], 1)
        );
        assert!(start.elapsed() >= SHORT);
    }

    #[tokio::test]
    async fn a_node_whose_clients_are_slow_is_waited_for() {
        let asks = Asks::default();
        let asking = asks.begin().expect("the first");
        let number = asking.number;
        answer(&asks, number, A, [Part::Done]);
        answer(&asks, number, B, [Part::Begun]);
        let start = Instant::now();
        let answers = asking.collect(asked(), SHORT, SHORT * 3).await;
        assert_eq!(answers.silent, ["b"], "it never ended");
        assert!(start.elapsed() >= SHORT * 4);
    }

    #[tokio::test]
    async fn an_answer_with_a_gap_a_repetition_or_too_much_is_none() {
        let asks = Asks::default();
        for numbers in [[0, 2], [0, 0], [1, 2]] {
            let asking = asks.begin().expect("one at a time");
            for number in numbers {
                let reply = Reply {
                    question: asking.number,
                    number,
                    part: ids("1"),
                };
                asks.take(B, reply, 10);
            }
            answer(&asks, asking.number, A, [Part::Done]);
            let answers = asking.collect(asked(), SHORT, Duration::ZERO).await;
            assert_eq!(answers.silent, ["b"], "{numbers:?}");
        }
        let asking = asks.begin().expect("one at a time");
        let reply = Reply {
            question: asking.number,
            number: 0,
            part: ids("1"),
        };
        asks.take(B, reply, MAX_ANSWERS + 1);
        answer(&asks, asking.number, A, [Part::Done]);
        let answers = asking.collect(asked(), SHORT, Duration::ZERO).await;
        assert_eq!(
            (answers.silent, answers.parts.len()),
            (vec!["b".to_owned()], 0)
        );
    }

    #[tokio::test]
    async fn as_many_questions_are_under_way_as_may_be() {
        let asks = Asks::default();
        let mut under_way: Vec<_> = (0..MAX_QUESTIONS).map(|_| asks.begin()).collect();
        assert!(under_way.iter().all(Option::is_some) && asks.begin().is_none());
        under_way.pop();
        assert!(asks.begin().is_some());
        // Nobody is asked, so that nothing is waited for.
        let none = asks
            .begin()
            .expect("one more")
            .collect(Vec::new(), SHORT, Duration::ZERO);
        assert_eq!(none.await, Answers::default());
    }
}
