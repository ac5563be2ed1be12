//! The door of engine.io requests, both polling and websocket, in front of the socket.io library.
//!
//! It checks the origin of a request, opens a session or finds the session of the request, and counts the bytes
//! of polls.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use tokio::sync::mpsc::UnboundedReceiver;
use tower::ServiceExt;

use crate::config::{Config, Origins, Server, canonical_origin};
use crate::dispatch::{Dispatch, Refusal};
use crate::payload::Failure;
use crate::registry::Registry;
use crate::server::http::HttpDoor;
use crate::server::http::body::BodyReader;
use crate::server::http::headers::content_length;
use crate::server::http::peer::{Peer, remote};
use crate::server::limits::CLOSE_TIMEOUT;
use crate::session::{Ending, Session, Sessions};

/// Largest response of the library that opens a session, in bytes. Real responses have some 100 bytes.
const MAX_OPEN: usize = 4 << 10;

/// Passes engine.io requests to the socket.io library.
pub(in crate::server) struct Transports {
    library: Router,
    sessions: Arc<Sessions>,
    registry: Arc<Registry>,
    dispatch: Arc<Dispatch>,
    http: Arc<HttpDoor>,
    /// Reads the bodies of polling requests.
    bodies: BodyReader,
    server: Server,
    /// Origins whose pages may open sockets.
    origins: Origins,
    bind_address: bool,
    path: String,
}

/// The sender of a request, as far as the `origin` header tells.
enum Sender {
    /// No page, a page of the server's own origin, or a page of a listed origin.
    Trusted,
    /// A page of an origin that is not listed, where the settings allow any origin.
    AnyPage,
}

/// The query of an engine.io request, parsed as the library parses it.
struct EngineQuery<'a> {
    session: Option<&'a str>,
    is_websocket: bool,
}

impl<'a> EngineQuery<'a> {
    fn of(parts: &'a Parts) -> Self {
        let query = parts.uri.query().unwrap_or_default();
        let value = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name));
        Self {
            session: value("sid="),
            is_websocket: value("transport=").and_then(|value| value.split('=').next())
                == Some("websocket"),
        }
    }
}

impl Transports {
    /// Creates the door in front of `library`. `bodies` limits the bodies of polling requests.
    pub(in crate::server) fn new(
        library: Router,
        sessions: Arc<Sessions>,
        registry: Arc<Registry>,
        http: Arc<HttpDoor>,
        bodies: BodyReader,
        config: &Config,
    ) -> Self {
        Self {
            library,
            sessions,
            registry,
            dispatch: Arc::clone(http.dispatch()),
            http,
            bodies,
            origins: socket_origins(&config.server),
            server: config.server.clone(),
            bind_address: config.socket.bind_address,
            path: config.socket.path.clone(),
        }
    }

    /// Returns true if a path belongs to the engine.io endpoint.
    pub(in crate::server) fn owns(&self, path: &str) -> bool {
        let rest = path.strip_prefix(&self.path);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Answers a request of engine.io.
    pub(in crate::server) async fn answer(&self, mut parts: Parts, body: Body) -> Response {
        let query = EngineQuery::of(&parts);
        let (session, is_websocket) = (query.session.map(str::to_owned), query.is_websocket);
        match self.check_sender(&parts, session.is_none()) {
            Err(failure) => return self.http.refuse(&parts.headers, body, &failure).await,
            Ok(Sender::Trusted) => {}
            // With cookies, any page could act in the name of its visitors.
            Ok(Sender::AnyPage) => drop(parts.headers.remove(header::COOKIE)),
        }
        match session.as_deref() {
            // Only GET opens a session. The library refuses other methods.
            None if parts.method != Method::GET => self.forward(parts, body).await,
            None => self.open(is_websocket, parts, body).await,
            Some(id) => match self.find(id, &parts) {
                Some(session) if is_websocket => self.upgrade(session, parts, body).await,
                Some(session) => self.poll(session, parts, body).await,
                None => self.refuse(1, "Session ID unknown", &parts, body).await,
            },
        }
    }

    /// Returns the sender of a request. The failure is a 403 if pages of its origin may not open sockets, or a
    /// 503 if the server is starting or shutting down.
    fn check_sender(&self, parts: &Parts, is_new: bool) -> Result<Sender, Failure> {
        if !self.registry.table().ready {
            return Err(Refusal::Starting.failure());
        }
        // Existing sessions go on, so that acks and disconnect packets still pass.
        if self.dispatch.is_draining() && is_new {
            return Err(Refusal::Draining.failure());
        }
        let Some(header) = parts.headers.get(header::ORIGIN) else {
            return Ok(Sender::Trusted);
        };
        let origin = header.to_str().unwrap_or_default();
        if is_own(origin, &parts.headers) {
            return Ok(Sender::Trusted);
        }
        if !self.origins.allow(origin) {
            if let Some(total) = self.sessions.metrics().foreign_origins.count() {
                tracing::warn!(
                    "a page of {:?} may not open sockets here; [server] origins = [{:?}] lets it; {total} such requests so far",
                    origin,
                    origin
                );
            }
            let sentence = "pages of this origin may not open sockets here; the setting server.origins says which may";
            return Err(Failure::new(403, sentence));
        }
        Ok(match self.origins {
            Origins::Any => Sender::AnyPage,
            _ => Sender::Trusted,
        })
    }

    /// Answers a request that opens a session. If the library refuses the request, the session is dropped with it.
    async fn open(&self, is_websocket: bool, mut parts: Parts, body: Body) -> Response {
        let peer = parts.extensions.get::<Peer>();
        let outbound = peer
            .filter(|_| is_websocket)
            .map(|peer| Arc::clone(&peer.outbound));
        let address = remote(&self.server, peer, &parts.headers).ip();
        let session = match self.sessions.open(address, outbound) {
            Ok(session) => session,
            Err(failure) => return self.http.refuse(&parts.headers, body, &failure).await,
        };
        parts.extensions.insert(Arc::clone(&session));
        let response = self.forward(parts, body).await;
        if is_websocket || response.status() != StatusCode::OK {
            return response;
        }
        // The id of the session is known to the library only, which does not offer it (socketioxide 0.18). The
        // body is in memory, so that nothing waits here.
        let (head, content) = response.into_parts();
        let packet = to_bytes(content, MAX_OPEN).await.unwrap_or_default();
        if let Some(id) = id_of_open(&packet) {
            self.sessions.name(&session, &id);
        }
        Response::from_parts(head, Body::from(packet))
    }

    /// Returns the session of a request; none if it does not exist or was opened from another address.
    ///
    /// The address is compared because an id is not secret: people show ids of sockets to each other.
    fn find(&self, id: &str, parts: &Parts) -> Option<Arc<Session>> {
        let session = self.sessions.find(id)?;
        let address = remote(&self.server, parts.extensions.get(), &parts.headers).ip();
        if !self.bind_address || address == session.remote {
            return Some(session);
        }
        if let Some(total) = self.sessions.metrics().foreign_addresses.count() {
            tracing::info!(remote = %address, "a session of {} was asked for and not given; [socket] bind-address = false would have; {total} such requests so far", session.remote);
        }
        None
    }

    /// Answers a request that upgrades a polling session to a websocket.
    async fn upgrade(&self, session: Arc<Session>, parts: Parts, body: Body) -> Response {
        if session.has_websocket() {
            return self.refuse(3, "Bad request", &parts, body).await;
        }
        let peer = parts.extensions.get::<Peer>().cloned();
        let response = self.forward(parts, body).await;
        if let Some(peer) = peer
            && response.status() == StatusCode::SWITCHING_PROTOCOLS
        {
            session.upgrade(&peer.outbound);
        }
        response
    }

    /// Answers a GET or a POST of a polling session.
    async fn poll(&self, session: Arc<Session>, parts: Parts, mut body: Body) -> Response {
        if parts.method == Method::GET {
            let _poll = PollGuard::new(&session);
            let response = self.forward(parts, body).await;
            let written = content_length(response.headers()).unwrap_or(0);
            session.polls().wrote(written as usize);
            return response;
        }
        match self.bodies.read(&mut body, &parts.headers).await {
            Ok(packets) => self.post(session, parts, packets).await,
            Err(failure) => {
                if failure.code == 413 {
                    session.end(Ending::TooLarge);
                }
                self.http.refuse(&parts.headers, body, &failure).await
            }
        }
    }

    /// Answers a POST with packets, with a 413 if one of the packets ended the session by its size.
    async fn post(&self, session: Arc<Session>, parts: Parts, packets: Bytes) -> Response {
        let headers = parts.headers.clone();
        let response = self.forward(parts, Body::from(packets)).await;
        if session.ending() != Some(Ending::TooLarge) {
            return response;
        }
        let failure = Failure::new(413, "a packet was too large, and the session is closed");
        self.http.refuse(&headers, Body::empty(), &failure).await
    }

    /// Answers with a 400 and an error in the format of engine.io.
    async fn refuse(&self, code: u8, message: &str, parts: &Parts, body: Body) -> Response {
        self.bodies.discard(body, &parts.headers).await;
        let error = format!(r#"{{"code":"{code}","message":"{message}"}}"#);
        let mut response = Response::new(Body::from(error));
        *response.status_mut() = StatusCode::BAD_REQUEST;
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        response
    }

    /// Passes a request to the library.
    async fn forward(&self, parts: Parts, body: Body) -> Response {
        let request = Request::from_parts(parts, body);
        let Ok(response) = self.library.clone().oneshot(request).await;
        response
    }
}

/// Closes each polling session whose id is received on `ids`.
///
/// The library has no call for it (socketioxide 0.18), so that this posts a CLOSE packet, as a client does.
pub(in crate::server) async fn close_ended(
    library: Router,
    path: String,
    mut ids: UnboundedReceiver<String>,
) {
    while let Some(id) = ids.recv().await {
        let uri = format!("{path}/?EIO=4&transport=polling&sid={id}");
        let Ok(request) = Request::post(uri).body(Body::from("1")) else {
            continue;
        };
        // The library refuses the request if the session is closed already or has become a websocket. The time is
        // bounded so that one session cannot hold up the end of the others.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, library.clone().oneshot(request)).await;
    }
}

/// Marks a session as reading for the time of a poll.
struct PollGuard<'a>(&'a Session);

impl<'a> PollGuard<'a> {
    fn new(session: &'a Session) -> Self {
        session.polls().resume();
        Self(session)
    }
}

impl Drop for PollGuard<'_> {
    fn drop(&mut self) {
        self.0.polls().stop();
    }
}

/// Returns true if `origin` has the host and the port that the request names in its host header.
///
/// Proxies may name the default port there, which browsers leave out of the origin.
fn is_own(origin: &str, headers: &HeaderMap) -> bool {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let Some(((scheme, _), host)) = origin.split_once("://").zip(host) else {
        return false;
    };
    let own = canonical_origin(&format!("{scheme}://{host}"));
    own.is_some() && canonical_origin(origin) == own
}

/// Returns the origins whose pages may open sockets besides the server's own.
///
/// Origins that `cors` lists are included. `cors` with any origin is not, because browsers send cookies with a
/// websocket whatever CORS allows.
pub(in crate::server) fn socket_origins(server: &Server) -> Origins {
    match &server.cors {
        Origins::Any => server.origins.clone(),
        cors => server.origins.clone().or(cors.clone()),
    }
}

/// Returns the session id of an OPEN packet: `0{"sid":"…",…}`.
fn id_of_open(body: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Open {
        sid: String,
    }
    let json = body.strip_prefix(b"0")?;
    serde_json::from_slice::<Open>(json)
        .ok()
        .map(|open| open.sid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_as_the_library_reads_it() {
        for (query, session, is_websocket) in [
            ("EIO=4&transport=websocket", None, true),
            ("EIO=4&transport=websocket=x&sid=a=b", Some("a=b"), true),
            (
                "transport=polling&transport=websocket&sid=",
                Some(""),
                false,
            ),
            ("transport=%77ebsocket&xsid=a", None, false),
        ] {
            let uri = format!("/socket.io/?{query}");
            let (parts, ()) = axum::http::Request::get(uri).body(()).unwrap().into_parts();
            let query_of = EngineQuery::of(&parts);
            assert_eq!(
                (query_of.session, query_of.is_websocket),
                (session, is_websocket),
                "{query}"
            );
        }
    }
}
