//! The server: builds the emitter, the runtime, the registry, dispatch and the doors, and connects them with
//! each other.
//!
//! A server listens from its start, answers 503 until the handlers folder has been read, and shuts down in a
//! fixed order.

mod accept;
mod admin;
mod counted_body;
mod files;
mod hitchy;
mod http;
mod limits;
mod nodes;
mod orphans;
mod request_timer;
mod router;
mod runtime;
mod scheduler;
mod service;
mod socketio;
mod start_error;
mod storage;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use socketioxide::{ParserConfig, SocketIo, SocketIoBuilder, TransportType};
use tokio::net::TcpListener;
use tokio::sync::mpsc::unbounded_channel;
use tokio::task::JoinHandle;

use self::accept::{Acceptor, ConnectionLimits};
use self::admin::{Admin, View, Vitals};
use self::files::StaticFolder;
use self::files::client_bundle::ClientBundle;
pub(crate) use self::hitchy::{AnswerBody, AnswerHeaders, is_withheld};
use self::http::HttpDoor;
use self::http::body::BodyReader;
use self::limits::{CLOSE_TIMEOUT, outbound_memory, packet_limit, post_limit, session_bounds};
use self::router::Router;
pub use self::runtime::runtime;
use self::runtime::{backends, runtime_with};
use self::scheduler::Scheduler;
use self::socketio::engine::{Engine, close_ended};
use self::socketio::transport::Transports;
use self::socketio::{Namespaces, SocketServer};
pub use self::start_error::StartError;
pub(crate) use self::storage::store_settings;
use crate::cluster::Cluster;
use crate::config::{Config, Sources, Transport};
use crate::dispatch::{Dispatch, DispatchSettings, GateSettings};
use crate::emitter::Emitter;
use crate::kv::Store;
use crate::metrics::Metrics;
use crate::payload::MAX_ATTACHMENTS;
use crate::registry::{Registry, Table};
use crate::runtime::{Dispatcher, Runtime};
use crate::session::Sessions;
use crate::shedding::shed;

/// A running server with its listening sockets and its background tasks.
pub struct Server {
    addresses: Vec<SocketAddr>,
    registry: Arc<Registry>,
    dispatch: Arc<Dispatch>,
    runtime: Arc<Runtime>,
    sockets: Arc<dyn SocketServer>,
    acceptors: Vec<Acceptor>,
    /// The task that follows the handlers folder.
    following: JoinHandle<()>,
    /// The task that closes polling sessions which were ended.
    session_closer: JoinHandle<()>,
    /// The task that ends clients when what waits for all of them is too much.
    shedder: JoinHandle<()>,
    scheduler: Scheduler,
    /// The other nodes, if this node is one of several.
    cluster: Option<Arc<Cluster>>,
    console: Option<Admin>,
    sessions: Arc<Sessions>,
    store: Arc<dyn Store>,
    /// The task that logs buckets which no handler uses.
    orphans: JoinHandle<()>,
    store_folder: PathBuf,
    grace: Duration,
}

impl Server {
    /// Starts a server that answers on `listeners`, and its console on the listeners `console`, which may be empty.
    ///
    /// Requests are answered with 503 until the handlers folder has been read. Must be called within a tokio runtime.
    pub fn start(
        config: Config,
        sources: Sources,
        listeners: Vec<TcpListener>,
        console: Vec<TcpListener>,
    ) -> Result<Self, StartError> {
        let (started, metrics) = (SystemTime::now(), Arc::<Metrics>::default());
        // The one line that names an adapter: the rest of the server knows the trait `SocketServer` only.
        let builder = socket_io(&config).with_adapter::<socketioxide::adapter::LocalAdapter>(());
        let (library, io) = builder.build_svc();
        let emitter = Emitter::new(io.clone(), Arc::clone(&metrics));
        let store = storage::open(&config.kv)?;
        let addresses = addresses(&listeners)?;
        let cluster = nodes::connect(&config, &addresses, emitter.receiver())?;
        let emitter = emitter.reaching(cluster.clone());
        let mut backends = backends(&config, emitter, &metrics)?;
        backends.insert(Arc::clone(&store));
        let runtime = runtime_with(&config, backends)?;
        let registry = Registry::new();
        let dispatch = dispatch(&registry, &runtime, &config, &cluster, &metrics)?;

        let sockets: Arc<dyn SocketServer> = Namespaces::new(io, Arc::clone(&dispatch), &config);
        let (closing, ended) = unbounded_channel();
        let memory = outbound_memory(&config);
        let bounds = session_bounds(&config);
        let sessions = Sessions::new(bounds, memory, metrics, closing);
        let engine: Arc<dyn Engine> = Arc::new(library);
        let close_sessions = close_ended(Arc::clone(&engine), config.socket.path.clone(), ended);
        let session_closer = tokio::spawn(close_sessions);
        let shedder = tokio::spawn(shed(Arc::clone(&sessions)));
        let router = Arc::new(router(engine, &registry, &dispatch, &sessions, &config));

        let acceptors = accept_on(listeners, &router, &sessions, &config);
        let (grace, store_folder) = (config.server.grace, config.kv.path.clone());
        let scheduler = Scheduler::start(&registry, &dispatch);
        let following = follow(&registry, Arc::clone(&runtime), config, sources, &sockets);
        let orphans = tokio::spawn(orphans::report(Arc::clone(&registry), Arc::clone(&store)));
        let mut server = Self {
            addresses,
            registry,
            dispatch,
            runtime,
            sockets,
            acceptors,
            following,
            session_closer,
            shedder,
            scheduler,
            cluster,
            console: None,
            sessions,
            orphans,
            store,
            store_folder,
            grace,
        };
        if !console.is_empty() {
            server.console = Some(Admin::start(console, server.view(started))?);
        }
        Ok(server)
    }

    /// Returns what the console reads of a server that was started at `started`.
    fn view(&self, started: SystemTime) -> View {
        let tasks = [&self.following, &self.session_closer, &self.shedder];
        let mut tasks = tasks.map(JoinHandle::abort_handle).to_vec();
        tasks.push(self.scheduler.abort_handle());
        tasks.push(self.runtime.sweeper());
        View {
            registry: Arc::clone(&self.registry),
            dispatch: Arc::clone(&self.dispatch),
            sessions: Arc::clone(&self.sessions),
            counts: Arc::clone(self.sockets.counts()),
            schedules: self.scheduler.list(),
            runtime: Arc::clone(&self.runtime),
            vitals: Vitals::watch(started, tasks),
            cluster: self.cluster.clone(),
            store: Arc::clone(&self.store),
            store_folder: self.store_folder.clone(),
        }
    }

    /// Returns the addresses of the listening sockets.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Returns the registry, which holds the table that is served.
    pub fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.registry)
    }

    /// Returns the addresses of the console's listening sockets; none if the console is off.
    pub fn console_addresses(&self) -> &[SocketAddr] {
        self.console.as_ref().map_or(&[], Admin::addresses)
    }

    /// Waits until the handlers folder has been read for the first time and Redis, if it is required, has been reached.
    /// Returns the table that is served.
    pub fn ready(&self) -> impl Future<Output = Arc<Table>> + Send + use<> {
        let (registry, cluster) = (Arc::clone(&self.registry), self.cluster.clone());
        async move {
            registry.ready().await;
            if let Some(cluster) = cluster {
                cluster.reached().await;
            }
            registry.table()
        }
    }

    /// Returns when the server cannot go on, with a sentence that says why: a background task has ended, one that
    /// follows the handlers folder, closes sessions, ends clients or idle instances, or runs schedules; or Redis is
    /// required and was not reached in time.
    ///
    /// Only a bug ends these tasks. Such a server goes on answering, but no longer does all of its work.
    pub async fn failed(&mut self) -> String {
        let unreached = async {
            match &self.cluster {
                Some(cluster) => cluster.failed().await,
                None => std::future::pending().await,
            }
        };
        // These tasks loop for ever, so that only a panic ends one of them.
        tokio::select! {
            sentence = unreached => return sentence,
            _ = &mut self.following => {}
            _ = &mut self.session_closer => {}
            _ = &mut self.shedder => {}
            () = self.scheduler.failed() => {}
            () = self.runtime.failed() => {}
        }
        "a background task of the server has ended, which is a bug; what is on standard error says why. Start the server again".to_owned()
    }

    /// Shuts the server down: ends what compiles, refuses new calls, waits for running calls within the grace period,
    /// runs the disconnect hooks, flushes polling sessions, closes sockets and connections, and closes the console
    /// last.
    ///
    /// Each step has a timeout. A step that exceeds its timeout is logged, and the next step begins.
    pub async fn shut_down(self) {
        let grace = self.grace;
        // The console goes on to say that the folder is followed: only what has to be compiled is not loaded any more.
        let compiled = finish_closing(
            self.runtime.stop_compiling(),
            "the compiling process did not end",
        );
        let drained = finish(
            self.dispatch.drain(),
            grace,
            format!("not everything was answered within {grace:?} (server.grace)"),
        );
        let ((), is_in_time) = tokio::join!(compiled, drained);
        self.dispatch.end_streams();
        finish_closing(
            self.sockets.run_disconnect_hooks(),
            "some disconnect hooks did not end",
        )
        .await;
        if let Some(cluster) = &self.cluster {
            finish_closing(cluster.leave(), "the other nodes were not told of the end").await;
        }
        finish_closing(
            self.sessions.emptied(),
            "some polling clients did not come for their last packets",
        )
        .await;
        // The library waits for each socket to close, and a socket whose client does not read never would.
        finish_closing(self.sockets.close(), "some sockets did not close").await;
        let connections = join_all(
            self.acceptors
                .into_iter()
                .map(|acceptor| acceptor.close(!is_in_time)),
        );
        finish_closing(connections, "some connections did not close").await;
        // No call runs any more, and the console is asked last.
        self.orphans.abort();
        finish_closing(
            self.store.close(),
            "the key-value storage did not close; it is checked at the next start",
        )
        .await;
        if let Some(console) = self.console {
            console.close().await;
        }
        self.following.abort();
        self.session_closer.abort();
        self.shedder.abort();
        drop(self.scheduler);
        let troubles = self.sessions.metrics().to_string();
        if !troubles.is_empty() {
            tracing::info!("since the start: {troubles}");
        }
    }
}

/// Waits for a step of the shutdown that closes something. Logs `warning` if the step exceeds [`CLOSE_TIMEOUT`].
async fn finish_closing<T>(step: impl Future<Output = T>, warning: &str) {
    let warning = format!("{warning} within {CLOSE_TIMEOUT:?}");
    finish(step, CLOSE_TIMEOUT, warning).await;
}

/// Waits for a step of the shutdown. Logs `warning` if the step exceeds `limit`. Returns true if it did not.
async fn finish<T>(step: impl Future<Output = T>, limit: Duration, warning: String) -> bool {
    let is_in_time = tokio::time::timeout(limit, step).await.is_ok();
    if !is_in_time {
        tracing::warn!("{warning}");
    }
    is_in_time
}

/// Creates dispatch, which calls handlers for the doors and for the handlers themselves.
fn dispatch(
    registry: &Arc<Registry>,
    runtime: &Runtime,
    config: &Config,
    cluster: &Option<Arc<Cluster>>,
    metrics: &Arc<Metrics>,
) -> Result<Arc<Dispatch>, StartError> {
    let server = &config.server;
    let files = StaticFolder::with_fallback(&server.public, &server.fallback)
        .map_err(|error| StartError::Fallback(error.to_string()))?;
    let dispatch = Dispatch::new(
        Arc::clone(registry),
        Box::new(files),
        dispatch_settings(config),
        cluster.clone(),
        Arc::clone(metrics),
    );
    runtime.set_dispatcher(Arc::new(Arc::clone(&dispatch)) as Arc<dyn Dispatcher>);
    Ok(dispatch)
}

/// Creates the router and the doors behind it.
fn router(
    engine: Arc<dyn Engine>,
    registry: &Arc<Registry>,
    dispatch: &Arc<Dispatch>,
    sessions: &Arc<Sessions>,
    config: &Config,
) -> Router {
    let bodies = |limit| BodyReader::new(limit, &config.server, Arc::clone(sessions));
    let http = Arc::new(HttpDoor::new(
        Arc::clone(dispatch),
        bodies(config.server.body_limit),
        config,
    ));
    let transports = Transports::new(
        engine,
        Arc::clone(sessions),
        Arc::clone(registry),
        Arc::clone(&http),
        bodies(post_limit(config)),
        config,
    );
    let bundle = ClientBundle::new(Arc::clone(&http), &config.socket);
    Router::new(http, transports, bundle, &config.server)
}

/// Returns the addresses of listeners.
fn addresses(listeners: &[TcpListener]) -> io::Result<Vec<SocketAddr>> {
    listeners.iter().map(TcpListener::local_addr).collect()
}

/// Accepts connections on all listeners. Returns what accepts on each.
fn accept_on(
    listeners: Vec<TcpListener>,
    router: &Arc<Router>,
    sessions: &Arc<Sessions>,
    config: &Config,
) -> Vec<Acceptor> {
    let limits = ConnectionLimits::of(&config.server);
    let accept = |listener| Acceptor::start(listener, Arc::clone(router), limits, sessions);
    listeners.into_iter().map(accept).collect()
}

/// Spawns the task that follows the handlers folder and opens the namespaces that handlers declare.
fn follow(
    registry: &Arc<Registry>,
    runtime: Arc<Runtime>,
    config: Config,
    sources: Sources,
    sockets: &Arc<dyn SocketServer>,
) -> JoinHandle<()> {
    let (registry, sockets) = (Arc::clone(registry), Arc::clone(sockets));
    tokio::spawn(async move {
        let open = Box::new(move |namespace: &str| sockets.open(namespace));
        registry.follow(runtime, config, sources, open).await;
    })
}

fn dispatch_settings(config: &Config) -> DispatchSettings {
    let limits = &config.limits;
    DispatchSettings {
        gate: GateSettings {
            concurrency: limits.concurrency,
            queue: limits.queue,
            wait: limits.queue_wait,
        },
        answer_limit: config.server.answer_limit,
        grace: config.server.grace,
        tells_details: config.tells_details,
    }
}

/// Returns a builder of the socket.io server, with the limits of our settings.
fn socket_io(config: &Config) -> SocketIoBuilder {
    let socket = &config.socket;
    let max_packet = packet_limit(config);
    let parser = ParserConfig::common()
        .max_incoming_binaries(MAX_ATTACHMENTS)
        .max_incoming_binary_buf_size(max_packet)
        .packet_completion_timeout(Duration::from_secs(10));
    let builder = SocketIo::builder()
        .req_path(socket.path.clone())
        .max_payload(post_limit(config) as u64)
        .ws_max_message_size(max_packet)
        .ws_max_frame_size(max_packet)
        .max_buffer_size(socket.send_buffer)
        .ping_interval(socket.ping_interval)
        .ping_timeout(socket.ping_timeout)
        .connect_timeout(socket.connect_timeout)
        .with_parser(parser);
    match socket.transports.as_slice() {
        [Transport::Polling] => builder.transports([TransportType::Polling]),
        [Transport::Websocket] => builder.transports([TransportType::Websocket]),
        _ => builder,
    }
}

#[cfg(test)]
mod tests;
