//! Requests of polling sessions.

use std::sync::Arc;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use super::Transports;
use crate::ending::Ending;
use crate::payload::Failure;
use crate::server::counted_body::CountedBody;
use crate::server::http::headers::content_length;
use crate::server::socketio::payload::{pieces, rewrite};
use crate::server::socketio::query::{EngineError, Transport};
use crate::server::socketio::wire::first_packet::FirstPacket;
use crate::session::Session;

/// Largest number of bytes of packets that are passed to the library at once.
const MAX_PIECE: usize = 64 << 10;
/// The packet that ends a poll without anything to say.
const NOOP: &str = "6";

impl Transports {
    /// Answers a GET or a POST of a polling session.
    pub(super) async fn poll(
        &self,
        session: Arc<Session>,
        mut parts: Parts,
        mut body: Body,
    ) -> Response {
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
