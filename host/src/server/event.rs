//! Door: connections to namespaces, and custom events. One queue for each connection, one task that empties it.
//!
//! Events are taken from the library synchronously, in the order of arrival, and from the very first: what is needed for that is in
//! place before CONNECT is answered.

use std::collections::HashSet;
use std::convert::Infallible;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use serde::Serialize;
use socketioxide::SocketIo;
use socketioxide::adapter::Adapter;
use socketioxide::extract::AckSender;
use socketioxide::handler::{
    ConnectHandler, FromConnectParts, FromDisconnectParts, FromMessageParts, MessageHandler, Value,
};
use socketioxide::socket::{DisconnectReason, Socket};
use socketioxide_core::adapter::{DefinedAdapter, Spawnable};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::hitchy::Requests;
use super::peer::{Peer, identify};
use crate::config::{Config, Server};
use crate::dispatch::{Accepted, Dispatch, ack_of_failure};
use crate::emitter::{REQUESTS, SocketLink};
use crate::message::{CallId, Event};
use crate::payload::{Failure, Payload};
use crate::sockets::{Connection, Handshake, lock};

/// Events of one connection that wait.
const WAITING: usize = 256;

/// The reason of a connection that the server ended.
const DISMISSED: &str = "server namespace disconnect";

/// The namespaces that clients can connect to. Each is registered with the library once: a second time would orphan its sockets.
pub(super) struct Namespaces<A: Adapter> {
    opened: Mutex<HashSet<String>>,
    shared: Arc<Shared<A>>,
}

struct Shared<A: Adapter> {
    io: SocketIo<A>,
    dispatch: Arc<Dispatch>,
    server: Server,
    workers: TaskTracker,
    /// Says to the workers that the server is shutting down.
    closing: CancellationToken,
}

impl<A: Adapter + DefinedAdapter> Namespaces<A> {
    pub(super) fn new(io: SocketIo<A>, dispatch: Arc<Dispatch>, config: &Config) -> Arc<Self> {
        let server = config.server.clone();
        let shared = Arc::new(Shared {
            io,
            dispatch,
            server,
            workers: TaskTracker::new(),
            closing: CancellationToken::new(),
        });
        Arc::new(Self {
            opened: Mutex::default(),
            shared,
        })
    }

    /// Lets clients connect to a namespace, unless they can already.
    pub(super) fn open(&self, namespace: &str) {
        if !lock(&self.opened).insert(namespace.to_owned()) {
            return;
        }
        let name: Arc<str> = namespace.into();
        let shared = Arc::clone(&self.shared);
        let admit = move |socket: RawSocket<A>, auth: Auth| {
            let (shared, name) = (Arc::clone(&shared), Arc::clone(&name));
            async move { shared.admit(&name, socket, auth).await }
        };
        let shared = Arc::clone(&self.shared);
        let begin = move |socket: RawSocket<A>| async move { shared.begin(&socket.0) };
        self.shared
            .io
            .ns(namespace.to_owned(), begin.with(admit))
            .spawn();
    }

    /// Runs the disconnect hooks of all connections, and returns when they have ended. The clients are still connected then: once
    /// the library closes them it no longer knows their namespaces, and would tell nobody.
    pub(super) async fn close(&self) {
        self.shared.closing.cancel();
        self.shared.workers.close();
        self.shared.workers.wait().await;
    }
}

impl<A: Adapter> Shared<A> {
    /// Before CONNECT is answered: asks the hooks, and gets everything ready for the first event.
    async fn admit(
        &self,
        namespace: &Arc<str>,
        socket: RawSocket<A>,
        Auth(auth): Auth,
    ) -> Result<(), Refused> {
        let socket = socket.0;
        let link = Box::new(SocketLink::new(self.io.clone(), &socket));
        let handshake = self.handshake(&socket, auth);
        let connection = Arc::new(Connection::new(
            socket.id.to_string(),
            Arc::clone(namespace),
            handshake,
            link,
        ));
        self.dispatch
            .connect(&connection)
            .await
            .map_err(|failure| Refused(failure.message))?;

        let (items, queue) = unbounded_channel();
        let inbox = Inbox {
            connection: Arc::clone(&connection),
            dispatch: Arc::clone(&self.dispatch),
            limit: self.server.body_limit,
            waiting: Arc::default(),
            items: items.clone(),
        };
        if &**namespace == REQUESTS {
            socket.on_fallback(Requests::new(inbox));
        } else {
            socket.on_fallback(inbox);
        }
        let leaving = Arc::clone(&connection);
        socket.on_disconnect(move |Reason(reason): Reason| async move {
            leaving.leave_for_good();
            // The queue's other end may have gone with the process's last task.
            let _ = items.send(Item::Gone(reason));
        });
        socket.join(socket.id);
        let worker = Worker {
            connection: Arc::clone(&connection),
            dispatch: Arc::clone(&self.dispatch),
            queue,
            closing: self.closing.clone(),
        };
        socket.extensions.insert(connection);
        socket.extensions.insert(Arc::new(Mutex::new(Some(worker))));
        Ok(())
    }

    /// CONNECT has been answered: the queue is emptied from now on.
    fn begin(&self, socket: &Arc<Socket<A>>) {
        let worker = socket.extensions.remove::<Arc<Mutex<Option<Worker<A>>>>>();
        if let Some(worker) = worker.and_then(|worker| lock(&worker).take()) {
            self.workers.spawn(worker.run());
        }
    }

    fn handshake(&self, socket: &Socket<A>, auth: Option<String>) -> Handshake {
        let parts = socket.req_parts();
        let (remote, headers) =
            identify(&self.server, parts.extensions.get::<Peer>(), &parts.headers);
        Handshake {
            remote,
            query: parts.uri.query().unwrap_or_default().to_owned(),
            headers,
            auth,
        }
    }
}

/// What happens to a connection, in order.
enum Item<A: Adapter> {
    Event(Event, Ack<A>, Accepted),
    Gone(&'static str),
}

/// Takes events from the library: never waits, and never lets one overtake another.
pub(super) struct Inbox<A: Adapter> {
    pub(super) connection: Arc<Connection>,
    pub(super) dispatch: Arc<Dispatch>,
    pub(super) limit: usize,
    waiting: Arc<AtomicUsize>,
    items: UnboundedSender<Item<A>>,
}

impl<A: Adapter> MessageHandler<A, Inbox<A>> for Inbox<A> {
    fn call(&self, socket: Arc<Socket<A>>, value: Value, ack_id: Option<i64>) {
        let (event, ack) = match self.take(&socket, value, ack_id) {
            Ok(taken) => taken,
            Err((failure, ack)) => return ack.fail(&failure),
        };
        let accepted = match self.dispatch.accept() {
            Ok(accepted) => accepted,
            Err(refusal) => return ack.fail(&refusal.failure()),
        };
        if self.waiting.fetch_add(1, Ordering::AcqRel) >= WAITING {
            self.waiting.fetch_sub(1, Ordering::AcqRel);
            tracing::debug!(socket = %self.connection.id, "an event was dropped: {WAITING} are waiting");
            return ack.fail(&Failure::new(
                429,
                format!("{WAITING} events of this connection are waiting; send more slowly"),
            ));
        }
        let waiting = Waiting(Arc::clone(&self.waiting));
        let _ = self
            .items
            .send(Item::Event(event, ack.while_waiting(waiting), accepted));
    }
}

impl<A: Adapter> Inbox<A> {
    /// An event, checked, and the way to answer it.
    pub(super) fn take(
        &self,
        socket: &Arc<Socket<A>>,
        value: Value,
        ack_id: Option<i64>,
    ) -> Result<(Event, Ack<A>), (Failure, Ack<A>)> {
        let id = self.dispatch.next_id();
        let ack = Ack::new(socket, ack_id, Arc::clone(&id));
        let Value::Str(text, attachments) = value else {
            return Err((Failure::new(400, "only JSON packets are understood"), ack));
        };
        let Some((name, json)) = split(text.as_str()) else {
            return Err((
                Failure::new(
                    400,
                    "the packet is not an array that begins with the event's name",
                ),
                ack,
            ));
        };
        let attachments: Vec<Bytes> = attachments.into_iter().flatten().collect();
        let payload = Payload { json, attachments };
        let size = payload.size();
        if size > self.limit {
            tracing::warn!(socket = %self.connection.id, "a packet of {size} bytes was refused; {} are allowed (server.body-limit)", self.limit);
            return Err((
                Failure::new(
                    413,
                    format!(
                        "the packet has {size} bytes; at most {} are taken",
                        self.limit
                    ),
                ),
                ack,
            ));
        }
        if let Err(error) = payload.check() {
            return Err((error.into(), ack));
        }
        Ok((
            Event {
                id,
                name: name.to_owned(),
                payload,
                ack_wanted: ack_id.is_some(),
            },
            ack,
        ))
    }
}

/// The name of an event and its arguments as a JSON array, from the text of a packet: `["name",1,2]`. The library has seen to it
/// that the name is a string without escapes.
fn split(text: &str) -> Option<(&str, String)> {
    let rest = text
        .trim_start()
        .strip_prefix('[')?
        .trim_start()
        .strip_prefix('"')?;
    let (name, rest) = rest.split_once('"')?;
    let rest = rest.trim_start();
    let arguments = match rest.strip_prefix(',') {
        Some(rest) => rest,
        None if rest.starts_with(']') => rest,
        None => return None,
    };
    let mut json = String::with_capacity(arguments.len() + 1);
    json.push('[');
    json.push_str(arguments);
    Some((name, json))
}

/// One event that waits, counted until it has been handled.
struct Waiting(Arc<AtomicUsize>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The way to answer an event, if an answer is wanted: used or not, the client gets exactly one.
pub(super) struct Ack<A: Adapter> {
    sender: Option<AckSender<A>>,
    id: CallId,
    _waiting: Option<Waiting>,
}

impl<A: Adapter> Ack<A> {
    fn new(socket: &Arc<Socket<A>>, ack_id: Option<i64>, id: CallId) -> Self {
        let nothing = &mut Value::Str("[]".into(), None);
        let Ok(sender): Result<_, Infallible> =
            AckSender::from_message_parts(socket, nothing, &ack_id);
        Self {
            sender: ack_id.map(|_| sender),
            id,
            _waiting: None,
        }
    }

    fn while_waiting(self, waiting: Waiting) -> Ack<A> {
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

    fn answer(self, payload: &Payload) {
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

/// Empties the queue of one connection.
struct Worker<A: Adapter> {
    connection: Arc<Connection>,
    dispatch: Arc<Dispatch>,
    queue: UnboundedReceiver<Item<A>>,
    closing: CancellationToken,
}

impl<A: Adapter> Worker<A> {
    async fn run(mut self) {
        self.dispatch.connected(&self.connection).await;
        let reason = loop {
            match self.next().await {
                Item::Gone(_) if self.connection.is_dismissed() => break DISMISSED,
                Item::Gone(reason) => break reason,
                Item::Event(event, ack, _accepted) => {
                    match self.dispatch.event(&self.connection, &event).await {
                        Ok(payload) => ack.answer(&payload),
                        Err(failure) => ack.fail(&failure),
                    }
                }
            }
        };
        self.dispatch.disconnected(&self.connection, reason).await;
    }

    /// What happens next. What has happened goes before the end of the server.
    async fn next(&mut self) -> Item<A> {
        let item = tokio::select! {
            biased;
            item = self.queue.recv() => item,
            () = self.closing.cancelled() => None,
        };
        item.unwrap_or(Item::Gone("server shutting down"))
    }
}

/// The library's socket as it is.
struct RawSocket<A: Adapter>(Arc<Socket<A>>);

impl<A: Adapter> FromConnectParts<A> for RawSocket<A> {
    type Error = Infallible;

    fn from_connect_parts(socket: &Arc<Socket<A>>, _: &Option<Value>) -> Result<Self, Infallible> {
        Ok(Self(Arc::clone(socket)))
    }
}

/// What came with CONNECT, as JSON text.
struct Auth(Option<String>);

impl<A: Adapter> FromConnectParts<A> for Auth {
    type Error = Infallible;

    fn from_connect_parts(_: &Arc<Socket<A>>, auth: &Option<Value>) -> Result<Self, Infallible> {
        let text = auth
            .as_ref()
            .and_then(Value::as_str)
            .map(|text| text.as_str().to_owned());
        Ok(Self(text))
    }
}

/// Why a connection ended, in socket.io's words.
struct Reason(&'static str);

impl<A: Adapter> FromDisconnectParts<A> for Reason {
    type Error = Infallible;

    fn from_disconnect_parts(
        _: &Arc<Socket<A>>,
        reason: DisconnectReason,
    ) -> Result<Self, Infallible> {
        Ok(Self(match reason {
            DisconnectReason::TransportClose => "transport close",
            DisconnectReason::TransportError | DisconnectReason::MultipleHttpPollingError => {
                "transport error"
            }
            DisconnectReason::PacketParsingError => "parse error",
            DisconnectReason::HeartbeatTimeout => "ping timeout",
            DisconnectReason::ClientNSDisconnect => "client namespace disconnect",
            DisconnectReason::ServerNSDisconnect => DISMISSED,
            DisconnectReason::ClosingServer => "server shutting down",
        }))
    }
}

/// The message that a refused client reads in `connect_error`.
struct Refused(String);

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn c05_a_packet_is_a_name_and_any_number_of_arguments() {
        for (text, name, arguments) in [
            (r#"["a"]"#, "a", "[]"),
            (r#"["a",1,"b"]"#, "a", r#"[1,"b"]"#),
            (r#" [ "ü🙂" , {"x":[]} ]"#, "ü🙂", r#"[ {"x":[]} ]"#),
        ] {
            assert_eq!(split(text), Some((name, arguments.to_owned())));
        }
        for text in ["", "[]", "[1]", r#"["a"1]"#, r#"{"a":1}"#] {
            assert_eq!(split(text), None, "{text}");
        }
    }
}
