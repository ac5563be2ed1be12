//! How one client takes what it is sent: how much waits for it, whether it is taking anything at the moment. And the way to end it.
//!
//! The socket.io library queues packets for each client and does not say how they fare. The bytes are counted here twice, when they
//! are handed to the library and when they go out over the wire, and the difference is what waits.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;
use tokio::sync::Notify;

/// How long a websocket may take nothing and still count as taking: the system's buffers are full for a moment, too, when much is
/// sent at once.
const WEBSOCKET_PAUSE: Duration = Duration::from_millis(250);
/// How long a polling client may be between two polls.
const POLLING_PAUSE: Duration = Duration::from_secs(1);
/// Longest wait for something to go out before one looks again.
const MOMENT: Duration = Duration::from_millis(5);
/// The stamp of a line that takes all it is sent.
const TAKING: u64 = u64::MAX;

/// One way to a client: a TCP connection, or its polls.
#[derive(Debug)]
pub struct Line {
    start: Instant,
    pause: Duration,
    /// Bytes handed over for sending since everything had last gone out.
    handed: AtomicU64,
    /// Bytes of these that went out.
    written: AtomicU64,
    /// Packets handed over since everything had last gone out: at least as many as wait.
    packets: AtomicU32,
    /// Milliseconds after the start at which it stopped taking; [`TAKING`] while it takes.
    stopped: AtomicU64,
    /// Milliseconds that others have waited for it since everything had last gone out.
    waited: AtomicU64,
    ended: AtomicBool,
    gone: AtomicBool,
    /// The network said so, or the client.
    cut_off: AtomicBool,
    stalled: AtomicBool,
    reader: AtomicWaker,
    writer: AtomicWaker,
    /// Who waits for something to go out.
    watchers: AtomicU32,
    progress: Notify,
}

impl Line {
    /// Of a TCP connection.
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
            handed: AtomicU64::new(0),
            written: AtomicU64::new(0),
            packets: AtomicU32::new(0),
            stopped: AtomicU64::new(stopped),
            waited: AtomicU64::new(0),
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

    /// A packet of so many bytes has been handed over for sending.
    pub fn hand(&self, bytes: usize) {
        self.handed.fetch_add(bytes as u64, Ordering::Relaxed);
        self.packets.fetch_add(1, Ordering::Relaxed);
    }

    /// So many bytes went out.
    pub fn wrote(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, Ordering::Relaxed);
        if self.stopped.load(Ordering::Relaxed) != TAKING {
            self.stopped.store(TAKING, Ordering::Relaxed);
        }
        self.tell_watchers();
    }

    /// So many bytes went out, and when nothing waits any more that was everything.
    pub fn wrote_some(&self, bytes: usize) {
        self.wrote(bytes);
        if self.backlog() == 0 {
            self.wrote_all();
        }
    }

    /// Everything has gone out.
    pub fn wrote_all(&self) {
        self.handed.store(0, Ordering::Relaxed);
        self.written.store(0, Ordering::Relaxed);
        self.packets.store(0, Ordering::Relaxed);
        self.waited.store(0, Ordering::Relaxed);
        self.tell_watchers();
    }

    /// It takes no more at the moment.
    pub fn stop(&self) {
        if self.stopped.load(Ordering::Relaxed) == TAKING {
            self.stopped.store(self.now(), Ordering::Relaxed);
        }
    }

    /// It takes again.
    pub fn take(&self) {
        self.stopped.store(TAKING, Ordering::Relaxed);
        self.tell_watchers();
    }

    /// Whether it takes what it is sent, or did a moment ago.
    pub fn is_taking(&self) -> bool {
        let stopped = self.stopped.load(Ordering::Relaxed);
        stopped == TAKING || self.now().saturating_sub(stopped) < self.pause.as_millis() as u64
    }

    /// Bytes that wait.
    pub fn backlog(&self) -> u64 {
        let handed = self.handed.load(Ordering::Relaxed);
        handed.saturating_sub(self.written.load(Ordering::Relaxed))
    }

    /// Whether so many packets may wait. It is certain only when it says no.
    pub fn may_have(&self, packets: usize) -> bool {
        self.packets.load(Ordering::Relaxed) as usize >= packets
    }

    /// Waits until something goes out, but not long. Adds up how long it was waited for since everything had last gone out.
    pub async fn progress(&self) -> Duration {
        let before = Instant::now();
        self.watchers.fetch_add(1, Ordering::Relaxed);
        let _ = tokio::time::timeout(MOMENT, self.progress.notified()).await;
        self.watchers.fetch_sub(1, Ordering::Relaxed);
        let waited = before.elapsed().as_millis() as u64 + 1;
        Duration::from_millis(self.waited.fetch_add(waited, Ordering::Relaxed) + waited)
    }

    /// Ends it: whoever reads from it or writes to it gets an error.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Release);
        self.reader.wake();
        self.writer.wake();
        self.tell_watchers();
    }

    /// Whether [`Line::end`] was called: who waits to read is woken then.
    pub fn poll_read(&self, context: &Context<'_>) -> Poll<io::Error> {
        self.poll_ended(&self.reader, context)
    }

    /// Whether [`Line::end`] was called: who waits to write is woken then.
    pub fn poll_write(&self, context: &Context<'_>) -> Poll<io::Error> {
        self.poll_ended(&self.writer, context)
    }

    /// Whether [`Line::end`] was called.
    pub fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
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

    /// Whether it ended since it took nothing for too long.
    pub fn is_stalled(&self) -> bool {
        self.stalled.load(Ordering::Acquire)
    }

    /// The client closed the connection below, or the network failed.
    pub fn cut_off(&self) {
        self.cut_off.store(true, Ordering::Release);
    }

    /// Whether the client closed the connection below, or the network failed.
    pub fn is_cut_off(&self) -> bool {
        self.cut_off.load(Ordering::Acquire)
    }

    /// The connection below is gone.
    pub fn leave(&self) {
        self.gone.store(true, Ordering::Release);
        self.tell_watchers();
    }

    /// Whether the connection below is gone.
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

/// What who reads from an ended line or writes to it gets.
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
        let line = Line::of_connection();
        line.hand(100);
        line.hand(50);
        line.wrote(120);
        assert_eq!(line.backlog(), 30);
        assert!(line.may_have(2) && !line.may_have(3));
        line.wrote_all();
        assert_eq!(line.backlog(), 0);
        assert!(!line.may_have(1));
    }

    #[test]
    fn a_line_takes_until_it_has_stopped_for_a_while() {
        let line = Line::new(Duration::ZERO, TAKING);
        assert!(line.is_taking());
        line.stop();
        assert!(!line.is_taking());
        line.wrote(1);
        assert!(line.is_taking());
        assert!(Line::of_polls().is_taking(), "it has just opened");
    }

    #[tokio::test]
    async fn it_is_added_up_how_long_a_line_was_waited_for() {
        let line = Line::of_connection();
        let once = line.progress().await;
        assert!(line.progress().await > once);
        line.wrote_all();
        assert_eq!(line.waited.load(Ordering::Relaxed), 0);
    }
}
