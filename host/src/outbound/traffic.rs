//! Measures how one client takes what it is sent, and can end its connection.
//!
//! The socket.io library queues packets for each client and does not say how full its queue is. Bytes are counted when
//! they are handed to the library and when they leave over the wire. The framing of a packet is estimated, too much
//! rather than too little. If the client takes what it is sent and nothing has left for a moment, nothing waits, and
//! the count begins anew.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;
use tokio::sync::Notify;

use super::held_bytes::HeldBytes;
use super::memory::OutboundMemory;
use crate::ending::Ending;

/// The time that a websocket may take nothing and still count as taking: the system's buffers are full for a moment
/// when much is sent at once.
const WEBSOCKET_PAUSE: Duration = Duration::from_millis(250);
/// The time that a polling client may let pass between two polls, because the next poll has to arrive.
const POLLING_PAUSE: Duration = Duration::from_secs(10);
/// The time without a write after which a client that takes what it is sent is assumed to have no backlog.
const IDLE: Duration = Duration::from_millis(20);
/// The longest wait for something to leave before the state is checked again.
const MAX_PROGRESS_WAIT: Duration = Duration::from_millis(5);
/// Bytes of framing that a packet may have beside its payload.
const FRAMING: u64 = 64;
/// The value of `stopped` while the client takes everything.
const TAKING: u64 = u64::MAX;

/// The traffic to one client, over a TCP connection or by its polls.
///
/// The counters and times are independent estimates and publish no other memory, so they use `Relaxed`. A stale value
/// costs one more wait of at most 5 ms, or counts a packet too many or too few. The flags use `Release` and `Acquire`:
/// a thread that sees a flag also sees what was written before it was set.
#[derive(Debug)]
pub struct Outbound {
    /// The zero of all times below.
    start: Instant,
    /// The time that the client may take nothing and still count as taking.
    pause: Duration,
    /// Bytes that the server holds for the client.
    held: HeldBytes,
    /// Bytes that were handed over for sending and have not left.
    backlog: AtomicU64,
    /// Bytes that have left since the connection was opened.
    written: AtomicU64,
    /// Packets that were handed over since the last reset.
    packets: AtomicU32,
    /// Milliseconds after the start at which something was handed over or left.
    last_activity: AtomicU64,
    /// Milliseconds after the start at which the client stopped taking; [`TAKING`] while it takes.
    stopped: AtomicU64,
    /// Milliseconds that broadcasts have waited for the client since the last reset.
    delay: AtomicU64,
    /// True while a task measures the delay: two tasks that wait at the same time do not wait twice as long.
    is_measured: AtomicBool,
    /// The reason for which the server ended the connection.
    ending: OnceLock<Ending>,
    closed: AtomicBool,
    /// True if the client or the network closed the connection.
    cut_off: AtomicBool,
    reader: AtomicWaker,
    writer: AtomicWaker,
    /// The number of tasks that wait for something to leave.
    watchers: AtomicU32,
    progress: Notify,
}

impl Outbound {
    /// Makes the traffic of a TCP connection.
    pub fn of_connection(memory: &Arc<OutboundMemory>) -> Arc<Self> {
        let held = HeldBytes::of_connection(memory);
        Arc::new(Self::new(WEBSOCKET_PAUSE, TAKING, held))
    }

    /// Makes the traffic of a client that polls. The client takes something only while it does.
    pub fn of_polls(memory: &Arc<OutboundMemory>) -> Arc<Self> {
        Arc::new(Self::new(POLLING_PAUSE, 0, HeldBytes::of_polls(memory)))
    }

    fn new(pause: Duration, stopped: u64, held: HeldBytes) -> Self {
        Self {
            start: Instant::now(),
            pause,
            held,
            backlog: AtomicU64::new(0),
            written: AtomicU64::new(0),
            packets: AtomicU32::new(0),
            last_activity: AtomicU64::new(0),
            stopped: AtomicU64::new(stopped),
            delay: AtomicU64::new(0),
            is_measured: AtomicBool::new(false),
            ending: OnceLock::new(),
            closed: AtomicBool::new(false),
            cut_off: AtomicBool::new(false),
            reader: AtomicWaker::new(),
            writer: AtomicWaker::new(),
            watchers: AtomicU32::new(0),
            progress: Notify::new(),
        }
    }

    /// Counts a packet with `bytes` of payload that is handed over for sending.
    pub fn add_queued(&self, bytes: usize) {
        self.backlog
            .fetch_add(bytes as u64 + FRAMING, Ordering::Relaxed);
        self.packets.fetch_add(1, Ordering::Relaxed);
        self.last_activity.store(self.now(), Ordering::Relaxed);
    }

    /// Undoes [`Outbound::add_queued`] for a packet that could not be handed over.
    pub fn remove_queued(&self, bytes: usize) {
        self.reduce_backlog(bytes as u64 + FRAMING);
    }

    /// Counts `bytes` that were written to the network.
    pub fn wrote(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, Ordering::Relaxed);
        // A connection that carries only HTTP hands over no packets and is spared the reading of the clock.
        if self.packets.load(Ordering::Relaxed) > 0 {
            self.reduce_backlog(bytes as u64);
            self.last_activity.store(self.now(), Ordering::Relaxed);
        }
        // The store is left out in the usual case, so that the cache line stays shared between threads.
        if self.stopped.load(Ordering::Relaxed) != TAKING {
            self.stopped.store(TAKING, Ordering::Relaxed);
        }
        self.notify_watchers();
    }

    /// Changes what the server holds for the client, and wakes the tasks that wait for something to leave.
    pub(super) fn change_held(&self, change: impl FnOnce(&HeldBytes)) {
        change(&self.held);
        self.notify_watchers();
    }

    /// Returns the bytes of answers that are being made, or that wait for capacity.
    pub fn reserved(&self) -> u64 {
        self.held.reserved()
    }

    /// Returns the bytes of responses that are being written to TCP connections.
    pub fn sending(&self) -> u64 {
        self.held.sending()
    }

    fn reduce_backlog(&self, bytes: u64) {
        // A reset may have forgotten bytes that are written only now. A plain subtraction would wrap around.
        let less = |backlog: u64| Some(backlog.saturating_sub(bytes));
        let _ = self
            .backlog
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Notes that the client takes no more at the moment.
    pub fn stop(&self) {
        // The check and the store are two steps. A write between them leaves the client marked as stopped until its
        // next write, and `pause` covers a short time of that kind.
        if self.stopped.load(Ordering::Relaxed) == TAKING {
            self.stopped.store(self.now(), Ordering::Relaxed);
        }
    }

    /// Notes that the client takes again.
    pub fn resume(&self) {
        self.last_activity.store(self.now(), Ordering::Relaxed);
        self.stopped.store(TAKING, Ordering::Relaxed);
        self.notify_watchers();
    }

    /// Returns true if the client takes what it is sent, or did a moment ago.
    pub fn is_taking(&self) -> bool {
        self.stopped_for() < self.pause
    }

    /// Returns the time for which the client has taken nothing; zero while it takes.
    pub fn stopped_for(&self) -> Duration {
        match self.stopped.load(Ordering::Relaxed) {
            TAKING => Duration::ZERO,
            stopped => Duration::from_millis(self.now().saturating_sub(stopped)),
        }
    }

    /// Returns the bytes that have left since the connection was opened.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Returns the bytes that wait, estimated.
    pub fn backlog(&self) -> u64 {
        let backlog = self.backlog.load(Ordering::Relaxed);
        if backlog > 0 && self.is_idle() {
            self.reset();
            return 0;
        }
        backlog
    }

    /// Returns the bytes that wait, estimated, with those that are being written as the answers to polls.
    pub fn waiting(&self) -> u64 {
        self.backlog().saturating_add(self.sending())
    }

    /// Returns true if `packets` packets may wait, of those that were handed over here. The library sends some of its
    /// own.
    pub fn may_have(&self, packets: usize) -> bool {
        let may = self.packets.load(Ordering::Relaxed) as usize >= packets;
        if may && self.is_idle() {
            self.reset();
            return false;
        }
        may
    }

    /// Returns true if the client takes and nothing has left lately. Bytes that wait would have left by now.
    fn is_idle(&self) -> bool {
        let last_activity = self.last_activity.load(Ordering::Relaxed);
        self.stopped.load(Ordering::Relaxed) == TAKING
            && self.now().saturating_sub(last_activity) > IDLE.as_millis() as u64
    }

    /// Sets the counts to zero. A packet that is handed over at the same moment may go uncounted; the bounded buffer of
    /// the library still limits how many of these wait.
    fn reset(&self) {
        self.backlog.store(0, Ordering::Relaxed);
        self.packets.store(0, Ordering::Relaxed);
        self.delay.store(0, Ordering::Relaxed);
    }

    /// Waits until something leaves, for at most 5 ms.
    pub async fn progress(&self) {
        let _watcher = Watcher::of(&self.watchers);
        let _ = tokio::time::timeout(MAX_PROGRESS_WAIT, self.progress.notified()).await;
    }

    /// Waits for progress on behalf of a broadcast. Returns the total time that broadcasts have waited for this client
    /// since the last reset.
    pub async fn delay(&self) -> Duration {
        let before = Instant::now();
        // The swap lets one task measure at a time. Its Acquire pairs with the Release in `Measure::drop`, so that this
        // task sees what the last measurement added.
        let measures = !self.is_measured.swap(true, Ordering::AcqRel);
        let measure = measures.then(|| Measure(&self.is_measured));
        self.progress().await;
        let waited = before.elapsed().as_millis() as u64 + 1;
        let added = if measure.is_some() { waited } else { 0 };
        Duration::from_millis(self.delay.fetch_add(added, Ordering::Relaxed) + added)
    }

    /// Ends the connection: its reader and its writer get an error. Only the first reason is kept.
    pub fn end(&self, why: Ending) {
        // The reason is set before the wakers run, and `poll_ended` registers its waker before it reads the reason. A
        // task that misses it is therefore woken.
        let _ = self.ending.set(why);
        self.reader.wake();
        self.writer.wake();
        self.notify_watchers();
    }

    /// Returns true if [`Outbound::end`] was called.
    pub fn is_ended(&self) -> bool {
        self.ending().is_some()
    }

    /// Returns the reason for which the server ended the connection, if it did.
    pub fn ending(&self) -> Option<Ending> {
        self.ending.get().copied()
    }

    /// Returns an error once [`Outbound::end`] was called, and wakes the task that reads when it is.
    pub fn poll_read(&self, context: &Context<'_>) -> Poll<io::Error> {
        self.poll_ended(&self.reader, context)
    }

    /// Returns an error once [`Outbound::end`] was called, and wakes the task that writes when it is.
    pub fn poll_write(&self, context: &Context<'_>) -> Poll<io::Error> {
        self.poll_ended(&self.writer, context)
    }

    fn poll_ended(&self, waker: &AtomicWaker, context: &Context<'_>) -> Poll<io::Error> {
        waker.register(context.waker());
        if self.is_ended() {
            return Poll::Ready(ended());
        }
        Poll::Pending
    }

    /// Notes that the client closed the TCP connection, or that the network failed.
    pub fn cut_off(&self) {
        self.cut_off.store(true, Ordering::Release);
    }

    /// Returns true if the client closed the TCP connection, or the network failed.
    pub fn is_cut_off(&self) -> bool {
        self.cut_off.load(Ordering::Acquire)
    }

    /// Notes that the TCP connection is closed.
    pub fn set_closed(&self) {
        self.closed.store(true, Ordering::Release);
        self.notify_watchers();
    }

    /// Returns true if the TCP connection is closed.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Wakes the tasks that wait for something to leave. Waking takes a lock and hardly ever does a task wait, so the
    /// number of watchers is read first. A watcher that is not visible yet misses this call; its wait is bounded by 5
    /// ms.
    fn notify_watchers(&self) {
        if self.watchers.load(Ordering::Relaxed) > 0 {
            self.progress.notify_waiters();
        }
    }

    /// Returns the milliseconds since `start`.
    fn now(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }
}

/// Counts a task that waits.
struct Watcher<'a>(&'a AtomicU32);

impl<'a> Watcher<'a> {
    fn of(watchers: &'a AtomicU32) -> Self {
        watchers.fetch_add(1, Ordering::Relaxed);
        Self(watchers)
    }
}

impl Drop for Watcher<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The right to measure, held by one task.
struct Measure<'a>(&'a AtomicBool);

impl Drop for Measure<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// Returns the error for reading from a connection that was ended, or writing to it.
pub fn ended() -> io::Error {
    io::Error::new(
        io::ErrorKind::ConnectionAborted,
        "the server ended the connection",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held() -> HeldBytes {
        HeldBytes::of_polls(&OutboundMemory::new(0))
    }

    #[test]
    fn what_was_handed_over_and_not_written_waits() {
        let line = Outbound::of_connection(&OutboundMemory::new(0));
        line.add_queued(100);
        line.add_queued(50);
        line.wrote(120);
        assert_eq!(line.backlog(), 30 + 2 * FRAMING);
        assert!(line.may_have(2) && !line.may_have(3));
        line.remove_queued(50);
        line.wrote(1000);
        line.add_queued(7);
        assert_eq!(line.backlog(), 7 + FRAMING, "there are no debts");
    }

    #[test]
    fn a_line_that_takes_and_is_silent_has_nothing_waiting() {
        let mut line = Outbound::new(WEBSOCKET_PAUSE, TAKING, held());
        let pass = |line: &mut Outbound| line.start -= IDLE * 2;
        line.add_queued(100);
        line.stop();
        pass(&mut line);
        assert_ne!(line.backlog(), 0, "it takes nothing: all waits");
        line.resume();
        assert_ne!(line.backlog(), 0, "it may be just about to");
        pass(&mut line);
        assert!(!line.may_have(1));
        assert_eq!(line.backlog(), 0);
    }

    #[test]
    fn a_line_takes_until_it_has_stopped_for_a_while() {
        let line = Outbound::new(Duration::ZERO, TAKING, held());
        line.stop();
        assert!(!line.is_taking());
        line.wrote(1);
        assert_eq!(line.stopped_for(), Duration::ZERO);
        assert!(
            Outbound::of_polls(&OutboundMemory::new(0)).is_taking(),
            "it has just opened"
        );
    }

    #[tokio::test]
    async fn those_who_wait_at_the_same_time_do_not_wait_twice() {
        let line = Outbound::of_connection(&OutboundMemory::new(0));
        let once = line.delay().await;
        assert!(line.delay().await > once);
        let before = line.delay.load(Ordering::Relaxed);
        let start = Instant::now();
        let all = (0..100).map(|_| line.delay());
        futures_util::future::join_all(all).await;
        let added = line.delay.load(Ordering::Relaxed) - before;
        assert!(u128::from(added) <= start.elapsed().as_millis() + 1);
        assert_eq!(line.watchers.load(Ordering::Relaxed), 0);
    }
}
