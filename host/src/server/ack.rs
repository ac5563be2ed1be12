//! The way to answer an event: used or not, the client that wants an answer gets exactly one.

use std::convert::Infallible;
use std::sync::Arc;

use serde::Serialize;
use socketioxide::adapter::Adapter;
use socketioxide::extract::AckSender;
use socketioxide::handler::{FromMessageParts, Value};
use socketioxide::socket::Socket;

use super::waiting::Waiting;
use crate::dispatch::ack_of_failure;
use crate::message::CallId;
use crate::payload::{Failure, Payload};

/// The way to answer an event, if an answer is wanted: used or not, the client gets exactly one.
pub(super) struct Ack<A: Adapter> {
    sender: Option<AckSender<A>>,
    id: CallId,
    _waiting: Option<Waiting>,
}

impl<A: Adapter> Ack<A> {
    pub(super) fn new(socket: &Arc<Socket<A>>, ack_id: Option<i64>, id: CallId) -> Self {
        let nothing = &mut Value::Str("[]".into(), None);
        let Ok(sender): Result<_, Infallible> =
            AckSender::from_message_parts(socket, nothing, &ack_id);
        Self {
            sender: ack_id.map(|_| sender),
            id,
            _waiting: None,
        }
    }

    pub(super) fn while_waiting(self, waiting: Waiting) -> Ack<A> {
        let mut ack = self;
        ack._waiting = Some(waiting);
        ack
    }

    /// Names the call.
    pub(super) fn id(&self) -> &CallId {
        &self.id
    }

    /// Answers with any value: a struct is one argument, [`Payload::arguments`] are several.
    pub(super) fn send(mut self, value: &impl Serialize) {
        if let Some(sender) = self.sender.take()
            && let Err(error) = sender.send(value)
        {
            tracing::warn!(call = %self.id, "an ack was lost: {error}");
        }
    }

    /// Answers with the arguments of an ack.
    pub(super) fn answer(self, payload: &Payload) {
        match payload.arguments() {
            Ok(arguments) => self.send(&arguments),
            Err(error) => self.fail(&error.into()),
        }
    }

    /// Answers with an error of an event.
    pub(super) fn fail(self, failure: &Failure) {
        let payload = ack_of_failure(&self.id, failure);
        if let Ok(arguments) = payload.arguments() {
            self.send(&arguments);
        }
    }
}

impl<A: Adapter> Drop for Ack<A> {
    fn drop(&mut self) {
        if let Some(sender) = self.sender.take() {
            let payload = ack_of_failure(&self.id, &Failure::new(500, "internal server error"));
            let _ = payload.arguments().map(|arguments| sender.send(&arguments));
        }
    }
}
