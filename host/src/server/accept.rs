//! The accept loop of a listening socket: connection limits, timeouts and socket options.
//!
//! A connection whose client stops reading is ended with an error. The bytes that are written are reported to the
//! connection's `Outbound`.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::http::peer::Peer;
use super::limits::MAX_HEADERS;
use super::request_timer::{self, ConnectionPhase, RequestTimer, ResponseBody};
use super::service::Service;
use crate::config::Server;
use crate::ending::Ending;
use crate::outbound::{self, Outbound};
use crate::session::Sessions;

/// Bytes of the request line and the headers of one request, as buffered by hyper.
const MAX_HEAD: usize = 48 << 10;
/// Pause after `accept` failed because no file descriptor was left.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(20);
/// The response to a client that connects above the connection limit.
const TOO_MANY_CONNECTIONS: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n";

/// Limits on the connections of one listening socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConnectionLimits {
    /// Number of connections open at once.
    pub(super) connections: usize,
    /// Longest times without a request.
    pub(super) request_timer: request_timer::Limits,
    /// Longest time that a write may make no progress.
    pub(super) write_stall: Duration,
}

impl ConnectionLimits {
    /// Returns the limits that the section `[server]` sets.
    pub(super) fn of(server: &Server) -> Self {
        Self {
            connections: server.max_connections.unwrap_or_else(default_connections),
            request_timer: request_timer::Limits {
                head: server.header_timeout,
                idle: server.keep_alive,
            },
            write_stall: server.write_stall,
        }
    }
}

/// A listening socket with its open connections.
pub(super) struct Acceptor {
    stop: CancellationToken,
    late: CancellationToken,
    connections: TaskTracker,
}

#[derive(Clone)]
struct ListenerState {
    limits: ConnectionLimits,
    permits: Arc<Semaphore>,
    sessions: Arc<Sessions>,
    stop: CancellationToken,
    /// Cancelled before `stop` if what is still being answered has had its time.
    late: CancellationToken,
    connections: TaskTracker,
}

impl Acceptor {
    /// Spawns the accept loop of `listener`, whose requests `service` answers. The connections
    /// are counted among those of `sessions`.
    pub(super) fn start<S: Service>(
        listener: TcpListener,
        service: Arc<S>,
        limits: ConnectionLimits,
        sessions: &Arc<Sessions>,
    ) -> Self {
        let state = ListenerState {
            limits,
            sessions: Arc::clone(sessions),
            permits: Arc::new(Semaphore::new(limits.connections)),
            stop: CancellationToken::new(),
            late: CancellationToken::new(),
            connections: TaskTracker::new(),
        };
        let acceptor = Self {
            stop: state.stop.clone(),
            late: state.late.clone(),
            connections: state.connections.clone(),
        };
        tokio::spawn(accept(listener, service, state));
        acceptor
    }

    /// Stops accepting, shuts open connections down gracefully and returns when all of them have ended. If it
    /// `is_late`, connections with an unfinished response are ended at once, because a client that takes nothing of a
    /// response would hold its connection.
    pub(super) async fn close(self, is_late: bool) {
        if is_late {
            self.late.cancel();
        }
        self.stop.cancel();
        self.connections.close();
        self.connections.wait().await;
    }
}

/// Returns the default connection limit: 20,000, or 80 % of the process's file descriptors if that is less.
fn default_connections() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let descriptors = limit
        .and_then(|limit| usize::try_from(limit).ok())
        .unwrap_or(usize::MAX);
    (descriptors / 5).saturating_mul(4).min(20_000)
}

async fn accept<S: Service>(listener: TcpListener, service: Arc<S>, state: ListenerState) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = state.stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, address)) => serve(stream, address, &service, &state),
            Err(error) if is_connection_error(&error) => {}
            Err(error) => {
                tracing::warn!(
                    "no connection can be accepted: {error}; raise the limit on descriptors (ulimit -n)"
                );
                tokio::time::sleep(OUT_OF_DESCRIPTORS).await;
            }
        }
    }
}

/// Returns true if `accept` failed because the new connection broke, not because of the listening socket.
fn is_connection_error(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

/// Spawns a task that serves one connection, or refuses the connection if the limit is reached.
fn serve<S: Service>(
    stream: TcpStream,
    address: SocketAddr,
    service: &Arc<S>,
    state: &ListenerState,
) {
    let Ok(permit) = Arc::clone(&state.permits).try_acquire_owned() else {
        let ending = Ending::TooManyConnections;
        state.sessions.connection_ended(ending, address);
        refuse(stream);
        return;
    };
    set_options(&stream, state.limits);
    let outbound = state.sessions.connect();
    let phase = ConnectionPhase::new();
    let client = ClientStream {
        stream,
        outbound: Arc::clone(&outbound),
        request_timer: RequestTimer::new(Arc::clone(&phase), state.limits.request_timer),
        write_stall: state.limits.write_stall,
        stall_timer: None,
        _permit: permit,
    };
    let (ended_outbound, ended_phase) = (Arc::clone(&outbound), Arc::clone(&phase));
    let service = Arc::clone(service);
    let peer = Peer { address, outbound };
    let answer = service_fn(move |mut request: hyper::Request<Incoming>| {
        phase.begin();
        request.extensions_mut().insert(peer.clone());
        let (service, phase) = (Arc::clone(&service), Arc::clone(&phase));
        let outbound = Arc::clone(&peer.outbound);
        async move {
            let mut response = service.answer(request.map(Body::new)).await;
            if let Some(ending) = response.extensions_mut().remove::<Ending>() {
                phase.announce(ending);
            }
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                phase.upgrade();
            }
            Ok::<_, Infallible>(response.map(|body| ResponseBody::new(body, phase, outbound)))
        }
    });
    let connection = http()
        .serve_connection(TokioIo::new(client), answer)
        .with_upgrades();
    let (stop, late) = (state.stop.clone(), state.late.clone());
    let sessions = Arc::clone(&state.sessions);
    state.connections.spawn(async move {
        let mut connection = pin!(connection);
        let (ended, stopped) = tokio::select! {
            ended = connection.as_mut() => (ended, None),
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                if late.is_cancelled() && ended_phase.is_answering() {
                    ended_outbound.end(Ending::Shutdown);
                }
                (connection.await, Some(Ending::Shutdown))
            }
        };
        let is_malformed = ended.as_ref().is_err_and(hyper::Error::is_parse);
        let malformed = is_malformed.then_some(Ending::Malformed);
        let announced = || ended_phase.announced().or(stopped).or(malformed);
        if let Some(ending) = ended_outbound.ending().or_else(announced) {
            sessions.connection_ended(ending, address);
        }
        if let Err(error) = ended {
            tracing::debug!("connection of {address}: {error}");
        }
    });
}

/// Sets TCP_NODELAY and TCP_USER_TIMEOUT. Errors are ignored because a socket without these options still works.
fn set_options(stream: &TcpStream, limits: ConnectionLimits) {
    // Without TCP_NODELAY, Nagle's algorithm may hold a response back until the client acknowledges the previous one.
    let _ = stream.set_nodelay(true);
    // One second longer than our own timer, which then fires first and gives an error that names the cause.
    let timeout = limits.write_stall + Duration::from_secs(1);
    let _ = SockRef::from(stream).set_tcp_user_timeout(Some(timeout));
}

/// Returns a builder of HTTP/1.1 connections with the limits on the size of request heads.
fn http() -> http1::Builder {
    let mut http = http1::Builder::new();
    // The times are ours: see `request_timer`.
    http.header_read_timeout(None)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD);
    http
}

/// Writes a fixed 503 response and closes the connection, without hyper and within one second.
fn refuse(mut stream: TcpStream) {
    tokio::spawn(async move {
        let _ = tokio::time::timeout(
            Duration::from_secs(1),
            stream.write_all(TOO_MANY_CONNECTIONS),
        )
        .await;
    });
}

/// A TCP stream that reports what it writes to its [`Outbound`].
///
/// Reads and writes fail once the outbound is ended. A write also fails when it makes no progress within `write_stall`.
/// Otherwise a client that stops reading would keep its socket, its rooms and its queued packets for ever.
struct ClientStream {
    stream: TcpStream,
    outbound: Arc<Outbound>,
    /// Ends the connection of a client that sends no request.
    request_timer: RequestTimer,
    write_stall: Duration,
    /// Timer of the write that is pending.
    stall_timer: Option<Pin<Box<Sleep>>>,
    /// Counts against the connection limit. A websocket holds the permit after the upgrade.
    _permit: OwnedSemaphorePermit,
}

impl ClientStream {
    /// Writes with `write`, reports the bytes to the outbound and times a write that is pending.
    fn write_with(
        &mut self,
        context: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if self.outbound.is_ended() {
            return Poll::Ready(Err(outbound::ended()));
        }
        let written = write(Pin::new(&mut self.stream), context);
        if let Poll::Ready(result) = written {
            self.stall_timer = None;
            match &result {
                Ok(bytes) => self.outbound.wrote(*bytes),
                Err(error) => self.failed(error),
            }
            return Poll::Ready(result);
        }
        // Registers the waker with the outbound too, because the socket does not wake a writer when the outbound ends.
        if let Poll::Ready(error) = self.outbound.poll_write(context) {
            return Poll::Ready(Err(error));
        }
        self.outbound.stop();
        let write_stall = self.write_stall;
        let timer = self.stall_timer.get_or_insert_with(|| {
            Box::pin(tokio::time::sleep_until(Instant::now() + write_stall))
        });
        ready!(timer.as_mut().poll(context));
        self.outbound.end(Ending::WriteStall);
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the client does not read what it is sent",
        )))
    }
}

impl ClientStream {
    /// Notes that the network failed, or that the system gave the connection up after TCP_USER_TIMEOUT.
    fn failed(&self, error: &io::Error) {
        if error.kind() == io::ErrorKind::TimedOut {
            self.outbound.end(Ending::Unacknowledged);
        } else {
            self.outbound.cut_off();
        }
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.outbound.is_ended() {
            return Poll::Ready(Err(outbound::ended()));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        match &read {
            Poll::Pending => match self.request_timer.poll_expired(context) {
                Poll::Ready(ending) => {
                    self.outbound.end(ending);
                    Poll::Ready(Err(outbound::ended()))
                }
                Poll::Pending => self.outbound.poll_read(context).map(Err),
            },
            Poll::Ready(Ok(())) if buffer.filled().len() > before => {
                self.request_timer.received();
                read
            }
            Poll::Ready(Err(error)) => {
                self.failed(error);
                read
            }
            // End of file: the client closed the connection.
            Poll::Ready(Ok(())) => {
                self.outbound.cut_off();
                read
            }
        }
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write_with(context, |stream, context| stream.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write_with(context, |stream, context| {
            stream.poll_write_vectored(context, slices)
        })
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl Drop for ClientStream {
    fn drop(&mut self) {
        self.outbound.set_closed();
    }
}
