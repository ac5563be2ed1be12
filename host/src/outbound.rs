//! Measures how one client takes what it is sent, and can end its connection.
//!
//! The socket.io library queues packets for each client and does not say how full its queue is. Bytes are counted when
//! they are handed to the library and when they leave over the wire. The framing of a packet is estimated, too much
//! rather than too little. If the client takes what it is sent and nothing has left for a moment, nothing waits, and
//! the count begins anew.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;
use tokio::sync::Notify;

/// The time that a websocket may take nothing and still count as taking: the system's buffers are full for a moment
/// when much is sent at once.
const WEBSOCKET_PAUSE: Duration = Duration::from_millis(250);
/// The time that a polling client may let pass between two polls, because the next poll has to arrive.
const POLLING_PAUSE: Duration = Duration::from_secs(10);
/// The time after which nothing waits, if the client takes and nothing leaves.
const SILENCE: Duration = Duration::from_millis(20);
/// The longest wait for something to leave before the state is checked again.
const MOMENT: Duration = Duration::from_millis(5);
/// Bytes of framing that a packet may have beside its payload.
const WRAPPING: u64 = 64;
/// The value of `stopped` while the client takes everything.
const TAKING: u64 = u64::MAX;

/// The traffic to one client, over a TCP connection or by its polls.
#[derive(Debug)]
pub struct Outbound {
    start: Instant,
    pause: Duration,
    /// Bytes that were handed over for sending and have not left.
    backlog: AtomicU64,
    /// Bytes that have left since the connection was opened.
    written: AtomicU64,
    /// Packets that were handed over since nothing waited.
    packets: AtomicU32,
    /// Milliseconds after the start at which something was handed over or left.
    moved: AtomicU64,
    /// Milliseconds after the start at which the client stopped taking; [`TAKING`] while it takes.
    stopped: AtomicU64,
    /// Milliseconds that broadcasts have waited for the client since nothing waited.
    delay: AtomicU64,
    /// True while a task measures the delay: two tasks that wait at the same time do not wait twice as long.
    is_measured: AtomicBool,
    ended: AtomicBool,
    gone: AtomicBool,
    /// True if the client or the network closed the connection.
    cut_off: AtomicBool,
    stalled: AtomicBool,
    reader: AtomicWaker,
    writer: AtomicWaker,
    /// The number of tasks that wait for something to leave.
    watchers: AtomicU32,
    progress: Notify,
}

impl Outbound {
    /// Makes the traffic of a TCP connection.
    pub fn of_connection() -> Self {
        Self::new(WEBSOCKET_PAUSE, TAKING)
    }

    /// Of a client that polls. It takes something only while it does.
    pub fn of_polls() -> Self {
        Self::new(POLLING_PAUSE, 0)
    }

    fn new(pause: Duration, stopped: u64) -> Self {
        Self {
            start: Instant::now(),
            pause,
            backlog: AtomicU64::new(0),
            written: AtomicU64::new(0),
            packets: AtomicU32::new(0),
            moved: AtomicU64::new(0),
            stopped: AtomicU64::new(stopped),
            delay: AtomicU64::new(0),
            is_measured: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            gone: AtomicBool::new(false),
            cut_off: AtomicBool::new(false),
            stalled: AtomicBool::new(false),
            reader: AtomicWaker::new(),
            writer: AtomicWaker::new(),
            watchers: AtomicU32::new(0),
            progress: Notify::new(),
        }
    }

    /// A packet with so many bytes of payload is handed over for sending.
    pub fn hand(&self, bytes: usize) {
        self.backlog
            .fetch_add(bytes as u64 + WRAPPING, Ordering::Relaxed);
        self.packets.fetch_add(1, Ordering::Relaxed);
        self.moved.store(self.now(), Ordering::Relaxed);
    }

    /// It was not, after all.
    pub fn take_back(&self, bytes: usize) {
        self.lighten(bytes as u64 + WRAPPING);
    }

    /// So many bytes went out.
    pub fn wrote(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, Ordering::Relaxed);
        // Nothing is handed over for what only carries HTTP, which need not pay for it.
        if self.packets.load(Ordering::Relaxed) > 0 {
            self.lighten(bytes as u64);
            self.moved.store(self.now(), Ordering::Relaxed);
        }
        if self.stopped.load(Ordering::Relaxed) != TAKING {
            self.stopped.store(TAKING, Ordering::Relaxed);
        }
        self.tell_watchers();
    }

    fn lighten(&self, bytes: u64) {
        let less = |backlog: u64| Some(backlog.saturating_sub(bytes));
        let _ = self
            .backlog
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// It takes no more at the moment.
    pub fn stop(&self) {
        if self.stopped.load(Ordering::Relaxed) == TAKING {
            self.stopped.store(self.now(), Ordering::Relaxed);
        }
    }

    /// Notes that the client takes again.
    pub fn take(&self) {
        self.moved.store(self.now(), Ordering::Relaxed);
        self.stopped.store(TAKING, Ordering::Relaxed);
        self.tell_watchers();
    }

    /// Returns true if the client takes what it is sent, or did a moment ago.
    pub fn is_taking(&self) -> bool {
        self.stopped_for() < self.pause
    }

    /// For how long it has taken nothing; zero when it takes.
    pub fn stopped_for(&self) -> Duration {
        match self.stopped.load(Ordering::Relaxed) {
            TAKING => Duration::ZERO,
            stopped => Duration::from_millis(self.now().saturating_sub(stopped)),
        }
    }

    /// Bytes that have left since the connection was opened.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Returns the bytes that wait, estimated.
    pub fn backlog(&self) -> u64 {
        let backlog = self.backlog.load(Ordering::Relaxed);
        if backlog > 0 && self.is_silent() {
            self.begin_anew();
            return 0;
        }
        backlog
    }

    /// Returns true if `packets` packets may wait, of those that were handed over here. The library sends some of its
    /// own.
    pub fn may_have(&self, packets: usize) -> bool {
        let may = self.packets.load(Ordering::Relaxed) as usize >= packets;
        if may && self.is_silent() {
            self.begin_anew();
            return false;
        }
        may
    }

    /// Were anything waiting it would go out: nothing does.
    fn is_silent(&self) -> bool {
        let moved = self.moved.load(Ordering::Relaxed);
        self.stopped.load(Ordering::Relaxed) == TAKING
            && self.now().saturating_sub(moved) > SILENCE.as_millis() as u64
    }

    fn begin_anew(&self) {
        self.backlog.store(0, Ordering::Relaxed);
        self.packets.store(0, Ordering::Relaxed);
        self.delay.store(0, Ordering::Relaxed);
    }

    /// Waits until something goes out, but not long.
    pub async fn progress(&self) {
        let _watcher = Watcher::of(&self.watchers);
        let _ = tokio::time::timeout(MOMENT, self.progress.notified()).await;
    }

    /// The same for a broadcast: how long broadcasts have waited for it, all in all, since nothing waited.
    pub async fn delay(&self) -> Duration {
        let before = Instant::now();
        let measures = !self.is_measured.swap(true, Ordering::AcqRel);
        let measure = measures.then(|| Measure(&self.is_measured));
        self.progress().await;
        let waited = before.elapsed().as_millis() as u64 + 1;
        let added = if measure.is_some() { waited } else { 0 };
        Duration::from_millis(self.delay.fetch_add(added, Ordering::Relaxed) + added)
    }

    /// Ends it: whoever reads from it or writes to it gets an error.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Release);
        self.reader.wake();
        self.writer.wake();
        self.tell_watchers();
    }

    /// Returns true if [`Outbound::end`] was called.
    pub fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Returns true if [`Outbound::end`] was called. Otherwise the task that waits to read is woken then.
    pub fn poll_read(&self, context: &Context<'_>) -> Poll<io::Error> {
        self.poll_ended(&self.reader, context)
    }

    /// Returns true if [`Outbound::end`] was called. Otherwise the task that waits to write is woken then.
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

    /// It has taken nothing for too long, and ends with that.
    pub fn stall(&self) {
        self.stalled.store(true, Ordering::Release);
        self.end();
    }

    /// Returns true if the connection ended because the client took nothing for too long.
    pub fn is_stalled(&self) -> bool {
        self.stalled.load(Ordering::Acquire)
    }

    /// The client closed the connection below, or the network failed.
    pub fn cut_off(&self) {
        self.cut_off.store(true, Ordering::Release);
    }

    /// Returns true if the client closed the TCP connection, or the network failed.
    pub fn is_cut_off(&self) -> bool {
        self.cut_off.load(Ordering::Acquire)
    }

    /// The connection below is gone.
    pub fn leave(&self) {
        self.gone.store(true, Ordering::Release);
        self.tell_watchers();
    }

    /// Returns true if the TCP connection is closed.
    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// Waking costs a lock, and hardly ever does anybody wait.
    fn tell_watchers(&self) {
        if self.watchers.load(Ordering::Relaxed) > 0 {
            self.progress.notify_waiters();
        }
    }

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

    #[test]
    fn what_was_handed_over_and_not_written_waits() {
        let line = Outbound::of_connection();
        line.hand(100);
        line.hand(50);
        line.wrote(120);
        assert_eq!(line.backlog(), 30 + 2 * WRAPPING);
        assert!(line.may_have(2) && !line.may_have(3));
        line.take_back(50);
        line.wrote(1000);
        line.hand(7);
        assert_eq!(line.backlog(), 7 + WRAPPING, "there are no debts");
    }

    #[test]
    fn a_line_that_takes_and_is_silent_has_nothing_waiting() {
        let mut line = Outbound::of_connection();
        let pass = |line: &mut Outbound| line.start -= SILENCE * 2;
        line.hand(100);
        line.stop();
        pass(&mut line);
        assert_ne!(line.backlog(), 0, "it takes nothing: all waits");
        line.take();
        assert_ne!(line.backlog(), 0, "it may be just about to");
        pass(&mut line);
        assert!(!line.may_have(1));
        assert_eq!(line.backlog(), 0);
    }

    #[test]
    fn a_line_takes_until_it_has_stopped_for_a_while() {
        let line = Outbound::new(Duration::ZERO, TAKING);
        line.stop();
        assert!(!line.is_taking());
        line.wrote(1);
        assert_eq!(line.stopped_for(), Duration::ZERO);
        assert!(Outbound::of_polls().is_taking(), "it has just opened");
    }

    #[tokio::test]
    async fn those_who_wait_at_the_same_time_do_not_wait_twice() {
        let line = Outbound::of_connection();
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
