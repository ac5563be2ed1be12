//! The door of engine.io requests, both polling and websocket, in front of the socket.io library.
//!
//! It checks the origin of a request, opens a session or finds the session of the request, and counts the bytes
//! of polls. The key of a session is ours, because the library's own id is the public id of the client's sockets.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper_util::rt::TokioIo;

use super::engine::Engine;
use super::handshake::{self, HandshakeError};
use super::open_packet::{OpenPacket, id_of_open, new_key};
use super::payload::{pieces, rewrite};
use super::query::{EngineError, EngineQuery, Transport};
use super::wire::first_packet::FirstPacket;
use super::wire::{ClosedGuard, WireStream};
use crate::config::{Config, Origins, Server, canonical_origin};
use crate::dispatch::{Dispatch, Refusal};
use crate::ending::Ending;
use crate::payload::Failure;
use crate::registry::Registry;
use crate::server::counted_body::CountedBody;
use crate::server::http::HttpDoor;
use crate::server::http::body::BodyReader;
use crate::server::http::headers::content_length;
use crate::server::http::peer::{Peer, remote};
use crate::server::limits::CLOSE_TIMEOUT;
use crate::session::{Session, Sessions};

/// Largest response of the library that opens a session or refuses a request, in bytes. Real responses have some 100
/// bytes.
const MAX_SMALL: usize = 4 << 10;
/// Largest number of bytes of packets that are passed to the library at once.
const MAX_PIECE: usize = 64 << 10;
/// Longest time for a polling session to move to a websocket, as in engine.io for Node.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest number of characters of a client's text in a line of the log.
const MAX_LOGGED: usize = 100;
/// The packet that ends a poll without anything to say.
const NOOP: &str = "6";

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

    /// Opens a session for a request. If the library refuses the request, the session is dropped with it.
    fn open(&self, parts: &mut Parts, is_websocket: bool) -> Result<Arc<Session>, Failure> {
        let peer = parts.extensions.get::<Peer>();
        let outbound = peer
            .filter(|_| is_websocket)
            .map(|peer| Arc::clone(&peer.outbound));
        let session = self.sessions.open(self.remote(parts), outbound)?;
        parts.extensions.insert(Arc::clone(&session));
        Ok(session)
    }

    /// Answers a request that opens a polling session.
    async fn open_polling(&self, mut parts: Parts, body: Body) -> Response {
        let session = match self.open(&mut parts, false) {
            Ok(session) => session,
            Err(failure) => return self.http.refuse(&parts.headers, body, &failure).await,
        };
        let response = self.forward(parts, body).await;
        if response.status() != StatusCode::OK {
            return response;
        }
        // The id of the session is known to the library only, which does not offer it (socketioxide 0.18). The
        // body is in memory, so that nothing waits here.
        let (mut head, content) = response.into_parts();
        let packet = to_bytes(content, MAX_SMALL).await.unwrap_or_default();
        let Some(id) = id_of_open(&packet) else {
            return Response::from_parts(head, Body::from(packet));
        };
        let key = new_key();
        self.sessions.name(&session, &key, &id);
        // The time is bounded in case that a later version of the library sends no ping at once.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, self.answer_first_ping(&id)).await;
        let packet = self.open_packet.of_polling(&key);
        head.headers
            .insert(header::CONTENT_LENGTH, HeaderValue::from(packet.len()));
        Response::from_parts(head, Body::from(packet))
    }

    /// Takes the library's first ping, and answers it in the client's name.
    ///
    /// The library (engineioxide 0.17) sends it at once and not after `ping-interval`, as the protocol has it.
    async fn answer_first_ping(&self, id: &str) {
        let uri = EngineQuery::of_session(id, Transport::Polling).uri(&self.path);
        let poll = Request::get(&uri).body(Body::empty());
        let pong = Request::post(&uri).body(Body::from("3"));
        if let (Ok(poll), Ok(pong)) = (poll, pong) {
            self.engine.answer(poll).await;
            self.engine.answer(pong).await;
        }
    }

    /// Answers a request that opens a session over a websocket.
    async fn open_websocket(&self, mut parts: Parts, body: Body) -> Response {
        let response = match handshake::accept(&parts) {
            Ok(response) => response,
            Err(error) => return self.refuse_handshake(&error, &parts, body).await,
        };
        let session = match self.open(&mut parts, true) {
            Ok(session) => session,
            Err(failure) => return self.http.refuse(&parts.headers, body, &failure).await,
        };
        let engine = Arc::clone(&self.engine);
        let packet = self.open_packet.of_websocket();
        let mut request = Request::from_parts(parts, ());
        // Ends when the response has been sent, or its connection ends.
        tokio::spawn(async move {
            if let Ok(stream) = hyper::upgrade::on(&mut request).await {
                let first_packet = FirstPacket::of(&session);
                let stream = TokioIo::new(stream);
                let closed = ClosedGuard::new(session);
                let websocket = WireStream::of_new_session(stream, packet, first_packet, closed);
                engine.serve(websocket, request);
            }
        });
        response
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

    /// Answers a request that opens a websocket for a polling session, which moves to it when its client says so.
    async fn upgrade(&self, session: Arc<Session>, parts: Parts, body: Body) -> Response {
        let response = match handshake::accept(&parts) {
            Ok(response) => response,
            Err(error) => return self.refuse_handshake(&error, &parts, body).await,
        };
        let peer = parts.extensions.get::<Peer>().cloned();
        let (Some(peer), Some(uri)) = (peer, self.uri(&session, Transport::Websocket)) else {
            return self.refuse(EngineError::BadRequest, &parts, body).await;
        };
        // The probe begins first: a websocket that took the session over meanwhile has ended its own.
        let probing = session.probe.begin().then(|| ProbeGuard(session));
        let Some(probing) = probing.filter(|probing| !probing.0.has_websocket()) else {
            return self.refuse(EngineError::BadRequest, &parts, body).await;
        };
        let engine = Arc::clone(&self.engine);
        let mut request = Request::from_parts(parts, ());
        tokio::spawn(async move {
            let session = &probing.0;
            let Ok(stream) = hyper::upgrade::on(&mut request).await else {
                return;
            };
            let mut stream = TokioIo::new(stream);
            let upgraded = handshake::probe(&mut stream, &session.probe);
            let Ok(Ok(early)) = tokio::time::timeout(UPGRADE_TIMEOUT, upgraded).await else {
                return;
            };
            session.upgrade(&peer.outbound);
            let websocket = WireStream::of_upgrade(stream, &early, FirstPacket::of(session));
            *request.uri_mut() = uri;
            engine.serve(websocket, request);
        });
        response
    }

    /// Returns the target of a request of a polling session to the library.
    fn uri(&self, session: &Session, transport: Transport) -> Option<Uri> {
        let query = EngineQuery::of_session(session.library_id()?, transport);
        query.uri(&self.path).parse().ok()
    }

    /// Answers a GET or a POST of a polling session.
    async fn poll(&self, session: Arc<Session>, mut parts: Parts, mut body: Body) -> Response {
        let uri = self.uri(&session, Transport::Polling);
        let Some(uri) = uri.filter(|_| !session.has_websocket()) else {
            return self.refuse(EngineError::BadRequest, &parts, body).await;
        };
        parts.uri = uri;
        if parts.method == Method::GET {
            let poll = PollGuard::new(&session);
            let response = tokio::select! {
                biased;
                response = self.forward(parts, body) => response,
                // A poll that is dropped while it waits has taken nothing from the library's queue.
                () = session.probe.answered() => noop(),
            };
            let written = content_length(response.headers()).unwrap_or(0);
            // Before the end of the poll, because what is written shows that the client takes something.
            session.polls().wrote(written as usize);
            poll.complete();
            // What the client has not read yet goes on counting among what waits for it.
            let polls = Arc::clone(session.polls());
            return response.map(|body| Body::new(CountedBody::new(body, polls)));
        }
        match self.bodies.read(&mut body, &parts.headers).await {
            Ok(packets) => self.post(session, parts, packets).await,
            Err(failure) => {
                if failure.code == 413 {
                    session.end(Ending::TooLarge);
                }
                let response = self.http.refuse(&parts.headers, body, &failure).await;
                without_ending(response)
            }
        }
    }

    /// Answers a POST with packets, with a 413 if one of the packets ended the session by its size.
    async fn post(&self, session: Arc<Session>, mut parts: Parts, packets: Bytes) -> Response {
        let headers = parts.headers.clone();
        let packets = rewrite(packets, FirstPacket::of(&session));
        let response = self.forward_packets(&mut parts, packets).await;
        if session.ending() != Some(Ending::TooLarge) {
            return response;
        }
        let failure = Failure::new(413, "a packet was too large, and the session is closed");
        let response = self.http.refuse(&headers, Body::empty(), &failure).await;
        without_ending(response)
    }

    /// Passes packets to the library, some at a time: the library hands over all packets of a request in one step, and
    /// other clients would wait meanwhile. Ends with the first answer that is not a success.
    async fn forward_packets(&self, parts: &mut Parts, packets: Bytes) -> Response {
        let mut pieces = pieces(packets, MAX_PIECE);
        let mut piece = pieces.next().unwrap_or_default();
        loop {
            parts
                .headers
                .insert(header::CONTENT_LENGTH, HeaderValue::from(piece.len()));
            let response = self.forward(parts.clone(), Body::from(piece)).await;
            match pieces.next() {
                Some(next) if response.status() == StatusCode::OK => piece = next,
                _ => return response,
            }
            tokio::task::yield_now().await;
        }
    }

    /// Answers a request that opens no websocket.
    async fn refuse_handshake(
        &self,
        error: &HandshakeError,
        parts: &Parts,
        body: Body,
    ) -> Response {
        match error {
            HandshakeError::NoWebsocket => self.refuse(EngineError::BadRequest, parts, body).await,
            HandshakeError::Version => {
                self.bodies.discard(body, &parts.headers).await;
                handshake::refuse_version()
            }
        }
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

/// Removes the reason for which the connection of a refusal is closed, because the session was ended for it.
fn without_ending(mut response: Response) -> Response {
    response.extensions_mut().insert(Ending::Refused);
    response
}

/// Returns the answer to a poll that has nothing to say.
fn noop() -> Response {
    let text = [(header::CONTENT_TYPE, "text/plain; charset=UTF-8")];
    (text, NOOP).into_response()
}

/// Ends the probe of a websocket when the websocket has taken the session over, or has failed.
struct ProbeGuard(Arc<Session>);

impl Drop for ProbeGuard {
    fn drop(&mut self) {
        self.0.probe.end();
    }
}

/// Marks a session as reading for the time of a poll. A poll that its client gives up ends the session, as in
/// engine.io for Node: the client has lost its connection, and opens another session.
struct PollGuard<'a> {
    session: &'a Session,
    is_complete: bool,
}

impl<'a> PollGuard<'a> {
    fn new(session: &'a Session) -> Self {
        session.polls().resume();
        Self {
            session,
            is_complete: false,
        }
    }

    /// Notes that the poll is answered.
    fn complete(mut self) {
        self.is_complete = true;
    }
}

impl Drop for PollGuard<'_> {
    fn drop(&mut self) {
        self.session.polls().stop();
        if !self.is_complete {
            self.session.end(Ending::PollAborted);
        }
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
