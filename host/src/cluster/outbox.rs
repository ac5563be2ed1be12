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

/// The queue of frames for the other nodes.
pub(super) struct Outbox {
    origin: Origin,
    queue: Queue<Vec<u8>>,
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

    /// Adds a frame. The oldest are dropped if too many wait. Returns its number.
    pub(super) fn push(&self, mut frame: Vec<u8>) -> u64 {
        let size = frame.len();
        let mut number = 0;
        let driven_out = self.queue.push(size, || {
            let mut next = lock(&self.next);
            number = *next;
            *next += 1;
            frame::set_number(&mut frame, number);
            frame
        });
        if let Some(total) = self.counters.dropped_out.add(driven_out) {
            tracing::warn!(
                "events for clients of other nodes are dropped, because Redis does not take them; {total} so far"
            );
        }
        number
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

    /// Publishes frames on `channel` as they come, for ever.
    pub(super) async fn publish(
        &self,
        mut link: watch::Receiver<LinkState>,
        seal: &Seal,
        channel: &str,
    ) {
        loop {
            self.queue.filled().await;
            let Some(session) = session(&mut link).await else {
                return;
            };
            let mut frames = self.queue.take(MAX_AT_ONCE, MAX_BYTES_AT_ONCE);
            let Some(last) = frames.last().map(|frame| frame::number(frame)) else {
                continue;
            };
            frames.iter_mut().for_each(|frame| seal.close(frame));
            self.hand_over(session, channel, &frames).await;
            self.handed_over.send_replace(last);
        }
    }

    /// Publishes some frames and counts them. If Redis does not answer, the connection is given up.
    async fn hand_over(&self, mut session: Session, channel: &str, frames: &[Vec<u8>]) {
        let mut pipeline = redis::pipe();
        for frame in frames {
            pipeline
                .cmd("PUBLISH")
                .arg(channel)
                .arg(&frame[..])
                .ignore();
        }
        let many = frames.len() as u64;
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
