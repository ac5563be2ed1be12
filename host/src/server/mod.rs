//! The house, built once: the way out, the runtime, the registry, dispatch, the doors. Listens, and shuts down in good order.

mod accept;
mod admin;
mod files;
mod hitchy;
mod http;
mod router;
mod socketio;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::http::Extensions;
use socketioxide::SocketIo;
use socketioxide::adapter::LocalAdapter;
use socketioxide::{ParserConfig, SocketIoBuilder, TransportType};
use tokio::net::TcpListener;
use tokio::sync::mpsc::unbounded_channel;
use tokio::task::JoinHandle;

use self::accept::{Acceptor, Bounds as ConnectionBounds};
use self::admin::{Admin, View, Vitals};
use self::files::Folder;
use self::files::client_bundle::Bundle;
pub(crate) use self::hitchy::{AnswerBody, AnswerHeaders, is_withheld};
use self::http::HttpDoor;
use self::http::body::Bodies;
use self::router::Front;
use self::socketio::Namespaces;
use self::socketio::transport::{Transports, close_ended};
use crate::config::{Config, Sources, Transport};
use crate::dispatch::{Dispatch, GateSettings};
use crate::emitter::Emitter;
use crate::metrics::Metrics;
use crate::payload::MAX_ATTACHMENTS;
use crate::registry::{Registry, Table};
use crate::runtime::{Dispatcher, MessageSizes, Runtime, RuntimeSettings, this_program};
use crate::session::{Bounds, Sessions};

/// How long sockets and connections may take to close once there is nothing left to answer.
const CLOSING: Duration = Duration::from_secs(2);

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// wasmtime could not be set up.
    #[error("the runtime of the handlers cannot be set up: {0}")]
    Runtime(String),
    /// A listening socket has no address.
    #[error("a listening socket is of no use: {0}")]
    Listener(#[from] std::io::Error),
}

/// A server that listens and answers.
pub struct Server {
    addresses: Vec<SocketAddr>,
    registry: Arc<Registry>,
    dispatch: Arc<Dispatch>,
    io: SocketIo<LocalAdapter>,
    namespaces: Arc<Namespaces<LocalAdapter>>,
    acceptors: Vec<Acceptor>,
    following: JoinHandle<()>,
    session_closer: JoinHandle<()>,
    console: Option<Admin>,
    sessions: Arc<Sessions>,
    grace: Duration,
}

impl Server {
    /// Builds the house and opens its doors on `listeners`, and the console on `console` if there are such. The doors answer 503 until
    /// the handlers folder has been read.
    pub fn start(
        config: Config,
        sources: Sources,
        listeners: Vec<TcpListener>,
        console: Vec<TcpListener>,
    ) -> Result<Self, StartError> {
        let (started, metrics) = (SystemTime::now(), Arc::<Metrics>::default());
        let (layer, io) = socket_io(&config).build_layer();
        let emitter = Emitter::new(io.clone(), Arc::clone(&metrics));
        let runtime = runtime(&config, emitter)?;
        let registry = Registry::new();
        let dispatch = dispatch(&registry, &runtime, &config, &metrics);

        let namespaces = Namespaces::new(io.clone(), Arc::clone(&dispatch), &config);
        let (ending, ended) = unbounded_channel();
        let sessions = Sessions::new(session_bounds(&config), metrics, ending);
        let library = Router::new().layer(layer);
        let closing = close_ended(library.clone(), config.socket.path.clone(), ended);
        let session_closer = tokio::spawn(closing);
        let front = Arc::new(front(library, &registry, &dispatch, &sessions, &config));

        let addresses = listeners
            .iter()
            .map(TcpListener::local_addr)
            .collect::<Result<_, _>>()?;
        let bounds = ConnectionBounds::of(&config.server);
        let accept = |listener| Acceptor::start(listener, Arc::clone(&front), bounds);
        let acceptors = listeners.into_iter().map(accept).collect();
        let grace = config.server.grace;
        let following = follow(&registry, runtime, config, sources, &namespaces);
        let mut server = Self {
            addresses,
            registry,
            dispatch,
            io,
            namespaces,
            acceptors,
            following,
            session_closer,
            console: None,
            sessions,
            grace,
        };
        if !console.is_empty() {
            server.console = Some(Admin::start(console, server.view(started))?);
        }
        Ok(server)
    }

    /// What the console shows of a server that was started then.
    fn view(&self, started: SystemTime) -> View {
        let tasks = [&self.following, &self.session_closer];
        let tasks = tasks.map(JoinHandle::abort_handle).to_vec();
        View {
            registry: Arc::clone(&self.registry),
            dispatch: Arc::clone(&self.dispatch),
            sessions: Arc::clone(&self.sessions),
            counts: Arc::clone(self.namespaces.counts()),
            vitals: Vitals::watch(started, tasks),
        }
    }

    /// Where it listens.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Who is served now.
    pub fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.registry)
    }

    /// Where the console listens; nowhere when it is off.
    pub fn console_addresses(&self) -> &[SocketAddr] {
        self.console.as_ref().map_or(&[], Admin::addresses)
    }

    /// Returns when the handlers folder has been read for the first time: the table that is served.
    pub async fn ready(&self) -> Arc<Table> {
        self.registry.ready().await;
        self.registry.table()
    }

    /// Returns when the handlers folder is no longer followed, or sessions are no longer closed, which only a bug of ours can cause: such
    /// a server is half alive.
    pub async fn failed(&mut self) {
        // They end by a panic or not at all.
        tokio::select! {
            _ = &mut self.following => {}
            _ = &mut self.session_closer => {}
        }
    }

    /// Shuts down: accepts nothing new, answers what was accepted within the grace period, says goodbye to sockets, closes.
    pub async fn shut_down(self) {
        if tokio::time::timeout(self.grace, self.dispatch.drain())
            .await
            .is_err()
        {
            tracing::warn!(
                "not everything was answered within {:?} (server.grace)",
                self.grace
            );
        }
        if tokio::time::timeout(CLOSING, self.namespaces.close())
            .await
            .is_err()
        {
            tracing::warn!("some disconnect hooks did not end within {CLOSING:?}");
        }
        if tokio::time::timeout(CLOSING, self.sessions.emptied())
            .await
            .is_err()
        {
            tracing::warn!(
                "some polling clients did not come for their last packets within {CLOSING:?}"
            );
        }
        // The library waits for each socket to close, and one that does not read would not.
        if tokio::time::timeout(CLOSING, self.io.close())
            .await
            .is_err()
        {
            tracing::warn!("some sockets did not close within {CLOSING:?}");
        }
        let closing = self.acceptors.into_iter().map(Acceptor::close);
        let closed = tokio::time::timeout(CLOSING, futures_util::future::join_all(closing)).await;
        if closed.is_err() {
            tracing::warn!("some connections did not close within {CLOSING:?}");
        }
        if let Some(console) = self.console {
            console.close().await;
        }
        self.following.abort();
        self.session_closer.abort();
        let troubles = self.sessions.metrics().to_string();
        if !troubles.is_empty() {
            tracing::info!("since the start: {troubles}");
        }
    }
}

/// What calls handlers, for the doors and for the handlers themselves.
fn dispatch(
    registry: &Arc<Registry>,
    runtime: &Runtime,
    config: &Config,
    metrics: &Arc<Metrics>,
) -> Arc<Dispatch> {
    let dispatch = Dispatch::new(
        Arc::clone(registry),
        Box::new(Folder::new(&config.server.public)),
        gate_settings(config),
        config.server.answer_limit,
        Arc::clone(metrics),
    );
    runtime.set_dispatcher(Arc::new(Arc::clone(&dispatch)) as Arc<dyn Dispatcher>);
    dispatch
}

/// The porch with the doors behind it.
fn front(
    library: Router,
    registry: &Arc<Registry>,
    dispatch: &Arc<Dispatch>,
    sessions: &Arc<Sessions>,
    config: &Config,
) -> Front {
    let bodies = |limit| Bodies::new(limit, &config.server, Arc::clone(sessions));
    let http = HttpDoor::new(
        Arc::clone(dispatch),
        bodies(config.server.body_limit),
        config,
    );
    let http = Arc::new(http);
    let transports = Transports::new(
        library,
        Arc::clone(sessions),
        Arc::clone(registry),
        Arc::clone(&http),
        bodies(post_limit(config)),
        config,
    );
    let bundle = Bundle::new(Arc::clone(&http), &config.socket);
    Front::new(http, transports, bundle, &config.server)
}

/// Follows the handlers folder.
fn follow(
    registry: &Arc<Registry>,
    runtime: Arc<Runtime>,
    config: Config,
    sources: Sources,
    namespaces: &Arc<Namespaces<LocalAdapter>>,
) -> JoinHandle<()> {
    let (registry, namespaces) = (Arc::clone(registry), Arc::clone(namespaces));
    tokio::spawn(async move {
        let open = Box::new(move |namespace: &str| namespaces.open(namespace));
        registry.follow(runtime, config, sources, open).await;
    })
}

fn gate_settings(config: &Config) -> GateSettings {
    let limits = &config.limits;
    GateSettings {
        concurrency: limits.concurrency,
        queue: limits.queue,
        wait: limits.queue_wait,
    }
}

/// The runtime that a server with these settings has. Must be called within a tokio runtime.
pub fn runtime(config: &Config, emitter: Emitter) -> Result<Arc<Runtime>, StartError> {
    let runtime = Runtime::new(runtime_settings(config, emitter));
    let runtime = runtime.map_err(|error| StartError::Runtime(format!("{error:#}")))?;
    Ok(Arc::new(runtime))
}

fn runtime_settings(config: &Config, emitter: Emitter) -> RuntimeSettings {
    let mut backends = Extensions::new();
    backends.insert(emitter);
    let half_of_memory = || usize::try_from(machine_memory() / 2).unwrap_or(usize::MAX);
    let budget = config
        .limits
        .memory_budget
        .map(|budget| usize::try_from(budget).unwrap_or(usize::MAX));
    RuntimeSettings {
        calls: config.limits.concurrency,
        memory_budget: budget.unwrap_or_else(half_of_memory),
        sizes: MessageSizes {
            payload: config.server.body_limit,
            answer: config.server.answer_limit,
        },
        compiler: this_program(),
        backends,
    }
}

/// Bytes of memory this process may use: of its control group, else of the machine.
fn machine_memory() -> u64 {
    let group = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let group = group.and_then(|text| text.trim().parse().ok());
    let info = rustix::system::sysinfo();
    let machine = info.totalram.saturating_mul(info.mem_unit.into());
    group.map_or(machine, |group: u64| group.min(machine))
}

fn session_bounds(config: &Config) -> Bounds {
    let socket = &config.socket;
    Bounds {
        sessions: socket.max_sockets,
        unclaimed: socket.max_unclaimed,
        packets: socket.send_buffer,
        bytes: socket.send_bytes as u64,
        stall: config.server.write_stall,
    }
}

/// Bytes of a packet: up to four times the limit of bodies it is still answered, with a 413; above that its session is closed.
fn packet_limit(config: &Config) -> usize {
    config.server.body_limit.saturating_mul(4)
}

/// Bytes of the body of a poll: a packet whose attachments are in base64.
fn post_limit(config: &Config) -> usize {
    let most = packet_limit(config);
    most.saturating_add(most / 3).saturating_add(1 << 10)
}

/// The socket.io server, with all its limits from our settings.
fn socket_io(config: &Config) -> SocketIoBuilder<LocalAdapter> {
    let socket = &config.socket;
    let most = packet_limit(config);
    let parser = ParserConfig::common()
        .max_incoming_binaries(MAX_ATTACHMENTS)
        .max_incoming_binary_buf_size(most)
        .packet_completion_timeout(Duration::from_secs(10));
    let builder = SocketIo::builder()
        .req_path(socket.path.clone())
        .max_payload(post_limit(config) as u64)
        .ws_max_message_size(most)
        .ws_max_frame_size(most)
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
