//! The accept loop: limits, timeouts, nodelay, and an end to clients that stop reading.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Server;
use crate::outbound::{self, Outbound};
use crate::server::http::peer::Peer;
use crate::server::router::MAX_HEADERS;

/// Bytes of the head of one request.
const MAX_HEAD: usize = 48 << 10;
/// Pause after the system had no descriptor left.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(20);
/// What a client above the cap reads.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n";

/// Who answers the requests of a listening socket.
pub(super) trait Service: Send + Sync + 'static {
    /// Answers a request of any kind.
    fn answer(&self, request: Request) -> impl Future<Output = Response> + Send;
}

/// What a client of a listening socket may take up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Connections open at once.
    pub(super) connections: usize,
    /// Time for the head of a request.
    pub(super) header_timeout: Duration,
    /// How long a client may take nothing of what it is sent.
    pub(super) write_stall: Duration,
}

impl Bounds {
    /// Those of the settings.
    pub(super) fn of(server: &Server) -> Self {
        Self {
            connections: server.max_connections.unwrap_or_else(default_connections),
            header_timeout: server.header_timeout,
            write_stall: server.write_stall,
        }
    }
}

/// One listening socket.
pub(super) struct Acceptor {
    stop: CancellationToken,
    connections: TaskTracker,
}

#[derive(Clone)]
struct Settings {
    bounds: Bounds,
    places: Arc<Semaphore>,
    stop: CancellationToken,
    connections: TaskTracker,
}

impl Acceptor {
    /// Accepts connections and hands their requests to `porch`.
    pub(super) fn start<P: Service>(listener: TcpListener, porch: Arc<P>, bounds: Bounds) -> Self {
        let settings = Settings {
            bounds,
            places: Arc::new(Semaphore::new(bounds.connections)),
            stop: CancellationToken::new(),
            connections: TaskTracker::new(),
        };
        let acceptor = Self {
            stop: settings.stop.clone(),
            connections: settings.connections.clone(),
        };
        tokio::spawn(accept(listener, porch, settings));
        acceptor
    }

    /// Accepts no more, and returns when the connections have ended that were open.
    pub(super) async fn close(self) {
        self.stop.cancel();
        self.connections.close();
        self.connections.wait().await;
    }
}

/// 20,000, or 80 % of the descriptors.
fn default_connections() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let descriptors = limit
        .and_then(|limit| usize::try_from(limit).ok())
        .unwrap_or(usize::MAX);
    (descriptors / 5).saturating_mul(4).min(20_000)
}

async fn accept<P: Service>(listener: TcpListener, porch: Arc<P>, settings: Settings) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = settings.stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, address)) => serve(stream, address, &porch, &settings),
            Err(error) if is_of_the_connection(&error) => {}
            Err(error) => {
                tracing::warn!(
                    "no connection can be accepted: {error}; raise the limit on descriptors (ulimit -n)"
                );
                tokio::time::sleep(OUT_OF_DESCRIPTORS).await;
            }
        }
    }
}

fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

fn serve<P: Service>(stream: TcpStream, address: SocketAddr, porch: &Arc<P>, settings: &Settings) {
    let Ok(place) = Arc::clone(&settings.places).try_acquire_owned() else {
        turn_away(stream);
        return;
    };
    set_options(&stream, settings.bounds);
    let line = Arc::new(Outbound::of_connection());
    let wire = Wire::new(
        stream,
        settings.bounds.write_stall,
        place,
        Arc::clone(&line),
    );
    let porch = Arc::clone(porch);
    let peer = Peer { address, line };
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        let porch = Arc::clone(&porch);
        async move { Ok::<_, Infallible>(porch.answer(request.map(Body::new)).await) }
    });
    let connection = http(settings.bounds)
        .serve_connection(TokioIo::new(wire), service)
        .with_upgrades();
    let stop = settings.stop.clone();
    settings.connections.spawn(async move {
        let mut connection = pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!("connection of {address}: {error}");
        }
    });
}

/// A socket that refuses options still works.
fn set_options(stream: &TcpStream, bounds: Bounds) {
    // Without it each answer may wait for an acknowledgement.
    let _ = stream.set_nodelay(true);
    // The system's own timer is the second: it does not say what it was that failed.
    let patience = bounds.write_stall + Duration::from_secs(1);
    let _ = SockRef::from(stream).set_tcp_user_timeout(Some(patience));
}

/// HTTP/1.1 within the limits of heads.
fn http(bounds: Bounds) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(bounds.header_timeout)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD);
    http
}

/// Answers cheaply that there are too many connections.
fn turn_away(mut stream: TcpStream) {
    tokio::spawn(async move {
        let _ = tokio::time::timeout(Duration::from_secs(1), stream.write_all(FULL)).await;
    });
}

/// A connection that ends with an error when the other side has taken nothing for too long, or its line is ended. Without it a client
/// that stops reading would hold its socket, its rooms and what is queued for it for ever. It tells its line what goes out.
struct Wire {
    stream: TcpStream,
    line: Arc<Outbound>,
    patience: Duration,
    /// Runs while a write waits.
    stalled: Option<Pin<Box<Sleep>>>,
    /// Its place among the connections: a websocket keeps it after the upgrade.
    _place: OwnedSemaphorePermit,
}

impl Wire {
    fn new(
        stream: TcpStream,
        patience: Duration,
        place: OwnedSemaphorePermit,
        line: Arc<Outbound>,
    ) -> Self {
        Self {
            stream,
            line,
            patience,
            stalled: None,
            _place: place,
        }
    }

    fn write_with(
        &mut self,
        context: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if self.line.is_ended() {
            return Poll::Ready(Err(outbound::ended()));
        }
        let written = write(Pin::new(&mut self.stream), context);
        if let Poll::Ready(result) = written {
            self.stalled = None;
            match &result {
                Ok(bytes) => self.line.wrote(*bytes),
                Err(_) => self.line.cut_off(),
            }
            return Poll::Ready(result);
        }
        if let Poll::Ready(error) = self.line.poll_write(context) {
            return Poll::Ready(Err(error));
        }
        self.line.stop();
        let patience = self.patience;
        let timer = self
            .stalled
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + patience)));
        ready!(timer.as_mut().poll(context));
        self.line.stall();
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the client does not read what it is sent",
        )))
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.line.is_ended() {
            return Poll::Ready(Err(outbound::ended()));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        match &read {
            Poll::Pending => self.line.poll_read(context).map(Err),
            Poll::Ready(Ok(())) if buffer.filled().len() > before => read,
            Poll::Ready(_) => {
                self.line.cut_off();
                read
            }
        }
    }
}

impl AsyncWrite for Wire {
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

impl Drop for Wire {
    fn drop(&mut self) {
        self.line.leave();
    }
}
