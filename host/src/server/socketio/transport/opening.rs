//! Requests that open a session or a websocket.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use hyper_util::rt::TokioIo;

use super::{MAX_SMALL, Transports};
use crate::payload::Failure;
use crate::server::http::peer::Peer;
use crate::server::limits::CLOSE_TIMEOUT;
use crate::server::socketio::handshake::{self, HandshakeError};
use crate::server::socketio::open_packet::{id_of_open, new_key};
use crate::server::socketio::query::{EngineError, EngineQuery, Transport};
use crate::server::socketio::wire::first_packet::FirstPacket;
use crate::server::socketio::wire::{ClosedGuard, WireStream};
use crate::session::Session;

/// Longest time for a polling session to move to a websocket, as in engine.io for Node.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);

impl Transports {
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
    pub(super) async fn open_polling(&self, mut parts: Parts, body: Body) -> Response {
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
    pub(super) async fn open_websocket(&self, mut parts: Parts, body: Body) -> Response {
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

    /// Answers a request that opens a websocket for a polling session, which moves to it when its client says so.
    pub(super) async fn upgrade(
        &self,
        session: Arc<Session>,
        parts: Parts,
        body: Body,
    ) -> Response {
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
}

/// Ends the probe of a websocket when the websocket has taken the session over, or has failed.
struct ProbeGuard(Arc<Session>);

impl Drop for ProbeGuard {
    fn drop(&mut self) {
        self.0.probe.end();
    }
}
