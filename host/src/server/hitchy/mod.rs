//! The door of socket requests: the event `request` in the namespace `/hitchy`.
//!
//! A packet carries the same request as HTTP would, and the ack carries the response.

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

pub(crate) use self::answer::{AnswerBody, AnswerHeaders};
pub(crate) use self::packet::is_withheld;

use self::answer::Answer;
use self::cookies::Cookies;
use self::packet::{FROM_HANDSHAKE, Packet};
use super::socketio::ack::Ack;
use super::socketio::inbox::{Inbox, Received};
use crate::config::SetCookie;
use crate::dispatch::{AnswerSpace, error_response};
use crate::message::{Door, Request};
use crate::payload::{Failure, check_depth};

/// Largest number of requests of one connection that run at the same time.
pub(super) const MAX_RUNNING: usize = 32;

/// Receives the requests of one connection from the library and runs them concurrently.
pub(super) struct RequestDoor<A: Adapter> {
    inbox: Inbox<A>,
    running: Arc<Semaphore>,
    /// Headers of the handshake that identify the client; each request gets a copy.
    identity: Vec<(HeaderName, HeaderValue)>,
    cookies: Arc<Cookies>,
    set_cookie: SetCookie,
}

impl<A: Adapter> RequestDoor<A> {
    /// Creates the door of the connection of `inbox`.
    pub(super) fn new(inbox: Inbox<A>, set_cookie: SetCookie) -> Self {
        let handshake = &inbox.connection.handshake.headers;
        let identity = FROM_HANDSHAKE.into_iter().flat_map(|name| {
            let values = handshake.get_all(&name).into_iter().cloned();
            values.map(move |value| (name.clone(), value))
        });
        Self {
            running: Arc::new(Semaphore::new(MAX_RUNNING)),
            identity: identity.collect(),
            cookies: Cookies::new(handshake),
            set_cookie,
            inbox,
        }
    }

    /// Parses a request and adds the headers and cookies of its connection.
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

    /// Counts a request that is not run, and answers it with a failure.
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
            ack.try_send(&answer, answer.size())
        });
    }
}

impl<A: Adapter> MessageHandler<A, RequestDoor<A>> for RequestDoor<A> {
    fn call(&self, socket: Arc<Socket<A>>, value: Value, ack_id: Option<i64>) {
        let (ack, checked) = self.inbox.receive(&socket, value, ack_id);
        let received = match checked {
            Ok(received) => received,
            Err(failure) => return self.refuse(ack, &failure),
        };
        let name = received.name();
        if name.as_deref() != Some("request") {
            let other = name.unwrap_or_default();
            let sentence = format!("only `request` is answered in /hitchy, not {other:?}");
            return ack.fail_now(&Failure::new(404, sentence));
        }
        let Some(permit) = self.inbox.acquire(received.size()) else {
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
        let mut space = AnswerSpace::new(&self.inbox.connection);
        let set_cookie = self.set_cookie;
        let answered = async move {
            let _permit = permit;
            let _running = running.acquire().await;
            // A clone of its own, because the shutdown has to wait for the ack too.
            let _accepted = accepted.clone();
            let answered = dispatch.request_whole(request, accepted, &mut space);
            let response = &answered.await;
            cookies.keep(&response.headers);
            let answer = Answer {
                response,
                set_cookie,
            };
            // The place is held until the answer counts among what the library has queued.
            ack.send(&answer, answer.size()).await;
            drop(space);
        };
        start(answered);
    }
}

/// Polls a future once, and spawns a task for the rest if it is pending. Most requests need no task.
///
/// A panic drops the ack, which then answers by itself. The panic must not unwind into the library's read loop.
fn start(answered: impl Future<Output = ()> + Send + 'static) {
    let mut answered = Box::pin(AssertUnwindSafe(answered).catch_unwind());
    if answered.as_mut().now_or_never().is_none() {
        tokio::spawn(answered);
    }
}
