//! The door of connections to namespaces and of events.
//!
//! Each connection has a queue and one task, its worker, that answers the queued events in the order of
//! arrival. The library hands over events synchronously, and the queue exists before CONNECT is answered, so
//! that no event is lost.

pub(super) mod ack;
mod disconnect;
pub(super) mod engine;
mod handshake;
mod inbound_limit;
pub(super) mod inbox;
mod open_packet;
mod payload;
mod query;
pub(super) mod transport;
mod wire;

use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use serde::de::IgnoredAny;
use socketioxide::SocketIo;
use socketioxide::adapter::Adapter;
use socketioxide::handler::{ConnectHandler, FromConnectParts, Value};
use socketioxide::socket::Socket;
use socketioxide_core::adapter::{DefinedAdapter, Spawnable};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::ack::MAX_DEFERRED;
use self::disconnect::{OnDisconnect, SERVER_DISCONNECT};
use self::inbound_limit::InboundLimit;
use self::inbox::{Inbox, Item};
use super::hitchy::{MAX_RUNNING, RequestDoor};
use super::http::peer::identify;
use super::limits::packet_limit;
use crate::config::Config;
use crate::dispatch::Dispatch;
use crate::emitter::SocketLink;
use crate::ending::Ending;
use crate::lock::lock;
use crate::names::REQUESTS;
use crate::payload::check_depth;
use crate::session::Session;
use crate::sockets::{Connection, Handshake, SocketCount, SocketCounts};

/// Largest number of events, or socket requests, of one connection that wait for an answer.
const MAX_WAITING: usize = 256;

/// The socket.io server, whichever adapter of the library it uses.
pub(super) trait SocketServer: Send + Sync {
    /// Registers a namespace with the library, so that clients can connect to it. Does nothing if it is registered.
    fn open(&self, namespace: &str);
    /// Returns the number of sockets that are connected to each namespace.
    fn counts(&self) -> &Arc<SocketCounts>;
    /// Runs the disconnect hooks of all connections, and returns when the hooks have ended.
    ///
    /// The clients are still connected then. The library forgets the namespaces of a client as it closes the
    /// client, and would not report the end of the connections.
    fn run_disconnect_hooks(&self) -> BoxFuture<'_, ()>;
    /// Closes all sockets, and returns when each of them has closed.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// The namespaces that clients can connect to.
///
/// Each namespace is registered with the library once, because a second registration would orphan its sockets.
pub(super) struct Namespaces<A: Adapter> {
    counts: Arc<SocketCounts>,
    connector: Arc<Connector<A>>,
}

/// Admits connections and starts their workers.
struct Connector<A: Adapter> {
    io: SocketIo<A>,
    dispatch: Arc<Dispatch>,
    config: Arc<Config>,
    workers: TaskTracker,
    /// Cancelled when the server shuts down.
    closing: CancellationToken,
}

impl<A: Adapter + DefinedAdapter> Namespaces<A> {
    /// Creates the list of namespaces, which is empty at first.
    pub(super) fn new(io: SocketIo<A>, dispatch: Arc<Dispatch>, config: &Config) -> Arc<Self> {
        let connector = Arc::new(Connector {
            io,
            dispatch,
            config: Arc::new(config.clone()),
            workers: TaskTracker::new(),
            closing: CancellationToken::new(),
        });
        Arc::new(Self {
            counts: Arc::default(),
            connector,
        })
    }
}

impl<A: Adapter + DefinedAdapter> SocketServer for Namespaces<A> {
    fn open(&self, namespace: &str) {
        let Some(count) = self.counts.open(namespace) else {
            return;
        };
        let name: Arc<str> = namespace.into();
        let admitting = Arc::clone(&self.connector);
        let admit = move |socket: RawSocket<A>, auth: Auth| {
            let (connector, name) = (Arc::clone(&admitting), Arc::clone(&name));
            let count = Arc::clone(&count);
            async move { connector.admit(&name, &count, socket, auth).await }
        };
        let connector = Arc::clone(&self.connector);
        let begin = move |socket: RawSocket<A>| async move { connector.begin(&socket.0) };
        self.connector
            .io
            .ns(namespace.to_owned(), begin.with(admit))
            .spawn();
    }

    fn counts(&self) -> &Arc<SocketCounts> {
        &self.counts
    }

    fn run_disconnect_hooks(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            self.connector.closing.cancel();
            self.connector.workers.close();
            self.connector.workers.wait().await;
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.connector.io.close())
    }
}

impl<A: Adapter> Connector<A> {
    /// Calls the connect hooks, then registers the queue for events. Runs before CONNECT is answered.
    async fn admit(
        &self,
        namespace: &Arc<str>,
        count: &Arc<SocketCount>,
        RawSocket(socket): RawSocket<A>,
        Auth(auth): Auth,
    ) -> Result<(), ConnectError> {
        check_auth(auth.as_deref())?;
        let connection = self.connection(namespace, &socket, auth)?;
        let admitted = self.call_hooks(&connection).await;
        if admitted.is_err() {
            connection.attachments.end();
        }
        admitted?;

        let (items, queue) = unbounded_channel();
        self.receive_events(&socket, &connection, &items);
        socket.on_disconnect(OnDisconnect {
            connection: Arc::clone(&connection),
            items,
            packet_limit: packet_limit(&self.config),
            guard: count.guard(),
        });
        socket.join(socket.id);
        connection.session.claim(&connection.id);
        let worker = Worker {
            connection: Arc::clone(&connection),
            dispatch: Arc::clone(&self.dispatch),
            queue,
            closing: self.closing.clone(),
        };
        socket.extensions.insert(connection);
        // `begin` takes the worker out again. Extensions must be `Clone`, which a worker is not.
        socket.extensions.insert(Arc::new(Mutex::new(Some(worker))));
        // The library (0.18.9) ignores CONNECT to a namespace while the task of an earlier CONNECT is in its last
        // steps: it answers, spawns `begin` and returns. The worker must not answer an event before the task has
        // returned, because the client may then disconnect and connect again. A task that the scheduler takes up
        // anew keeps what it spawns last for its own thread, so `begin` runs after it.
        tokio::task::yield_now().await;
        Ok(())
    }

    /// Calls the connect hooks. The error is what a hook answers, or says that a hook disconnected the client.
    async fn call_hooks(&self, connection: &Arc<Connection>) -> Result<(), ConnectError> {
        let answered = self.dispatch.connect(connection).await;
        answered.map_err(|failure| ConnectError(failure.message))?;
        if connection.is_dismissed() {
            return Err(ConnectError("disconnected by the server".to_owned()));
        }
        Ok(())
    }

    /// Registers the handler to which the library hands what the client sends.
    fn receive_events(
        &self,
        socket: &Arc<Socket<A>>,
        connection: &Arc<Connection>,
        items: &UnboundedSender<Item<A>>,
    ) {
        let is_for_requests = &*connection.namespace == REQUESTS;
        let max_count = if is_for_requests {
            MAX_RUNNING + MAX_WAITING
        } else {
            MAX_WAITING
        };
        let packet_limit = packet_limit(&self.config);
        let inbox = Inbox {
            connection: Arc::clone(connection),
            dispatch: Arc::clone(&self.dispatch),
            body_limit: self.config.server.body_limit,
            packet_limit,
            inbound_limit: InboundLimit::new(max_count, packet_limit),
            deferred: Arc::new(Semaphore::new(MAX_DEFERRED)),
            items: items.clone(),
        };
        if is_for_requests {
            socket.on_fallback(RequestDoor::new(inbox, self.config.socket.set_cookie));
        } else {
            socket.on_fallback(inbox);
        }
    }

    /// Starts the worker of a connection. Runs after CONNECT has been answered.
    fn begin(&self, socket: &Arc<Socket<A>>) {
        let worker = socket.extensions.remove::<Arc<Mutex<Option<Worker<A>>>>>();
        if let Some(worker) = worker.and_then(|worker| lock(&worker).take()) {
            worker.connection.set_answered();
            self.workers.spawn(worker.run());
        }
    }

    /// Creates our connection for a socket of the library.
    fn connection(
        &self,
        namespace: &Arc<str>,
        socket: &Arc<Socket<A>>,
        auth: Option<String>,
    ) -> Result<Arc<Connection>, ConnectError> {
        let parts = socket.req_parts();
        let (remote, headers) = identify(
            &self.config.server,
            parts.extensions.get(),
            parts.headers.clone(),
        );
        let handshake = Handshake {
            remote,
            query: parts.uri.query().unwrap_or_default().to_owned(),
            headers,
            auth,
        };
        let session = parts
            .extensions
            .get::<Arc<Session>>()
            .ok_or_else(|| ConnectError("this client has no session".to_owned()))?;
        Ok(Arc::new(Connection::new(
            socket.id.to_string(),
            Arc::clone(namespace),
            handshake,
            Arc::clone(session),
            Box::new(SocketLink::new(self.io.clone(), socket)),
        )))
    }
}

/// Answers the queued events of one connection, one after the other.
struct Worker<A: Adapter> {
    connection: Arc<Connection>,
    dispatch: Arc<Dispatch>,
    queue: UnboundedReceiver<Item<A>>,
    closing: CancellationToken,
}

impl<A: Adapter> Worker<A> {
    /// Runs the connected hooks, answers events until the connection ends, and runs the disconnect hooks.
    async fn run(mut self) {
        self.dispatch.connected(&self.connection).await;
        let reason = loop {
            match self.next().await {
                Item::Disconnected(_) if self.connection.is_dismissed() => break SERVER_DISCONNECT,
                Item::Disconnected(reason) => break reason,
                Item::Event(event, ack, _accepted) => {
                    match self.dispatch.event(&self.connection, &event).await {
                        Ok(payload) => ack.answer(&payload).await,
                        Err(failure) => ack.fail(&failure).await,
                    }
                }
            }
        };
        self.dispatch.disconnected(&self.connection, reason).await;
        self.connection.attachments.end();
    }

    /// Waits for the next item. Queued items come before the shutdown of the server, hence the biased `select!`.
    async fn next(&mut self) -> Item<A> {
        let item = tokio::select! {
            biased;
            item = self.queue.recv() => item,
            () = self.closing.cancelled() => None,
        };
        item.unwrap_or_else(|| {
            self.connection.session.note_shutdown();
            Item::Disconnected(Ending::Shutdown.reason())
        })
    }
}

/// An extractor for the library's socket.
struct RawSocket<A: Adapter>(Arc<Socket<A>>);

impl<A: Adapter> FromConnectParts<A> for RawSocket<A> {
    type Error = Infallible;

    fn from_connect_parts(socket: &Arc<Socket<A>>, _: &Option<Value>) -> Result<Self, Infallible> {
        Ok(Self(Arc::clone(socket)))
    }
}

/// An extractor for the payload of CONNECT, as JSON text.
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

/// Checks that the payload of CONNECT is JSON of a limited depth, on which handlers rely.
fn check_auth(auth: Option<&str>) -> Result<(), ConnectError> {
    let Some(auth) = auth else {
        return Ok(());
    };
    let is_json = serde_json::from_str::<IgnoredAny>(auth).is_ok();
    if is_json && check_depth(auth).is_ok() {
        return Ok(());
    }
    let sentence = "auth is not JSON, or nested too deep";
    Err(ConnectError(sentence.to_owned()))
}

/// The message that a refused client receives as `connect_error`.
struct ConnectError(String);

impl fmt::Display for ConnectError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
