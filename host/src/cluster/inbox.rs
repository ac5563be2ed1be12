//! What other nodes say, on its way from Redis to the clients of this node.
//!
//! A frame is checked where it is read, so that what a stranger publishes takes nobody's place. Events then wait in one
//! queue for each namespace, because a client that reads slowly holds a broadcast up, and must not hold up those of other
//! namespaces.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use futures_util::future::BoxFuture;
use tokio::task::JoinSet;

use super::counters::ClusterCounters;
use super::frame::{Origin, Refused, Seal};
use super::members::Members;
use super::message::{Emit, Message};
use super::queue::Queue;
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

/// Who takes what other nodes say to the clients of this node.
pub trait Receiver: Send + Sync {
    /// Returns true if this node has the namespace.
    fn has(&self, namespace: &str) -> bool;

    /// Sends an event of another node to the clients of this node. The error says why no handler could have sent it.
    fn receive(&self, emit: Emit) -> BoxFuture<'_, Result<(), String>>;
}

/// The way of frames into this node. Its tasks end when it is dropped.
pub(super) struct Inbox {
    own: Origin,
    largest: usize,
    seal: Seal,
    receiver: Arc<dyn Receiver>,
    members: Arc<Members>,
    counters: Arc<ClusterCounters>,
    namespaces: Mutex<Namespaces>,
}

/// The queue of each namespace, and the tasks that empty them.
#[derive(Default)]
struct Namespaces {
    queues: HashMap<String, Arc<Queue<Emit>>>,
    tasks: JoinSet<()>,
}

impl Inbox {
    /// Makes the way in. A frame of more than `largest` bytes is refused.
    pub(super) fn new(
        own: Origin,
        largest: usize,
        seal: Seal,
        receiver: Arc<dyn Receiver>,
        members: Arc<Members>,
        counters: Arc<ClusterCounters>,
    ) -> Self {
        Self {
            own,
            largest,
            seal,
            receiver,
            members,
            counters,
            namespaces: Mutex::default(),
        }
    }

    /// Takes what came from Redis. It does not wait. Must be called within a tokio runtime.
    pub(super) fn take(&self, bytes: &[u8]) {
        if let Err(reason) = self.read(bytes) {
            self.counters.refuse(reason, "");
        }
    }

    fn read(&self, bytes: &[u8]) -> Result<(), Refused> {
        if bytes.len() > self.largest {
            return Err(Refused::Size);
        }
        let frame = self.seal.open(bytes, self.own)?;
        if frame.origin == self.own {
            return Ok(());
        }
        let lost = self
            .members
            .take(frame.origin, frame.number, Instant::now())?;
        self.counters.received.add(1);
        if let Some(total) = self.counters.lost.add(lost) {
            tracing::warn!("messages of other nodes did not arrive; {total} so far");
        }
        match Message::read(frame.body)? {
            Message::Emit(emit) => self.enqueue(bytes.len(), emit),
            Message::Beat { name } => {
                if self.members.note_name(frame.origin, &name) {
                    let name = crate::text::visible(&name);
                    tracing::info!("node {name} is there");
                }
            }
            Message::Bye => {
                if let Some(name) = self.members.leave(frame.origin) {
                    let name = crate::text::visible(&name);
                    tracing::info!("node {name} has ended");
                }
            }
        }
        Ok(())
    }

    /// Adds an event to the queue of its namespace. One for a namespace that this node does not have is for nobody.
    fn enqueue(&self, size: usize, emit: Emit) {
        if !self.receiver.has(&emit.namespace) {
            return;
        }
        let mut namespaces = lock(&self.namespaces);
        let Namespaces { queues, tasks } = &mut *namespaces;
        let queue = match queues.entry(emit.namespace.clone()) {
            Entry::Occupied(queue) => queue.into_mut(),
            Entry::Vacant(place) => {
                let queue = place.insert(Arc::new(Queue::new(MAX_WAITING, MAX_WAITING_BYTES)));
                let (receiver, counters) = (Arc::clone(&self.receiver), Arc::clone(&self.counters));
                tasks.spawn(deliver(Arc::clone(queue), receiver, counters));
                queue
            }
        };
        let driven_out = queue.push(size + BESIDES_FRAME, || emit);
        drop(namespaces);
        if let Some(total) = self.counters.dropped_in.add(driven_out) {
            tracing::warn!(
                "events of other nodes are dropped, because clients of this node take them too slowly; {total} so far"
            );
        }
    }
}

/// Hands the events of a namespace to its clients, one after the other.
async fn deliver(
    queue: Arc<Queue<Emit>>,
    receiver: Arc<dyn Receiver>,
    counters: Arc<ClusterCounters>,
) {
    loop {
        queue.filled().await;
        for emit in queue.take(MAX_AT_ONCE, usize::MAX) {
            if let Err(cause) = receiver.receive(emit).await {
                counters.refuse(Refused::Content, &format!(" ({cause})"));
            }
        }
    }
}
