//! What this node says to the others, on its way to Redis.
//!
//! Nothing waits for Redis here but the one task that publishes. A frame is handed to Redis once and never again, because
//! a second time could be one time too many: what goes from node to node arrives at most once.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::timeout;

use super::counters::ClusterCounters;
use super::frame::{self, Origin, Seal};
use super::link::{LinkState, Session, session};
use super::message::Sent;
use super::queue::Queue;
use super::trouble::{ANSWER_TIME, Trouble};
use crate::lock::lock;

/// The most frames that wait for Redis.
const MAX_WAITING: usize = 1024;
/// The most bytes that wait for Redis.
const MAX_WAITING_BYTES: usize = 64 << 20;
/// The most frames that go to Redis at once.
const MAX_AT_ONCE: usize = 64;
/// The most bytes that go to Redis at once, unless one frame alone is larger.
const MAX_BYTES_AT_ONCE: usize = 256 << 10;
/// How long ago Redis may have answered so that it is worth waiting for place.
const LATELY: Duration = Duration::from_millis(250);
/// The longest time that an emit waits for place.
const WAIT_FOR_PLACE: Duration = Duration::from_millis(10);

/// The channels of a cluster.
#[derive(Clone)]
pub(super) struct Channels(Arc<str>);

impl Channels {
    /// Makes the names of channels with this prefix.
    pub(super) fn new(prefix: &str) -> Self {
        Self(prefix.into())
    }

    /// Returns the channel of all nodes.
    pub(super) fn of_all(&self) -> String {
        format!("{}:all", self.0)
    }

    /// Returns the channel of one node.
    pub(super) fn of_one(&self, origin: Origin) -> String {
        format!("{}:node:{origin:?}", self.0)
    }
}

/// A frame that waits for Redis.
struct Waiting {
    /// The node for which it is; none if it is for all.
    to: Option<Origin>,
    /// When it is of no use any more.
    expires: Option<Instant>,
    frame: Vec<u8>,
}

/// The queue of frames for the other nodes.
pub(super) struct Outbox {
    origin: Origin,
    queue: Queue<Waiting>,
    /// The number of the next frame. It is taken while the queue is locked, so that the numbers follow its order.
    next: Mutex<u64>,
    /// The largest number that was handed to Redis, whatever became of it.
    handed_over: watch::Sender<u64>,
    answered: Mutex<Option<Instant>>,
    counters: Arc<ClusterCounters>,
}

impl Outbox {
    /// Makes an empty queue.
    pub(super) fn new(origin: Origin, counters: Arc<ClusterCounters>) -> Self {
        Self {
            origin,
            queue: Queue::new(MAX_WAITING, MAX_WAITING_BYTES),
            next: Mutex::new(1),
            handed_over: watch::Sender::new(0),
            answered: Mutex::new(None),
            counters,
        }
    }

    /// Makes the frame of a message. It has no number yet.
    pub(super) fn frame(&self, message: &Sent<'_>) -> Vec<u8> {
        message.write(frame::begin(self.origin))
    }

    /// Adds a frame for all nodes. The oldest are dropped if too many wait. Returns its number.
    pub(super) fn push(&self, frame: Vec<u8>) -> u64 {
        self.push_for(frame, None)
    }

    /// Adds a frame for all nodes that is dropped if it cannot be sent within `time`.
    pub(super) fn push_for(&self, mut frame: Vec<u8>, time: Option<Duration>) -> u64 {
        let expires = time.map(|time| Instant::now() + time);
        let mut number = 0;
        let driven_out = self.queue.push(frame.len(), || {
            let mut next = lock(&self.next);
            number = *next;
            *next += 1;
            frame::set_number(&mut frame, number);
            Waiting {
                to: None,
                expires,
                frame,
            }
        });
        self.note_dropped(driven_out);
        number
    }

    /// Adds a frame for one node. It has the number 0.
    pub(super) fn push_to(&self, to: Origin, frame: Vec<u8>) {
        let driven_out = self.queue.push(frame.len(), || Waiting {
            to: Some(to),
            expires: None,
            frame,
        });
        self.note_dropped(driven_out);
    }

    fn note_dropped(&self, driven_out: u64) {
        if let Some(total) = self.counters.dropped_out.add(driven_out) {
            tracing::warn!(
                "events for clients of other nodes are dropped, because Redis does not take them; {total} so far"
            );
        }
    }

    /// Waits for place in the queue if it is more than half full and Redis answers: for 10 ms at most. Without it, a
    /// handler that emits in a loop would be faster than Redis and lose events although nothing is wrong.
    pub(super) async fn place(&self) {
        let answers = lock(&self.answered).is_some_and(|last| last.elapsed() < LATELY);
        if answers && self.queue.is_over_half() {
            // When the time is over, the emit goes on all the same.
            let _ = timeout(WAIT_FOR_PLACE, self.queue.half_empty()).await;
        }
    }

    /// Waits until the frame of this number was handed to Redis.
    pub(super) async fn handed_over(&self, number: u64) {
        let mut last = self.handed_over.subscribe();
        // Fails if this is dropped, and then nobody waits.
        let _ = last.wait_for(|last| *last >= number).await;
    }

    /// Publishes frames as they come, for ever.
    pub(super) async fn publish(
        &self,
        mut link: watch::Receiver<LinkState>,
        seal: &Seal,
        channels: &Channels,
    ) {
        let of_all = channels.of_all();
        loop {
            self.queue.filled().await;
            let Some(session) = session(&mut link).await else {
                return;
            };
            let mut waiting = self.queue.take(MAX_AT_ONCE, MAX_BYTES_AT_ONCE);
            let numbers = waiting.iter().map(|one| frame::number(&one.frame));
            let last = numbers.max().unwrap_or_default();
            let now = Instant::now();
            waiting.retain(|one| one.expires.is_none_or(|expires| now < expires));
            let mut pipeline = redis::pipe();
            for Waiting { to, frame, .. } in &mut waiting {
                seal.close(frame);
                let channel = to.map(|to| channels.of_one(to));
                let publish = pipeline.cmd("PUBLISH");
                publish
                    .arg(channel.as_ref().unwrap_or(&of_all))
                    .arg(&frame[..]);
                publish.ignore();
            }
            if !waiting.is_empty() {
                self.hand_over(session, &pipeline, waiting.len() as u64)
                    .await;
            }
            self.handed_over.send_if_modified(|so_far| {
                let is_more = last > *so_far;
                *so_far = last.max(*so_far);
                is_more
            });
        }
    }

    /// Publishes some frames and counts them. If Redis does not answer, the connection is given up.
    async fn hand_over(&self, mut session: Session, pipeline: &redis::Pipeline, many: u64) {
        let sent = pipeline.query_async::<()>(&mut session.connection);
        let trouble = match timeout(ANSWER_TIME, sent).await {
            Ok(Ok(())) => {
                *lock(&self.answered) = Some(Instant::now());
                self.counters.published.add(many);
                return;
            }
            Ok(Err(error)) => Trouble::from(error),
            Err(_) => Trouble::Silent,
        };
        self.counters.uncertain.add(many);
        session.give_up(trouble);
    }
}
