//! The way to answer an event: used or not, the client that wants an answer gets exactly one. If it cannot get it, since it does not
//! take what it is sent, its connection ends: no ack is lost in silence.

use std::convert::Infallible;
use std::sync::Arc;

use serde::Serialize;
use socketioxide::adapter::Adapter;
use socketioxide::extract::AckSender;
use socketioxide::handler::{FromMessageParts, Value};
use socketioxide::socket::Socket;
use socketioxide::{SendError, SocketError};

use super::waiting::Waiting;
use crate::dispatch::ack_of_failure;
use crate::emitter::is_full;
use crate::message::CallId;
use crate::payload::{Failure, Payload};
use crate::session::Session;

/// The way to answer an event, if an answer is wanted: used or not, the client gets exactly one.
pub(super) struct Ack<A: Adapter> {
    socket: Arc<Socket<A>>,
    session: Arc<Session>,
    /// The client's number for it, until it is sent.
    wanted: Option<i64>,
    /// Whether it is counted among what waits for the client.
    counted: bool,
    id: CallId,
    _waiting: Option<Waiting>,
}

impl<A: Adapter> Ack<A> {
    pub(super) fn new(
        socket: &Arc<Socket<A>>,
        session: &Arc<Session>,
        ack_id: Option<i64>,
        id: CallId,
    ) -> Self {
        Self {
            socket: Arc::clone(socket),
            session: Arc::clone(session),
            wanted: ack_id,
            counted: false,
            id,
            _waiting: None,
        }
    }

    pub(super) fn while_waiting(mut self, waiting: Waiting) -> Ack<A> {
        self._waiting = Some(waiting);
        self
    }

    /// Names the call.
    pub(super) fn id(&self) -> &CallId {
        &self.id
    }

    /// Answers with any value: a struct is one argument, [`Payload::arguments`] are several. Waits until there is room for it, of
    /// about `bytes` bytes.
    pub(super) async fn send(mut self, value: &(impl Serialize + Sync), bytes: usize) {
        while self.wanted.is_some() {
            while self.is_crowded() {
                self.session.progress().await;
            }
            self.try_send(value, bytes);
        }
    }

    /// The same at once; a client without room for it is ended.
    pub(super) fn send_now(mut self, value: &impl Serialize, bytes: usize) {
        self.send_or_end(value, bytes);
    }

    /// Answers with the arguments of an ack.
    pub(super) async fn answer(self, payload: &Payload) {
        match payload.arguments() {
            Ok(arguments) => self.send(&arguments, payload.size()).await,
            Err(error) => self.fail_now(&error.into()),
        }
    }

    /// Answers with an error of an event.
    pub(super) async fn fail(self, failure: &Failure) {
        let payload = ack_of_failure(&self.id, failure);
        self.answer(&payload).await;
    }

    /// The same at once.
    pub(super) fn fail_now(mut self, failure: &Failure) {
        let payload = ack_of_failure(&self.id, failure);
        if let Ok(arguments) = payload.arguments() {
            self.send_or_end(&arguments, payload.size());
        }
    }

    fn send_or_end(&mut self, value: &impl Serialize, bytes: usize) {
        if self.wanted.is_some() && !self.try_send(value, bytes) {
            self.session.end_slow_reader(
                "it asks faster than it takes the answers, and there is no room for another",
            );
        }
        self.wanted = None;
    }

    /// Whether there is room for no more, for a client that is still there.
    fn is_crowded(&self) -> bool {
        self.socket.connected()
            && self.session.ending().is_none()
            && (self.session.is_heavy() || (self.session.may_be_full() && is_full(&*self.socket)))
    }

    /// Whether it was sent, or cannot be any more; not when there was no room.
    fn try_send(&mut self, value: &impl Serialize, bytes: usize) -> bool {
        // First: what is sent may be on its way at once.
        if !std::mem::replace(&mut self.counted, true) {
            self.session.hand(bytes);
        }
        let nothing = &mut Value::Str("[]".into(), None);
        let Ok(sender): Result<AckSender<A>, Infallible> =
            AckSender::from_message_parts(&self.socket, nothing, &self.wanted);
        match sender.send(value) {
            Err(SendError::Socket(SocketError::InternalChannelFull))
                if self.session.ending().is_none() =>
            {
                return false;
            }
            // A client that has gone misses nothing.
            Err(SendError::Socket(_)) => {}
            Err(SendError::Serialize(error)) => {
                tracing::error!(call = %self.id, "an ack could not be written: {error}");
            }
            Ok(()) => {}
        }
        self.wanted = None;
        true
    }
}

impl<A: Adapter> Drop for Ack<A> {
    fn drop(&mut self) {
        if self.wanted.is_some() {
            let failure = Failure::new(500, "internal server error");
            let payload = ack_of_failure(&self.id, &failure);
            if let Ok(arguments) = payload.arguments() {
                self.send_or_end(&arguments, payload.size());
            }
        }
    }
}
