//! The websocket below the socket.io library: makes up for what the library (socketioxide 0.18, engineioxide 0.17)
//! lacks, frame by frame.
//!
//! From the client: names of events that the library cannot read are replaced, a packet is refused whose ack the
//! library would lose, and a client of another protocol is noted. To the client: the packet that opens the session is
//! ours, and the library's first ping is left out. Everything else passes as it is, without a copy.

pub(super) mod event_name;
pub(super) mod first_packet;
pub(super) mod frame;
mod inbound;
mod opening;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use self::first_packet::FirstPacket;
use self::frame::client_text_frame;
use self::inbound::Inbound;
use self::opening::{Fate, Opening};
use crate::session::Session;

/// Bytes that are read at once while the beginning of a message is held back.
const CHUNK: usize = 2 << 10;

/// Notes the end of a session with its websocket. The library (socketioxide 0.18) keeps a session that has not joined a
/// namespace until the time for joining is over.
pub(super) struct ClosedGuard(Arc<Session>);

impl ClosedGuard {
    /// Makes the guard of a session that has no other transport than its websocket.
    pub(super) fn new(session: Arc<Session>) -> Self {
        Self(session)
    }
}

impl Drop for ClosedGuard {
    fn drop(&mut self) {
        self.0.set_closed();
    }
}

/// The stream of a websocket that the library reads and writes.
pub(in crate::server) struct WireStream<S> {
    stream: S,
    inbound: Inbound,
    opening: Opening,
    _closed: Option<ClosedGuard>,
    /// The task that reads, while a frame may be inserted into what it reads.
    reader: Option<Waker>,
}

impl<S> WireStream<S> {
    /// Wraps the websocket of a new session, whose client gets the packet `open`.
    pub(super) fn of_new_session(
        stream: S,
        open: String,
        first_packet: FirstPacket,
        closed: ClosedGuard,
    ) -> Self {
        Self {
            stream,
            _closed: Some(closed),
            inbound: Inbound::new(Vec::new(), first_packet),
            opening: Opening::of_new_session(open),
            reader: None,
        }
    }

    /// Wraps the websocket of a session that moves from polling. The client has sent its probe and got the answer, and
    /// has sent the packet that ends the upgrade; `early` are bytes that came after it.
    pub(super) fn of_upgrade(stream: S, early: &[u8], first_packet: FirstPacket) -> Self {
        let probe = ["2probe", "5"].map(client_text_frame).concat();
        let mut inbound = Inbound::new(probe, first_packet);
        inbound.receive_held(early);
        Self {
            stream,
            _closed: None,
            inbound,
            opening: Opening::of_upgrade(),
            reader: None,
        }
    }

    /// Copies bytes that are ready into `buffer`. Returns false if there are none.
    fn fill(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let ready = self.inbound.ready();
        let count = ready.len().min(buffer.remaining());
        buffer.put_slice(&ready[..count]);
        self.inbound.take(count);
        count > 0
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WireStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if this.fill(buffer) || buffer.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            if !this.opening.is_done() {
                this.reader = Some(context.waker().clone());
            }
            if !this.inbound.is_direct() {
                let mut chunk = [0; CHUNK];
                let mut chunk = ReadBuf::new(&mut chunk);
                ready!(Pin::new(&mut this.stream).poll_read(context, &mut chunk))?;
                match chunk.filled() {
                    [] => this.inbound.finish(),
                    received => this.inbound.receive_held(received),
                }
                continue;
            }
            let before = buffer.filled().len();
            ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
            let received = &buffer.filled()[before..];
            if received.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let passed = this.inbound.receive(received);
            buffer.set_filled(before + passed);
            if passed > 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> WireStream<S> {
    /// Sends the bytes that come before others.
    fn poll_own(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.opening.unsent().is_empty() {
            let unsent = self.opening.unsent();
            let sent = ready!(Pin::new(&mut self.stream).poll_write(context, unsent))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.opening.sent_own(sent);
        }
        Poll::Ready(Ok(()))
    }

    /// Answers the library's first ping in the client's name.
    fn answer_ping(&mut self) {
        self.inbound.insert("3");
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WireStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.opening.is_done() {
            return Pin::new(&mut this.stream).poll_write(context, bytes);
        }
        ready!(this.poll_own(context))?;
        match this.opening.judge(bytes) {
            Fate::Send(count) => {
                let written = Pin::new(&mut this.stream).poll_write(context, &bytes[..count]);
                let sent = ready!(written)?;
                this.opening.sent(sent);
                Poll::Ready(Ok(sent))
            }
            Fate::Omit(count) => Poll::Ready(Ok(count)),
            Fate::Answer(count) => {
                this.answer_ping();
                Poll::Ready(Ok(count))
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_own(context))?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_own(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
