//! The console: a second listener for the operator of the server, with health, metrics and JSON lists.
//!
//! The console has a thread and limits of its own and reads only counters and immutable tables, so that guests
//! and clients cannot keep it from answering. It changes nothing but keys of key-value storage, for `hitchy kv`, and it
//! is the last part of the server to close.

mod buckets;
mod cluster_metrics;
mod code_metrics;
mod health;
mod instance_metrics;
mod lists;
mod metrics;
mod process;
mod store_metrics;
mod view;
mod vitals;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::response::Response;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, DropGuard};

pub(super) use self::view::View;
pub(super) use self::vitals::Vitals;

use self::view::Shown;
use super::accept::{Acceptor, ConnectionLimits};
use super::http::headers::{authority, set_connection_close};
use super::http::to_axum;
use super::limits::CLOSE_TIMEOUT;
use super::request_timer;
use super::router::check_head;
use super::service::Service;
use crate::dispatch::error_response;
use crate::payload::Failure;

/// The limits on connections to the console. The timeouts are short, so that a probe always finds a free connection.
const LIMITS: ConnectionLimits = ConnectionLimits {
    connections: 256,
    request_timer: request_timer::Limits {
        head: Duration::from_secs(2),
        idle: Duration::from_secs(2),
    },
    write_stall: Duration::from_secs(2),
};

/// The running console. Its thread ends when this is dropped.
pub(super) struct Admin {
    addresses: Vec<SocketAddr>,
    stop: DropGuard,
    closed: oneshot::Receiver<()>,
}

impl Admin {
    /// Spawns the thread of the console, which answers on `listeners`.
    pub(super) fn start(listeners: Vec<TcpListener>, view: View) -> io::Result<Self> {
        let addresses: Vec<SocketAddr> = listeners
            .iter()
            .map(TcpListener::local_addr)
            .collect::<Result<_, _>>()?;
        let listeners: Vec<std::net::TcpListener> = listeners
            .into_iter()
            .map(TcpListener::into_std)
            .collect::<Result<_, _>>()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let service = Arc::new(AdminService {
            is_local: addresses.iter().all(|address| address.ip().is_loopback()),
            view: Arc::new(view),
        });
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let (done, closed) = oneshot::channel();
        thread::Builder::new()
            .name("console".to_owned())
            .spawn(move || {
                runtime.block_on(answer_until(listeners, service, stopped));
                // Fails if the console was dropped without a call of `close`.
                let _ = done.send(());
            })?;
        Ok(Self {
            addresses,
            stop: stop.drop_guard(),
            closed,
        })
    }

    /// Returns the addresses of the listening sockets.
    pub(super) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Stops accepting, and returns when the connections have ended or their time to close is over.
    pub(super) async fn close(self) {
        drop(self.stop);
        // An error means that the thread has ended without a message, and is closed too.
        let _ = self.closed.await;
    }
}

/// Answers on `listeners` until `stopped` is cancelled, then closes the connections.
async fn answer_until(
    listeners: Vec<std::net::TcpListener>,
    service: Arc<AdminService>,
    stopped: CancellationToken,
) {
    let mut acceptors = Vec::new();
    for listener in listeners {
        match TcpListener::from_std(listener) {
            Ok(listener) => {
                let service = Arc::clone(&service);
                let sessions = Arc::clone(&service.view.sessions);
                acceptors.push(Acceptor::start(listener, service, LIMITS, &sessions));
            }
            Err(error) => tracing::error!("the console does not listen: {error}"),
        }
    }
    stopped.cancelled().await;
    let closing = acceptors.into_iter().map(|acceptor| acceptor.close(false));
    // Connections that are still open after the timeout end with the runtime.
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, futures_util::future::join_all(closing)).await;
}

/// A page of the console.
struct Page {
    path: &'static str,
    what: &'static str,
    show: fn(&Arc<View>) -> Shown,
}

/// All pages, in the order of the index.
#[rustfmt::skip]
const PAGES: &[Page] = &[
    Page { path: "/healthz", what: "whether the process is sound, and what is not as it should be", show: health::healthz },
    Page { path: "/readyz", what: "whether requests are answered, or why not", show: health::readyz },
    Page { path: "/metrics", what: "counters, in the text format of Prometheus", show: metrics::metrics },
    Page { path: "/api/handlers", what: "what is served, with its calls and failures, and what is refused", show: lists::handlers },
    Page { path: "/api/routes", what: "who answers what", show: lists::routes },
    Page { path: "/api/schedules", what: "what runs by itself, and when it runs next", show: lists::schedules },
    Page { path: "/api/reloads", what: "the last reloads, the newest first", show: lists::reloads },
    Page { path: "/api/sockets", what: "how many clients are connected", show: lists::sockets },
];

/// Answers the requests to the console.
struct AdminService {
    /// True if all listening sockets have loopback addresses.
    is_local: bool,
    view: Arc<View>,
}

impl Service for AdminService {
    async fn answer(&self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let allowed = check_head(&parts).and_then(|()| self.check_host(&parts.headers));
        if let Err(failure) = allowed {
            return self.refuse(&failure);
        }
        let path = parts.uri.path();
        if path == buckets::COMMANDS {
            let done = buckets::command(&self.view, self.is_local, &parts, body).await;
            return done.map_or_else(|failure| self.refuse(&failure), respond);
        }
        if parts.method != Method::GET && parts.method != Method::HEAD {
            let mut response =
                self.refuse(&Failure::new(405, "the console is only read, with GET"));
            let allow = HeaderValue::from_static("GET, HEAD");
            response.headers_mut().insert(header::ALLOW, allow);
            return response;
        }
        if path == "/" {
            return respond(index());
        }
        if path == buckets::LIST {
            let listed = buckets::list(&self.view).await;
            return listed.map_or_else(|failure| self.refuse(&failure), respond);
        }
        match PAGES.iter().find(|page| page.path == path) {
            Some(page) => respond((page.show)(&self.view)),
            None => self.refuse(&unknown(path)),
        }
    }
}

impl AdminService {
    /// Checks the host header against DNS rebinding. The failure is a 403.
    ///
    /// A web page can bind its name to a loopback address after it was loaded, and then read a listener on that
    /// address. Its requests carry that name as their host.
    fn check_host(&self, headers: &HeaderMap) -> Result<(), Failure> {
        let host = headers.get(header::HOST);
        if !self.is_local || host.is_none_or(is_address) {
            return Ok(());
        }
        let sentence = "the console is asked by address or as localhost, not by another name; to be asked by name it must listen on another address than a loopback (admin.listen)";
        Err(Failure::new(403, sentence))
    }

    /// Answers with a failure and closes the connection.
    fn refuse(&self, failure: &Failure) -> Response {
        let mut response = to_axum(error_response(&self.view.dispatch.next_id(), failure).into());
        // The body of the request is not read.
        set_connection_close(&mut response);
        with_security_headers(response)
    }
}

/// Returns true if a host is an IP address or `localhost`, with or without a port.
fn is_address(host: &HeaderValue) -> bool {
    authority(host).is_some_and(|authority| {
        let host = authority.host();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        host.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok()
    })
}

/// Returns the response with the content of a page.
fn respond(shown: Shown) -> Response {
    let mut response = Response::new(Body::from(shown.body));
    *response.status_mut() = shown.status;
    let kind = HeaderValue::from_static(shown.kind);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    with_security_headers(response)
}

/// Adds headers that forbid caches to store a response and browsers to guess its type.
///
/// Responses contain names of files, which could otherwise be taken for markup.
fn with_security_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let nosniff = HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    response
}

/// Returns the 404 for an unknown path, with a list of the pages.
fn unknown(path: &str) -> Failure {
    let paths = PAGES.iter().map(|page| page.path);
    let paths: Vec<&str> = paths.chain([buckets::LIST]).collect();
    let sentence = format!("nothing answers {path} here; there is {}", paths.join(", "));
    Failure::new(404, sentence)
}

/// Returns the page `/`, the list of all pages.
fn index() -> Shown {
    #[derive(Serialize)]
    struct Index {
        hitchy: &'static str,
        pages: Vec<PageLink>,
    }
    #[derive(Serialize)]
    struct PageLink {
        path: &'static str,
        what: &'static str,
    }
    let entry = |page: &Page| PageLink {
        path: page.path,
        what: page.what,
    };
    let buckets = PageLink {
        path: buckets::LIST,
        what: "what is stored: buckets of key-value storage with their keys and bytes",
    };
    Shown::json(&Index {
        hitchy: env!("CARGO_PKG_VERSION"),
        pages: PAGES.iter().map(entry).chain([buckets]).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_and_localhost_are_hosts_of_a_loopback() {
        for host in ["127.0.0.1:9000", "[::1]:9000", "LOCALHOST", "10.1.2.3"] {
            assert!(is_address(&HeaderValue::from_static(host)), "{host}");
        }
        for host in [
            "evil.test:9000",
            "localhost.evil.test",
            "127.0.0.1.nip.io",
            "",
            "a@127.0.0.1x",
        ] {
            assert!(!is_address(&HeaderValue::from_static(host)), "{host}");
        }
    }
}
