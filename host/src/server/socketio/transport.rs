//! Polling and websockets, on their way into the socket.io library: who may open a session, which session a request belongs to, and
//! what goes over a session that is polled.

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

use crate::config::{Config, Origins, Server};
use crate::dispatch::{Dispatch, Refusal};
use crate::payload::Failure;
use crate::registry::Registry;
use crate::server::http::HttpDoor;
use crate::server::http::body::Bodies;
use crate::server::http::peer::{Peer, remote};
use crate::session::{Ending, Session, Sessions};

/// Bytes of the library's answer that opens a session: far more than it has.
const MAX_OPEN: usize = 4 << 10;

/// The way to the socket.io library.
pub(in crate::server) struct Transports {
    library: Router,
    sessions: Arc<Sessions>,
    registry: Arc<Registry>,
    dispatch: Arc<Dispatch>,
    http: Arc<HttpDoor>,
    /// Reads what is posted.
    bodies: Bodies,
    server: Server,
    visitors: Origins,
    bind_address: bool,
    path: String,
}

/// Who asks.
enum Visitor {
    /// No page, or one of an origin that was named.
    Known,
    /// A page of any origin.
    Anyone,
}

/// What a request asks for, read as the library reads it.
struct Asked<'a> {
    session: Option<&'a str>,
    is_websocket: bool,
}

impl<'a> Asked<'a> {
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
    pub(in crate::server) fn new(
        library: Router,
        sessions: Arc<Sessions>,
        registry: Arc<Registry>,
        http: Arc<HttpDoor>,
        bodies: Bodies,
        config: &Config,
    ) -> Self {
        Self {
            library,
            sessions,
            registry,
            dispatch: Arc::clone(http.dispatch()),
            http,
            bodies,
            visitors: visitors(&config.server),
            server: config.server.clone(),
            bind_address: config.socket.bind_address,
            path: config.socket.path.clone(),
        }
    }

    /// Whether a path is the library's.
    pub(in crate::server) fn owns(&self, path: &str) -> bool {
        let rest = path.strip_prefix(&self.path);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Answers a request of engine.io.
    pub(in crate::server) async fn answer(&self, mut parts: Parts, body: Body) -> Response {
        let Asked {
            session,
            is_websocket,
        } = Asked::of(&parts);
        let session = session.map(str::to_owned);
        match self.check_visitor(&parts, session.is_none()) {
            Err(failure) => return self.http.refuse(&parts.headers, body, &failure).await,
            Ok(Visitor::Known) => {}
            // Else any page could act in the name of its visitors.
            Ok(Visitor::Anyone) => drop(parts.headers.remove(header::COOKIE)),
        }
        match session.as_deref() {
            // Only GET opens a session. To all else the library says what is wrong with it.
            None if parts.method != Method::GET => self.pass_on(parts, body).await,
            None => self.open(is_websocket, parts, body).await,
            Some(id) => match self.find(id, &parts) {
                Some(session) if is_websocket => self.upgrade(session, parts, body).await,
                Some(session) => self.go_on(session, parts, body).await,
                None => self.complain(1, "Session ID unknown", &parts, body).await,
            },
        }
    }

    /// Who asks, or why a request is not let through.
    fn check_visitor(&self, parts: &Parts, is_new: bool) -> Result<Visitor, Failure> {
        if !self.registry.table().ready {
            return Err(Refusal::Starting.failure());
        }
        // Sessions that exist may say goodbye.
        if self.dispatch.is_draining() && is_new {
            return Err(Refusal::Draining.failure());
        }
        let Some(origin) = parts.headers.get(header::ORIGIN) else {
            return Ok(Visitor::Known);
        };
        let origin = origin.to_str().unwrap_or_default();
        if is_own(origin, &parts.headers) {
            return Ok(Visitor::Known);
        }
        if !self.visitors.allow(origin) {
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
        Ok(match self.visitors {
            Origins::Any => Visitor::Anyone,
            _ => Visitor::Known,
        })
    }

    /// A request that opens a session, or none of engine.io's: then the library says so, and the session is dropped with it.
    async fn open(&self, is_websocket: bool, mut parts: Parts, body: Body) -> Response {
        let peer = parts.extensions.get::<Peer>();
        let line = peer.filter(|_| is_websocket);
        let line = line.map(|peer| Arc::clone(&peer.line));
        let remote = remote(&self.server, peer, &parts.headers).ip();
        let session = match self.sessions.open(remote, line) {
            Ok(session) => session,
            Err(failure) => return self.http.refuse(&parts.headers, body, &failure).await,
        };
        parts.extensions.insert(Arc::clone(&session));
        let response = self.pass_on(parts, body).await;
        if is_websocket || response.status() != StatusCode::OK {
            return response;
        }
        let (parts, body) = response.into_parts();
        // It is in memory already.
        let body = to_bytes(body, MAX_OPEN).await.unwrap_or_default();
        if let Some(id) = id_of_open(&body) {
            self.sessions.name(&session, &id);
        }
        Response::from_parts(parts, Body::from(body))
    }

    /// The session of a request, if it comes from where the session was opened: an id is not secret, since people show ids of
    /// sockets to each other.
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

    /// A session that was polled goes on over a websocket.
    async fn upgrade(&self, session: Arc<Session>, parts: Parts, body: Body) -> Response {
        if session.has_websocket() {
            return self.complain(3, "Bad request", &parts, body).await;
        }
        let peer = parts.extensions.get::<Peer>().cloned();
        let response = self.pass_on(parts, body).await;
        if let Some(peer) = peer
            && response.status() == StatusCode::SWITCHING_PROTOCOLS
        {
            session.upgrade(&peer.line);
        }
        response
    }

    /// A poll, or a post, of a session that exists.
    async fn go_on(&self, session: Arc<Session>, parts: Parts, mut body: Body) -> Response {
        if parts.method == Method::GET {
            let _poll = Poll::begin(&session);
            let response = self.pass_on(parts, body).await;
            session.polls().wrote(length(response.headers()));
            return response;
        }
        match self.bodies.read(&mut body, &parts.headers).await {
            Ok(whole) => self.post(session, parts, whole).await,
            Err(failure) => {
                if failure.code == 413 {
                    session.end(Ending::TooLarge);
                }
                self.http.refuse(&parts.headers, body, &failure).await
            }
        }
    }

    /// Packets of a client that polls.
    async fn post(&self, session: Arc<Session>, parts: Parts, packets: Bytes) -> Response {
        let headers = parts.headers.clone();
        let response = self.pass_on(parts, Body::from(packets)).await;
        if session.ending() != Some(Ending::TooLarge) {
            return response;
        }
        let failure = Failure::new(413, "a packet was too large, and the session is closed");
        self.http.refuse(&headers, Body::empty(), &failure).await
    }

    /// Answers with an error of engine.io, with its code and words.
    async fn complain(&self, code: u8, message: &str, parts: &Parts, body: Body) -> Response {
        self.bodies.discard(body, &parts.headers).await;
        let body = format!(r#"{{"code":"{code}","message":"{message}"}}"#);
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = StatusCode::BAD_REQUEST;
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        response
    }

    async fn pass_on(&self, parts: Parts, body: Body) -> Response {
        let request = Request::from_parts(parts, body);
        let Ok(response) = self.library.clone().oneshot(request).await;
        response
    }
}

/// Closes polling sessions that were ended, in the library's own way: as if the client had said goodbye.
pub(in crate::server) async fn close_ended(
    library: Router,
    path: String,
    mut ids: UnboundedReceiver<String>,
) {
    while let Some(id) = ids.recv().await {
        let uri = format!("{path}/?EIO=4&transport=polling&sid={id}");
        let Ok(goodbye) = Request::post(uri).body(Body::from("1")) else {
            continue;
        };
        // One that is closed already, or has become a websocket, is unknown to it.
        let Ok(_) = library.clone().oneshot(goodbye).await;
    }
}

/// A poll under way.
struct Poll<'a>(&'a Session);

impl<'a> Poll<'a> {
    fn begin(session: &'a Session) -> Self {
        session.polls().take();
        Self(session)
    }
}

impl Drop for Poll<'_> {
    fn drop(&mut self) {
        self.0.polls().stop();
    }
}

/// Whether a page comes from this very server: same host and port as the request's own.
fn is_own(origin: &str, headers: &HeaderMap) -> bool {
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    authority
        .zip(host)
        .is_some_and(|(authority, host)| authority.eq_ignore_ascii_case(host))
}

/// Origins whose pages may open sockets besides the server's own. Those that may ask over HTTP may do it over sockets; but everyone
/// is not meant by that, since with a websocket cookies come along whatever CORS says.
pub(in crate::server) fn visitors(server: &Server) -> Origins {
    match &server.cors {
        Origins::Any => server.origins.clone(),
        cors => server.origins.clone().or(cors.clone()),
    }
}

/// The id in the library's answer that opens a session: `0{"sid":"…",…}`.
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

fn length(headers: &HeaderMap) -> usize {
    let length = headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
    length.unwrap_or(0)
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
            let asked = Asked::of(&parts);
            assert_eq!(
                (asked.session, asked.is_websocket),
                (session, is_websocket),
                "{query}"
            );
        }
    }
}
