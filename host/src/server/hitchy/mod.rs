//! Door: `request` in the namespace /hitchy. The same request as over HTTP, inside a packet, and its answer as the ack.

mod answer;
mod cookies;
mod packet;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::http::{HeaderName, HeaderValue, header};
use futures_util::FutureExt;
use socketioxide::adapter::Adapter;
use socketioxide::handler::{MessageHandler, Value};
use socketioxide::socket::Socket;
use tokio::sync::Semaphore;

use self::answer::Answer;
pub(crate) use self::answer::{AnswerBody, AnswerHeaders};
pub(crate) use self::packet::is_withheld;
use self::packet::{FROM_HANDSHAKE, Packet};
use crate::config::SetCookie;
use crate::dispatch::error_response;
use crate::message::{Door, Request};
use crate::payload::{Failure, check_depth};
use crate::server::hitchy::cookies::Cookies;
use crate::server::socketio::ack::Ack;
use crate::server::socketio::inbox::{Inbox, Received};

/// Requests of one connection that run at the same time.
pub(in crate::server) const RUNNING: usize = 32;

/// Takes requests from the library and lets them run side by side.
pub(in crate::server) struct Requests<A: Adapter> {
    inbox: Inbox<A>,
    running: Arc<Semaphore>,
    /// What the handshake says of the client.
    identity: Vec<(HeaderName, HeaderValue)>,
    cookies: Arc<Cookies>,
    set_cookie: SetCookie,
}

impl<A: Adapter> Requests<A> {
    pub(in crate::server) fn new(inbox: Inbox<A>, set_cookie: SetCookie) -> Self {
        let handshake = &inbox.connection.handshake.headers;
        let identity = FROM_HANDSHAKE.into_iter().flat_map(|name| {
            let values = handshake.get_all(&name).into_iter().cloned();
            values.map(move |value| (name.clone(), value))
        });
        Self {
            running: Arc::new(Semaphore::new(RUNNING)),
            identity: identity.collect(),
            cookies: Cookies::new(handshake),
            set_cookie,
            inbox,
        }
    }

    fn request(&self, received: &Received) -> Result<Request, Failure> {
        let text = received.text.as_str();
        check_depth(text)?;
        let packet = Packet::read(text)?;
        let method = packet.method()?;
        let target = packet.target()?;
        let mut headers = packet.headers()?;
        let body = packet.body(&mut headers, &received.attachments)?;
        for (name, value) in &self.identity {
            headers.append(name.clone(), value.clone());
        }
        for value in self.cookies.headers() {
            headers.append(header::COOKIE, value);
        }
        let connection = &self.inbox.connection;
        Ok(Request {
            id: Arc::clone(&received.id),
            door: Door::Socket,
            method,
            target,
            headers,
            body,
            remote: connection.handshake.remote,
            socket: Some(Arc::clone(connection)),
            context: connection.context(),
        })
    }

    /// Answers what is not run.
    fn refuse(&self, ack: Ack<A>, failure: &Failure) {
        self.inbox.dispatch.answered(Door::Socket, failure.code);
        let mut response = error_response(ack.id(), failure);
        if failure.code == 429 {
            response
                .headers
                .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        ack.send_now(response, |response, ack| {
            let answer = Answer {
                response,
                set_cookie: SetCookie::Withhold,
            };
            ack.try_send(&answer, response.body.len())
        });
    }
}

impl<A: Adapter> MessageHandler<A, Requests<A>> for Requests<A> {
    fn call(&self, socket: Arc<Socket<A>>, value: Value, ack_id: Option<i64>) {
        let (ack, received) = self.inbox.receive(&socket, value, ack_id);
        let received = match received {
            Ok(received) => received,
            Err(failure) => return self.refuse(ack, &failure),
        };
        let name = received.name();
        if name != Some("request") {
            let name = name.unwrap_or_default();
            let sentence = format!("only `request` is answered in /hitchy, not {name:?}");
            return ack.fail_now(&Failure::new(404, sentence));
        }
        let Some(waiting) = self.inbox.place(received.size()) else {
            let sentence =
                "too many requests of this connection are running and waiting; send more slowly";
            return self.refuse(ack, &Failure::new(429, sentence));
        };
        let request = match self.request(&received) {
            Ok(request) => request,
            Err(failure) => return self.refuse(ack, &failure),
        };
        let accepted = match self.inbox.dispatch.accept() {
            Ok(accepted) => accepted,
            Err(refusal) => return self.refuse(ack, &refusal.failure()),
        };
        let running = Arc::clone(&self.running);
        let (dispatch, cookies) = (Arc::clone(&self.inbox.dispatch), Arc::clone(&self.cookies));
        let set_cookie = self.set_cookie;
        let answered = async move {
            let _waiting = waiting;
            let _permit = running.acquire().await;
            // Shutting down waits for the ack too.
            let _accepted = accepted.clone();
            let response = &dispatch.request_whole(request, accepted).await;
            cookies.keep(&response.headers);
            let bytes = response.body.len();
            let answer = Answer {
                response,
                set_cookie,
            };
            ack.send(&answer, bytes).await;
        };
        start(answered);
    }
}

/// Runs as far as it gets at once, and the rest in a task of its own: most requests are answered without one. A panic in it drops the
/// ack, which then answers by itself; it must not reach the library's reading.
fn start(answered: impl Future<Output = ()> + Send + 'static) {
    let mut answered = Box::pin(AssertUnwindSafe(answered).catch_unwind());
    if answered.as_mut().now_or_never().is_none() {
        tokio::spawn(answered);
    }
}
