//! The door of engine.io requests, both polling and websocket, in front of the socket.io library. `opening` has the
//! requests that open a session or a websocket, `polling` those of polling sessions.
//!
//! It checks the origin of a request, opens a session or finds the session of the request, and counts the bytes
//! of polls. The key of a session is ours, because the library's own id is the public id of the client's sockets.

mod opening;
mod polling;

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::Response;

use super::engine::Engine;
use super::open_packet::OpenPacket;
use super::query::{EngineError, EngineQuery, Transport};
use crate::config::{Config, Origins, Server, canonical_origin};
use crate::dispatch::{Dispatch, Refusal};
use crate::payload::Failure;
use crate::registry::Registry;
use crate::server::http::HttpDoor;
use crate::server::http::body::BodyReader;
use crate::server::http::peer::remote;
use crate::session::{Session, Sessions};

/// Largest response of the library that opens a session or refuses a request, in bytes. Real responses have some 100
/// bytes.
const MAX_SMALL: usize = 4 << 10;
/// Largest number of characters of a client's text in a line of the log.
const MAX_LOGGED: usize = 100;

/// Passes engine.io requests to the socket.io library.
pub(in crate::server) struct Transports {
    engine: Arc<dyn Engine>,
    sessions: Arc<Sessions>,
    registry: Arc<Registry>,
    dispatch: Arc<Dispatch>,
    http: Arc<HttpDoor>,
    /// Reads the bodies of polling requests.
    bodies: BodyReader,
    server: Server,
    /// Origins whose pages may open sockets.
    origins: Origins,
    transports: Vec<Transport>,
    open_packet: OpenPacket,
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

impl Transports {
    /// Creates the door in front of the library. `bodies` limits the bodies of polling requests.
    pub(in crate::server) fn new(
        engine: Arc<dyn Engine>,
        sessions: Arc<Sessions>,
        registry: Arc<Registry>,
        http: Arc<HttpDoor>,
        bodies: BodyReader,
        config: &Config,
    ) -> Self {
        Self {
            engine,
            sessions,
            registry,
            dispatch: Arc::clone(http.dispatch()),
            http,
            bodies,
            origins: socket_origins(&config.server),
            server: config.server.clone(),
            transports: config.socket.transports.clone(),
            open_packet: OpenPacket::of(config),
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
        let is_new = EngineQuery::of(&parts).session.is_none();
        match self.check_sender(&parts, is_new) {
            Err(failure) => return self.http.refuse(&parts.headers, body, &failure).await,
            Ok(Sender::Trusted) => {}
            // With cookies, any page could act in the name of its visitors.
            Ok(Sender::AnyPage) => drop(parts.headers.remove(header::COOKIE)),
        }
        match self.check_query(&parts) {
            Err(error) => self.refuse(error, &parts, body).await,
            Ok((None, Transport::Polling)) => self.open_polling(parts, body).await,
            Ok((None, Transport::Websocket)) => self.open_websocket(parts, body).await,
            Ok((Some(session), Transport::Polling)) => self.poll(session, parts, body).await,
            Ok((Some(session), Transport::Websocket)) => self.upgrade(session, parts, body).await,
        }
    }

    /// Returns the session that a request is for, if any, and the transport, in the order of checks of engine.io.
    fn check_query(&self, parts: &Parts) -> Result<(Option<Arc<Session>>, Transport), EngineError> {
        let query = EngineQuery::of(parts);
        let transport = query
            .transport
            .filter(|transport| self.transports.contains(transport))
            .ok_or(EngineError::UnknownTransport)?;
        if let Some(key) = query.session {
            let session = self.find(key, parts).ok_or(EngineError::UnknownSession)?;
            return Ok((Some(session), transport));
        }
        if parts.method != Method::GET {
            return Err(EngineError::BadMethod);
        }
        if !query.is_supported() {
            self.note_protocol(query.protocol, parts);
            return Err(EngineError::UnsupportedProtocol);
        }
        Ok((None, transport))
    }

    /// Counts and logs a client of another version of the protocol, which tries again and again.
    fn note_protocol(&self, protocol: Option<&str>, parts: &Parts) {
        if let Some(total) = self.sessions.metrics().foreign_clients.count() {
            let remote = self.remote(parts);
            let protocol: String = protocol
                .unwrap_or("none")
                .chars()
                .take(MAX_LOGGED)
                .collect();
            tracing::warn!(%remote, "a client was refused that speaks engine.io's protocol {protocol:?}; version 4 is served, which clients of socket.io 3 and 4 speak; {total} clients of other protocols so far");
        }
    }

    fn remote(&self, parts: &Parts) -> IpAddr {
        remote(&self.server, parts.extensions.get(), &parts.headers).ip()
    }

    /// Returns the sender of a request. The failure is a 403 if pages of its origin may not open sockets, or a
    /// 503 if the server is starting or shutting down.
    fn check_sender(&self, parts: &Parts, is_new: bool) -> Result<Sender, Failure> {
        if !self.registry.table().ready {
            return Err(Refusal::Starting.failure());
        }
        // Existing sessions go on, so that acks and disconnect packets still pass.
        if is_new {
            self.dispatch.openness().map_err(Refusal::failure)?;
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
                let origin: String = origin.chars().take(MAX_LOGGED).collect();
                tracing::warn!(
                    "a page of {origin:?} may not open sockets here; [server] origins = [{origin:?}] lets it; {total} such requests so far"
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

    /// Returns the session of a request; none if it does not exist or was opened from another address.
    ///
    /// Whether the address is compared is a setting: a key is secret, but whoever reads it acts for its client.
    fn find(&self, key: &str, parts: &Parts) -> Option<Arc<Session>> {
        let session = self.sessions.find(key)?;
        let address = self.remote(parts);
        if !self.bind_address || address == session.remote {
            return Some(session);
        }
        if let Some(total) = self.sessions.metrics().foreign_addresses.count() {
            tracing::info!(remote = %address, "a session of {} was asked for and not given; [socket] bind-address = false would have; {total} such requests so far", session.remote);
        }
        None
    }

    /// Returns the target of a request of a polling session to the library.
    fn uri(&self, session: &Session, transport: Transport) -> Option<Uri> {
        let query = EngineQuery::of_session(session.library_id()?, transport);
        query.uri(&self.path).parse().ok()
    }

    /// Answers with a 400 and an error in the format of engine.io.
    async fn refuse(&self, error: EngineError, parts: &Parts, body: Body) -> Response {
        self.bodies.discard(body, &parts.headers).await;
        let mut response = Response::new(Body::from(error.body()));
        *response.status_mut() = StatusCode::BAD_REQUEST;
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        response
    }

    /// Passes a request to the library. Errors of engine.io get the form that they have in engine.io for Node.
    async fn forward(&self, parts: Parts, body: Body) -> Response {
        let request = Request::from_parts(parts, body);
        let response = self.engine.answer(request).await;
        if response.status() != StatusCode::BAD_REQUEST {
            return response;
        }
        let (mut head, content) = response.into_parts();
        let content = to_bytes(content, MAX_SMALL).await.unwrap_or_default();
        let Some(error) = EngineError::of_library(&content) else {
            return Response::from_parts(head, Body::from(content));
        };
        head.headers.remove(header::CONTENT_LENGTH);
        Response::from_parts(head, Body::from(error.body()))
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
