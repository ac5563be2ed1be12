//! What other nodes say, on its way from Redis to the clients of this node.
//!
//! A frame is checked where it is read, so that what a stranger publishes takes nobody's place. Events then wait in one
//! queue for each namespace, because a client that reads slowly holds a broadcast up, and must not hold up those of other
//! namespaces.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::asks::{ANSWER_TIME, Asks};
use super::counters::ClusterCounters;
use super::emit::Emit;
use super::frame::{Frame, Origin, Refused, Seal};
use super::link::Subscriber;
use super::members::{BEAT, Members};
use super::message::Message;
use super::outbox::Outbox;
use super::question::{Change, Question};
use super::queue::Queue;
use super::receiver::{Answer, Receiver};
use super::replies::Replies;
use crate::lock::lock;

/// The most events that wait for the clients of a namespace. They come as fast as Redis sends them, and may have to wait
/// for a second while a client that reads too slowly is found out: a queue as short as the one towards Redis would lose
/// events of a burst although nothing is wrong.
const MAX_WAITING: usize = 16 << 10;
/// The most bytes that wait for the clients of a namespace.
const MAX_WAITING_BYTES: usize = 64 << 20;
/// Bytes of an event that waits, besides those of its frame.
const BESIDES_FRAME: usize = 256;
/// The most events that the task of a namespace takes at once.
const MAX_AT_ONCE: usize = 64;

/// The way of frames into this node. Its tasks end when it is dropped.
pub(super) struct Inbox {
    own: Origin,
    largest: usize,
    seal: Seal,
    /// What comes now was published after this time, in milliseconds since the start.
    since_ms: AtomicU64,
    parts: Arc<Parts>,
    namespaces: Mutex<Namespaces>,
}

/// The other parts of a node, to which what comes goes.
pub(super) struct Parts {
    /// When this node was started.
    pub(super) started: Instant,
    pub(super) receiver: Arc<dyn Receiver>,
    pub(super) members: Arc<Members>,
    pub(super) asks: Arc<Asks>,
    pub(super) outbox: Arc<Outbox>,
    pub(super) counters: Arc<ClusterCounters>,
}

/// The queue of each namespace, and the tasks that empty them.
#[derive(Default)]
struct Namespaces {
    queues: HashMap<String, Arc<Queue<Work>>>,
    tasks: JoinSet<()>,
}

/// What is to be done in a namespace, in its order.
enum Work {
    Emit(Emit),
    Change(Change),
    Ask {
        replies: Replies,
        question: Question,
        came: Instant,
    },
}

impl Subscriber for Inbox {
    fn opens(&self) {
        let now_ms = self.parts.started.elapsed().as_millis();
        self.note_since(u64::try_from(now_ms).unwrap_or(u64::MAX));
    }

    fn take(&self, bytes: &[u8]) {
        if let Err(reason) = self.read(bytes) {
            self.parts.counters.refuse(reason, "");
        }
    }
}

impl Inbox {
    /// Makes the way in. A frame of more than `largest` bytes is refused.
    pub(super) fn new(own: Origin, largest: usize, seal: Seal, parts: Parts) -> Self {
        Self {
            own,
            largest,
            seal,
            since_ms: AtomicU64::new(0),
            parts: Arc::new(parts),
            namespaces: Mutex::default(),
        }
    }

    fn read(&self, bytes: &[u8]) -> Result<(), Refused> {
        if bytes.len() > self.largest {
            return Err(Refused::Size);
        }
        let Frame {
            origin,
            number,
            body,
        } = self.seal.open(bytes)?;
        if origin == self.own {
            self.note_own(body);
            return Ok(());
        }
        if number == 0 {
            // It is for this node alone: a question has a number that nobody can guess, and ends with its answers.
            let Message::Reply(reply) = Message::read(body)? else {
                return Err(Refused::Form);
            };
            self.parts.asks.take(origin, reply, bytes.len());
            self.parts.counters.received.add(1);
            return Ok(());
        }
        let lost = self.parts.members.take(origin, number, Instant::now())?;
        self.parts.counters.received.add(1);
        if let Some(total) = self.parts.counters.lost.add(lost) {
            tracing::warn!("messages of other nodes did not arrive; {total} so far");
        }
        self.read_body(origin, bytes.len(), Message::read(body)?)
    }

    /// Notes how late what comes from Redis is: a sign of life of this node has come back.
    fn note_own(&self, body: &[u8]) {
        if let Ok(Message::Beat { clock_ms, .. }) = Message::read(body) {
            self.note_since(clock_ms);
        }
    }

    fn note_since(&self, since_ms: u64) {
        // Relaxed is enough because nothing else is read by it.
        self.since_ms.fetch_max(since_ms, Ordering::Relaxed);
    }

    /// Returns true if what comes now may have been published so long ago that nobody waits for an answer: because this
    /// process was stopped, or Redis has much to send to it.
    fn is_late(&self) -> bool {
        let since = Duration::from_millis(self.since_ms.load(Ordering::Relaxed));
        self.parts.started.elapsed() > since + ANSWER_TIME + BEAT
    }

    fn read_body(&self, origin: Origin, size: usize, message: Message) -> Result<(), Refused> {
        match message {
            Message::Emit(emit) => self.enqueue(size, &emit.namespace.clone(), Work::Emit(emit)),
            Message::Change(change) => {
                let namespace = change.namespace().to_owned();
                self.enqueue(size, &namespace, Work::Change(change));
            }
            Message::Ask { number, question } => {
                let replies = Replies::new(Arc::clone(&self.parts.outbox), origin, number);
                self.ask(size, replies, question);
            }
            Message::Reply(_) => return Err(Refused::Form),
            Message::Beat { name, .. } => {
                if self.parts.members.note_name(origin, &name) {
                    let name = crate::text::visible(&name);
                    tracing::info!("node {name} is there");
                }
            }
            Message::Bye => {
                if let Some(name) = self.parts.members.leave(origin) {
                    let name = crate::text::visible(&name);
                    tracing::info!("node {name} has ended");
                }
            }
        }
        Ok(())
    }

    /// Adds a question to the queue of its namespace, so that it is answered after what came before it. In a namespace
    /// that this node does not have is nobody.
    fn ask(&self, size: usize, replies: Replies, question: Question) {
        let namespace = question.namespace().to_owned();
        if self.is_late() {
            return;
        }
        if !self.parts.receiver.has(&namespace) {
            replies.done();
            return;
        }
        let work = Work::Ask {
            replies,
            question,
            came: Instant::now(),
        };
        self.enqueue(size, &namespace, work);
    }

    /// Adds something to the queue of its namespace. What is for a namespace that this node does not have is for nobody.
    fn enqueue(&self, size: usize, namespace: &str, work: Work) {
        if !self.parts.receiver.has(namespace) {
            return;
        }
        let mut namespaces = lock(&self.namespaces);
        let Namespaces { queues, tasks } = &mut *namespaces;
        let queue = match queues.entry(namespace.to_owned()) {
            Entry::Occupied(queue) => queue.into_mut(),
            Entry::Vacant(place) => {
                let queue = place.insert(Arc::new(Queue::new(MAX_WAITING, MAX_WAITING_BYTES)));
                tasks.spawn(deliver(Arc::clone(queue), Arc::clone(&self.parts)));
                queue
            }
        };
        let driven_out = queue.push(size + BESIDES_FRAME, || work);
        drop(namespaces);
        if let Some(total) = self.parts.counters.dropped_in.add(driven_out) {
            tracing::warn!(
                "events of other nodes are dropped, because clients of this node take them too slowly; {total} so far"
            );
        }
    }
}

/// Does what is to be done in a namespace, one after the other. Only the answers of clients are waited for beside it.
async fn deliver(queue: Arc<Queue<Work>>, parts: Arc<Parts>) {
    let mut waiting = JoinSet::new();
    loop {
        queue.filled().await;
        for work in queue.take(MAX_AT_ONCE, usize::MAX) {
            let done = match work {
                Work::Emit(emit) => parts.receiver.receive(emit).await,
                Work::Change(change) => parts.receiver.change(change).await,
                // Who asked has given up, and must not be answered by clients any more.
                Work::Ask { came, .. } if came.elapsed() > ANSWER_TIME => Ok(()),
                Work::Ask {
                    replies, question, ..
                } => {
                    match parts.receiver.answer(question).await {
                        Ok(Answer::Asked(answers)) => {
                            let mut replies = replies;
                            replies.begun();
                            waiting.spawn(async move { replies.acks(answers.await) });
                        }
                        Ok(Answer::Ids(ids)) => replies.ids(ids),
                        Ok(Answer::Yes) => replies.done(),
                        Err(failure) => replies.failed(failure),
                    }
                    Ok(())
                }
            };
            if let Err(failure) = done {
                let cause = crate::text::visible(&failure.message);
                parts
                    .counters
                    .refuse(Refused::Content, &format!(" ({cause})"));
            }
        }
        while waiting.try_join_next().is_some() {}
    }
}
