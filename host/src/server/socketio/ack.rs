//! The ack of an event or a socket request.
//!
//! A client that asked for an ack gets exactly one, also if the code that answers panics. If the client does
//! not read, its session is ended instead, so that no ack is lost without notice.

use std::convert::Infallible;
use std::sync::{Arc, Weak};

use serde::Serialize;
use socketioxide::adapter::Adapter;
use socketioxide::extract::AckSender;
use socketioxide::handler::{FromMessageParts, Value};
use socketioxide::socket::Socket;
use socketioxide::{SendError, SocketError};
use tokio::sync::Semaphore;

use super::inbound_limit::InboundPermit;
use crate::dispatch::ack_of_failure;
use crate::emitter::is_crowded;
use crate::ending::Ending;
use crate::message::CallId;
use crate::payload::{Failure, Payload};
use crate::sockets::Connection;

/// Largest number of refusals of one connection that wait until the client reads.
///
/// They are those of one large POST, during which no poll can fetch packets. A client with more refusals is ended.
pub(super) const MAX_DEFERRED: usize = 8192;

/// Bytes that a refusal takes while it waits, with its task.
const DEFERRED_BYTES: u64 = 1 << 10;

/// Sends the ack of one event, if the client asked for an ack. An unused ack answers with status 500 when it is
/// dropped.
pub(in crate::server) struct Ack<A: Adapter> {
    /// Weak, because a queued event must not keep a connection alive that is never admitted.
    socket: Weak<Socket<A>>,
    connection: Arc<Connection>,
    /// Permits for acks that wait in a task of their own.
    deferred: Arc<Semaphore>,
    /// The client's number of the ack; none if no ack was asked for or the ack was sent.
    ack_id: Option<i64>,
    id: CallId,
    _permit: Option<InboundPermit>,
}

impl<A: Adapter> Ack<A> {
    pub(super) fn new(
        socket: &Arc<Socket<A>>,
        connection: &Arc<Connection>,
        deferred: &Arc<Semaphore>,
        ack_id: Option<i64>,
        id: CallId,
    ) -> Self {
        Self {
            socket: Arc::downgrade(socket),
            connection: Arc::clone(connection),
            deferred: Arc::clone(deferred),
            ack_id,
            id,
            _permit: None,
        }
    }

    /// Holds `permit` until the ack is sent.
    pub(super) fn holding(mut self, permit: InboundPermit) -> Self {
        self._permit = Some(permit);
        self
    }

    /// Returns the id of the call, for the log and for errors.
    pub(in crate::server) fn id(&self) -> &CallId {
        &self.id
    }

    /// Sends `value`, of about `bytes` bytes, and waits while the client's send buffer is full.
    ///
    /// A struct is one argument of the ack, [`Payload::arguments`] are several.
    pub(in crate::server) async fn send(mut self, value: &(impl Serialize + Sync), bytes: usize) {
        if !self.try_send(value, bytes) {
            let session = Arc::clone(&self.connection.session);
            let _turn = session.turn().await;
            while !self.try_send(value, bytes) {
                session.progress().await;
            }
        }
    }

    /// Sends a payload as the arguments of the ack.
    pub(super) async fn answer(mut self, payload: &Payload) {
        match payload.arguments() {
            Ok(arguments) => {
                let bytes = payload.size();
                if !self.try_send(&arguments, bytes) {
                    let _held = self.connection.session.hold(bytes as u64);
                    self.send(&arguments, bytes).await;
                }
            }
            Err(error) => self.fail_now(&error.into()),
        }
    }

    /// Sends the error of an event.
    pub(super) async fn fail(self, failure: &Failure) {
        let payload = ack_of_failure(&self.id, failure);
        self.answer(&payload).await;
    }

    /// Sends the error of an event without waiting.
    pub(in crate::server) fn fail_now(self, failure: &Failure) {
        let payload = ack_of_failure(&self.id, failure);
        self.send_now(payload, |payload, ack| {
            let arguments = payload.arguments();
            arguments.map_or(true, |arguments| ack.try_send(&arguments, payload.size()))
        });
    }

    /// Sends `value` with `try_send` without waiting.
    ///
    /// While the send buffer is full, a task of its own repeats `try_send`. The number of these tasks is
    /// limited; a client above the limit is ended.
    pub(in crate::server) fn send_now<T: Send + 'static>(
        mut self,
        value: T,
        try_send: impl Fn(&T, &mut Self) -> bool + Send + 'static,
    ) {
        if try_send(&value, &mut self) {
            return;
        }
        let Ok(permit) = Arc::clone(&self.deferred).try_acquire_owned() else {
            let how = "it asks faster than it takes the answers";
            let session = &self.connection.session;
            return session.end_slow_reader_as(Ending::SendBuffer, how);
        };
        tokio::spawn(async move {
            let _permit = permit;
            let session = Arc::clone(&self.connection.session);
            let _held = session.hold(DEFERRED_BYTES);
            let _turn = session.turn().await;
            while !try_send(&value, &mut self) {
                session.progress().await;
            }
        });
    }

    /// Tries to send `value`. Returns false if the send buffer is full, and true if the ack is done: it was
    /// sent, it was not asked for, or the client has disconnected.
    pub(in crate::server) fn try_send(&mut self, value: &impl Serialize, bytes: usize) -> bool {
        let Some(ack_id) = self.ack_id else {
            return true;
        };
        let session = &self.connection.session;
        let has_ended = self.connection.has_ended() || session.ending().is_some();
        let Some(socket) = self.socket.upgrade().filter(|_| !has_ended) else {
            self.ack_id = None;
            return true;
        };
        if is_crowded(&socket) {
            return false;
        }
        // Counts the bytes before it sends, because another thread may write them at once.
        session.add_queued(bytes);
        match sender(&socket, ack_id).send(value) {
            Err(SendError::Socket(SocketError::InternalChannelFull)) => {
                session.remove_queued(bytes);
                return false;
            }
            Err(SendError::Serialize(error)) => {
                tracing::error!(call = %self.id, "an ack could not be written: {error}");
            }
            Err(SendError::Socket(SocketError::Closed)) | Ok(()) => {}
        }
        self.ack_id = None;
        true
    }
}

/// Creates the library's sender of an ack. Its constructor is private in socketioxide 0.18, but its extractor
/// is public.
fn sender<A: Adapter>(socket: &Arc<Socket<A>>, ack_id: i64) -> AckSender<A> {
    let nothing = &mut Value::Str("[]".into(), None);
    let Ok(sender): Result<_, Infallible> =
        AckSender::from_message_parts(socket, nothing, &Some(ack_id));
    sender
}

impl<A: Adapter> Drop for Ack<A> {
    fn drop(&mut self) {
        if self.ack_id.is_none() {
            return;
        }
        let failure = Failure::new(500, "internal server error");
        let payload = ack_of_failure(&self.id, &failure);
        let arguments = payload.arguments();
        if !arguments.is_ok_and(|arguments| self.try_send(&arguments, payload.size())) {
            self.connection
                .session
                .end_slow_reader_as(Ending::SendBuffer, "there is no space for an ack");
        }
    }
}
