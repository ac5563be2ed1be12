//! The console: a second listener for whoever operates the server. Health, metrics, and what is served, as JSON.
//!
//! It has a thread and limits of its own, asks only for counters and for tables that are swapped whole, and so answers whatever
//! guests and clients do. It is the last to close. It reads, and changes nothing.

mod health;
mod lists;
mod metrics;
mod process;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, DropGuard};

pub(in crate::server) use self::health::Vitals;

use crate::dispatch::{Dispatch, error_response};
use crate::payload::Failure;
use crate::registry::Registry;
use crate::server::CLOSING;
use crate::server::accept::{Acceptor, Bounds, Service};
use crate::server::http::to_axum;
use crate::server::router::check_head;
use crate::session::Sessions;
use crate::sockets::SocketCounts;

/// What an operator's tools may take up: few connections, since they are few, and none of them for long, so that a probe finds one free.
const BOUNDS: Bounds = Bounds {
    connections: 256,
    header_timeout: Duration::from_secs(2),
    write_stall: Duration::from_secs(2),
};

/// What the console shows.
pub(in crate::server) struct View {
    pub(in crate::server) registry: Arc<Registry>,
    pub(in crate::server) dispatch: Arc<Dispatch>,
    pub(in crate::server) sessions: Arc<Sessions>,
    pub(in crate::server) counts: Arc<SocketCounts>,
    pub(in crate::server) vitals: Vitals,
}

/// The console's thread. It ends when this is dropped.
pub(in crate::server) struct Admin {
    addresses: Vec<SocketAddr>,
    stop: DropGuard,
    closed: oneshot::Receiver<()>,
}

impl Admin {
    /// Answers on `listeners` from a thread of its own.
    pub(in crate::server) fn start(listeners: Vec<TcpListener>, view: View) -> io::Result<Self> {
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
        let (stop, (done, closed)) = (CancellationToken::new(), oneshot::channel());
        let stopped = stop.clone();
        thread::Builder::new()
            .name("console".to_owned())
            .spawn(move || {
                runtime.block_on(answer_until(listeners, service, stopped));
                // Nobody may wait for it any more.
                let _ = done.send(());
            })?;
        Ok(Self {
            addresses,
            stop: stop.drop_guard(),
            closed,
        })
    }

    /// Where it listens.
    pub(in crate::server) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Accepts no more, and returns when the connections have ended, or have had the time to.
    pub(in crate::server) async fn close(self) {
        drop(self.stop);
        // It ends by a message or by the end of its thread.
        let _ = self.closed.await;
    }
}

async fn answer_until(
    listeners: Vec<std::net::TcpListener>,
    service: Arc<AdminService>,
    stopped: CancellationToken,
) {
    let mut acceptors = Vec::new();
    for listener in listeners {
        match TcpListener::from_std(listener) {
            Ok(listener) => {
                acceptors.push(Acceptor::start(listener, Arc::clone(&service), BOUNDS));
            }
            Err(error) => tracing::error!("the console does not listen: {error}"),
        }
    }
    stopped.cancelled().await;
    let closing = acceptors.into_iter().map(Acceptor::close);
    // Who is still connected then is cut off.
    let _ = tokio::time::timeout(CLOSING, futures_util::future::join_all(closing)).await;
}

/// Something to look at.
struct Page {
    path: &'static str,
    what: &'static str,
    show: fn(&Arc<View>) -> Shown,
}

/// What a page shows.
struct Shown {
    status: StatusCode,
    kind: &'static str,
    body: String,
}

impl Shown {
    fn json(body: &impl Serialize) -> Self {
        Self {
            status: StatusCode::OK,
            kind: "application/json; charset=utf-8",
            // Text, numbers and lists of them always serialise.
            body: serde_json::to_string(body).unwrap_or_default(),
        }
    }

    /// With 503 instead of 200, unless all is well.
    fn unless(self, is_well: bool) -> Self {
        let status = match is_well {
            true => self.status,
            false => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self { status, ..self }
    }
}

/// All there is, in the order of the index.
#[rustfmt::skip]
const PAGES: &[Page] = &[
    Page { path: "/healthz", what: "whether the process is sound, and what is not as it should be", show: health::healthz },
    Page { path: "/readyz", what: "whether requests are answered, or why not", show: health::readyz },
    Page { path: "/metrics", what: "counters, in the text format of Prometheus", show: metrics::metrics },
    Page { path: "/api/handlers", what: "what is served, with its calls and failures, and what is refused", show: lists::handlers },
    Page { path: "/api/routes", what: "who answers what", show: lists::routes },
    Page { path: "/api/reloads", what: "the last reloads, the newest first", show: lists::reloads },
    Page { path: "/api/sockets", what: "how many clients are connected", show: lists::sockets },
];

/// Answers the console's requests.
struct AdminService {
    /// Whether it listens to this machine only.
    is_local: bool,
    view: Arc<View>,
}

impl Service for AdminService {
    async fn answer(&self, request: Request) -> Response {
        let (parts, _) = request.into_parts();
        let allowed = check_head(&parts).and_then(|()| self.check_host(&parts.headers));
        if let Err(failure) = allowed {
            return self.refuse(&failure);
        }
        if parts.method != Method::GET && parts.method != Method::HEAD {
            let mut response =
                self.refuse(&Failure::new(405, "the console is only read, with GET"));
            let allow = HeaderValue::from_static("GET, HEAD");
            response.headers_mut().insert(header::ALLOW, allow);
            return response;
        }
        let path = parts.uri.path();
        if path == "/" {
            return respond(index());
        }
        match PAGES.iter().find(|page| page.path == path) {
            Some(page) => respond((page.show)(&self.view)),
            None => self.refuse(&unknown(path)),
        }
    }
}

impl AdminService {
    /// A page whose name was bound to this machine after it was loaded (DNS rebinding) could read a listener that is meant for this
    /// machine only. Its requests carry that name.
    fn check_host(&self, headers: &HeaderMap) -> Result<(), Failure> {
        let host = headers.get(header::HOST);
        if !self.is_local || host.is_none_or(is_address) {
            return Ok(());
        }
        let sentence = "the console is asked by address or as localhost, not by another name; to be asked by name it must listen on another address than a loopback (admin.listen)";
        Err(Failure::new(403, sentence))
    }

    fn refuse(&self, failure: &Failure) -> Response {
        let mut response = to_axum(error_response(&self.view.dispatch.next_id(), failure).into());
        // A body may be under way, which nobody reads.
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
        guarded(response)
    }
}

/// Whether a host is an IP address or `localhost`, with or without a port.
fn is_address(host: &HeaderValue) -> bool {
    let authority = host
        .to_str()
        .ok()
        .and_then(|host| host.parse::<Authority>().ok());
    authority.is_some_and(|authority| {
        let host = authority.host();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        host.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok()
    })
}

fn respond(shown: Shown) -> Response {
    let mut response = Response::new(Body::from(shown.body));
    *response.status_mut() = shown.status;
    let kind = HeaderValue::from_static(shown.kind);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    guarded(response)
}

/// Nobody keeps an answer of the console, and no browser takes it for something else than it says: names in it are those of files.
fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let nosniff = HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    response
}

fn unknown(path: &str) -> Failure {
    let paths: Vec<&str> = PAGES.iter().map(|page| page.path).collect();
    let sentence = format!("nothing answers {path} here; there is {}", paths.join(", "));
    Failure::new(404, sentence)
}

/// What there is.
fn index() -> Shown {
    #[derive(Serialize)]
    struct Index {
        hitchy: &'static str,
        pages: Vec<Line>,
    }
    #[derive(Serialize)]
    struct Line {
        path: &'static str,
        what: &'static str,
    }
    let line = |page: &Page| Line {
        path: page.path,
        what: page.what,
    };
    Shown::json(&Index {
        hitchy: env!("CARGO_PKG_VERSION"),
        pages: PAGES.iter().map(line).collect(),
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
