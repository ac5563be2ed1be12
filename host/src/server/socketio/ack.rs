//! The way to answer an event: used or not, the client that wants an answer gets exactly one. If it cannot get it, since it does not
//! take what it is sent, its connection ends: no ack is lost in silence.

use std::convert::Infallible;
use std::sync::{Arc, Weak};

use serde::Serialize;
use socketioxide::adapter::Adapter;
use socketioxide::extract::AckSender;
use socketioxide::handler::{FromMessageParts, Value};
use socketioxide::socket::Socket;
use socketioxide::{SendError, SocketError};
use tokio::sync::Semaphore;

use crate::dispatch::ack_of_failure;
use crate::emitter::is_crowded;
use crate::message::CallId;
use crate::payload::{Failure, Payload};
use crate::server::socketio::inbound_limit::Waiting;
use crate::sockets::Connection;

/// Refusals of one connection that wait for room: those of one large POST, while no poll can fetch anything. A client that sends so
/// fast that there are more is ended.
pub(in crate::server) const LATE: usize = 8192;

/// The way to answer an event, if an answer is wanted: used or not, the client gets exactly one.
pub(in crate::server) struct Ack<A: Adapter> {
    /// Weak: what waits for a connection that never begins must not keep it.
    socket: Weak<Socket<A>>,
    connection: Arc<Connection>,
    late: Arc<Semaphore>,
    /// The client's number for it, until it is sent.
    wanted: Option<i64>,
    id: CallId,
    _waiting: Option<Waiting>,
}

impl<A: Adapter> Ack<A> {
    pub(in crate::server) fn new(
        socket: &Arc<Socket<A>>,
        connection: &Arc<Connection>,
        late: &Arc<Semaphore>,
        ack_id: Option<i64>,
        id: CallId,
    ) -> Self {
        Self {
            socket: Arc::downgrade(socket),
            connection: Arc::clone(connection),
            late: Arc::clone(late),
            wanted: ack_id,
            id,
            _waiting: None,
        }
    }

    pub(in crate::server) fn while_waiting(mut self, waiting: Waiting) -> Ack<A> {
        self._waiting = Some(waiting);
        self
    }

    /// Names the call.
    pub(in crate::server) fn id(&self) -> &CallId {
        &self.id
    }

    /// Answers with any value: a struct is one argument, [`Payload::arguments`] are several. Waits until there is room for it, of
    /// about `bytes` bytes.
    pub(in crate::server) async fn send(mut self, value: &(impl Serialize + Sync), bytes: usize) {
        if !self.try_send(value, bytes) {
            let session = Arc::clone(&self.connection.session);
            let _turn = session.turn().await;
            while !self.try_send(value, bytes) {
                session.progress().await;
            }
        }
    }

    /// Answers with the arguments of an ack.
    pub(in crate::server) async fn answer(self, payload: &Payload) {
        match payload.arguments() {
            Ok(arguments) => self.send(&arguments, payload.size()).await,
            Err(error) => self.fail_now(&error.into()),
        }
    }

    /// Answers with an error of an event.
    pub(in crate::server) async fn fail(self, failure: &Failure) {
        let payload = ack_of_failure(&self.id, failure);
        self.answer(&payload).await;
    }

    /// The same from where nothing can wait.
    pub(in crate::server) fn fail_now(self, failure: &Failure) {
        let payload = ack_of_failure(&self.id, failure);
        self.send_now(payload, |payload, ack| {
            let arguments = payload.arguments();
            arguments.map_or(true, |arguments| ack.try_send(&arguments, payload.size()))
        });
    }

    /// Sends from where nothing can wait. What there is no room for goes later, from a task of its own; there are so many of these.
    pub(in crate::server) fn send_now<T: Send + 'static>(
        mut self,
        value: T,
        try_send: impl Fn(&T, &mut Self) -> bool + Send + 'static,
    ) {
        if try_send(&value, &mut self) {
            return;
        }
        let Ok(late) = Arc::clone(&self.late).try_acquire_owned() else {
            let how = "it asks faster than it takes the answers";
            return self.connection.session.end_slow_reader(how);
        };
        tokio::spawn(async move {
            let _late = late;
            let session = Arc::clone(&self.connection.session);
            let _turn = session.turn().await;
            while !try_send(&value, &mut self) {
                session.progress().await;
            }
        });
    }

    /// Whether it was sent, or cannot be any more; not when there is no room.
    pub(in crate::server) fn try_send(&mut self, value: &impl Serialize, bytes: usize) -> bool {
        let Some(ack_id) = self.wanted else {
            return true;
        };
        let session = &self.connection.session;
        let is_gone = self.connection.is_gone() || session.ending().is_some();
        // A client that has gone misses nothing.
        let Some(socket) = self.socket.upgrade().filter(|_| !is_gone) else {
            self.wanted = None;
            return true;
        };
        if is_crowded(&socket) {
            return false;
        }
        // First: what is sent may be on its way at once.
        session.hand(bytes);
        match sender(&socket, ack_id).send(value) {
            Err(SendError::Socket(SocketError::InternalChannelFull)) => {
                session.take_back(bytes);
                return false;
            }
            Err(SendError::Serialize(error)) => {
                tracing::error!(call = %self.id, "an ack could not be written: {error}");
            }
            Err(SendError::Socket(SocketError::Closed)) | Ok(()) => {}
        }
        self.wanted = None;
        true
    }
}

fn sender<A: Adapter>(socket: &Arc<Socket<A>>, ack_id: i64) -> AckSender<A> {
    let nothing = &mut Value::Str("[]".into(), None);
    let Ok(sender): Result<_, Infallible> =
        AckSender::from_message_parts(socket, nothing, &Some(ack_id));
    sender
}

impl<A: Adapter> Drop for Ack<A> {
    fn drop(&mut self) {
        if self.wanted.is_none() {
            return;
        }
        let failure = Failure::new(500, "internal server error");
        let payload = ack_of_failure(&self.id, &failure);
        let arguments = payload.arguments();
        if !arguments.is_ok_and(|arguments| self.try_send(&arguments, payload.size())) {
            self.connection
                .session
                .end_slow_reader("there is no room for an ack");
        }
    }
}
