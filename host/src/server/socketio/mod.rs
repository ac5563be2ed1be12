//! Door: connections to namespaces, and custom events. One queue for each connection, one task that empties it.
//!
//! Events are taken from the library synchronously, in the order of arrival, and from the very first: what is needed for that is in
//! place before CONNECT is answered.

pub(in crate::server) mod ack;
mod disconnect;
pub(in crate::server) mod inbound_limit;
pub(in crate::server) mod inbox;
pub(in crate::server) mod transport;

use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, Mutex};

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

use crate::config::Config;
use crate::dispatch::Dispatch;
use crate::emitter::{REQUESTS, SocketLink};
use crate::lock::lock;
use crate::payload::check_depth;
use crate::server::hitchy::{RUNNING, Requests};
use crate::server::http::peer::identify;
use crate::server::packet_limit;
use crate::server::socketio::ack::LATE;
use crate::server::socketio::disconnect::{DISMISSED, OnDisconnect};
use crate::server::socketio::inbound_limit::Load;
use crate::server::socketio::inbox::{Inbox, Item};
use crate::session::Session;
use crate::sockets::{Connection, Handshake, SocketCount, SocketCounts};

/// Events, or requests, of one connection that wait.
const WAITING: usize = 256;

/// The namespaces that clients can connect to. Each is registered with the library once: a second time would orphan its sockets.
pub(in crate::server) struct Namespaces<A: Adapter> {
    counts: Arc<SocketCounts>,
    shared: Arc<Shared<A>>,
}

struct Shared<A: Adapter> {
    io: SocketIo<A>,
    dispatch: Arc<Dispatch>,
    config: Arc<Config>,
    workers: TaskTracker,
    /// Says to the workers that the server is shutting down.
    closing: CancellationToken,
}

impl<A: Adapter + DefinedAdapter> Namespaces<A> {
    pub(in crate::server) fn new(
        io: SocketIo<A>,
        dispatch: Arc<Dispatch>,
        config: &Config,
    ) -> Arc<Self> {
        let config = Arc::new(config.clone());
        let shared = Arc::new(Shared {
            io,
            dispatch,
            config,
            workers: TaskTracker::new(),
            closing: CancellationToken::new(),
        });
        Arc::new(Self {
            counts: Arc::default(),
            shared,
        })
    }

    /// Lets clients connect to a namespace, unless they can already.
    pub(in crate::server) fn open(&self, namespace: &str) {
        let Some(count) = self.counts.open(namespace) else {
            return;
        };
        let name: Arc<str> = namespace.into();
        let shared = Arc::clone(&self.shared);
        let admit = move |socket: RawSocket<A>, auth: Auth| {
            let (shared, name) = (Arc::clone(&shared), Arc::clone(&name));
            let count = Arc::clone(&count);
            async move { shared.admit(&name, &count, socket, auth).await }
        };
        let shared = Arc::clone(&self.shared);
        let begin = move |socket: RawSocket<A>| async move { shared.begin(&socket.0) };
        self.shared
            .io
            .ns(namespace.to_owned(), begin.with(admit))
            .spawn();
    }

    /// How many sockets are connected to each of them.
    pub(in crate::server) fn counts(&self) -> &Arc<SocketCounts> {
        &self.counts
    }

    /// Runs the disconnect hooks of all connections, and returns when they have ended. The clients are still connected then: once
    /// the library closes them it no longer knows their namespaces, and would tell nobody.
    pub(in crate::server) async fn close(&self) {
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
        count: &Arc<SocketCount>,
        socket: RawSocket<A>,
        Auth(auth): Auth,
    ) -> Result<(), Refused> {
        let socket = socket.0;
        check_auth(auth.as_deref())?;
        let connection = self.connection(namespace, &socket, auth)?;
        self.ask_hooks(&connection).await?;

        let (items, queue) = unbounded_channel();
        self.take_events(&socket, &connection, &items);
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
        socket.extensions.insert(Arc::new(Mutex::new(Some(worker))));
        Ok(())
    }

    async fn ask_hooks(&self, connection: &Arc<Connection>) -> Result<(), Refused> {
        let asked = self.dispatch.connect(connection).await;
        asked.map_err(|failure| Refused(failure.message))?;
        if connection.is_dismissed() {
            return Err(Refused("disconnected by the server".to_owned()));
        }
        Ok(())
    }

    /// From now on the library hands over what the client sends.
    fn take_events(
        &self,
        socket: &Arc<Socket<A>>,
        connection: &Arc<Connection>,
        items: &UnboundedSender<Item<A>>,
    ) {
        let is_for_requests = &*connection.namespace == REQUESTS;
        let most = if is_for_requests {
            RUNNING + WAITING
        } else {
            WAITING
        };
        let packet_limit = packet_limit(&self.config);
        let inbox = Inbox {
            connection: Arc::clone(connection),
            dispatch: Arc::clone(&self.dispatch),
            limit: self.config.server.body_limit,
            packet_limit,
            load: Load::new(most, packet_limit),
            late: Arc::new(Semaphore::new(LATE)),
            items: items.clone(),
        };
        if is_for_requests {
            socket.on_fallback(Requests::new(inbox, self.config.socket.set_cookie));
        } else {
            socket.on_fallback(inbox);
        }
    }

    /// CONNECT has been answered: the queue is emptied from now on.
    fn begin(&self, socket: &Arc<Socket<A>>) {
        let worker = socket.extensions.remove::<Arc<Mutex<Option<Worker<A>>>>>();
        if let Some(worker) = worker.and_then(|worker| lock(&worker).take()) {
            worker.connection.set_answered();
            self.workers.spawn(worker.run());
        }
    }

    /// Ours for the library's socket.
    fn connection(
        &self,
        namespace: &Arc<str>,
        socket: &Arc<Socket<A>>,
        auth: Option<String>,
    ) -> Result<Arc<Connection>, Refused> {
        let parts = socket.req_parts();
        let headers = parts.headers.clone();
        let (remote, headers) = identify(&self.config.server, parts.extensions.get(), headers);
        let handshake = Handshake {
            remote,
            query: parts.uri.query().unwrap_or_default().to_owned(),
            headers,
            auth,
        };
        let session = parts.extensions.get::<Arc<Session>>();
        let session = session.ok_or_else(|| Refused("this client has no session".to_owned()))?;
        Ok(Arc::new(Connection::new(
            socket.id.to_string(),
            Arc::clone(namespace),
            handshake,
            Arc::clone(session),
            Box::new(SocketLink::new(self.io.clone(), socket)),
        )))
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
                        Ok(payload) => ack.answer(&payload).await,
                        Err(failure) => ack.fail(&failure).await,
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

/// Handlers rely on what came with CONNECT being JSON.
fn check_auth(auth: Option<&str>) -> Result<(), Refused> {
    let Some(auth) = auth else {
        return Ok(());
    };
    let is_json = serde_json::from_str::<IgnoredAny>(auth).is_ok();
    if is_json && check_depth(auth).is_ok() {
        return Ok(());
    }
    let sentence = "auth is not JSON, or nested too deep";
    Err(Refused(sentence.to_owned()))
}

/// The message that a refused client reads in `connect_error`.
struct Refused(String);

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
