//! One connection to Redis. It is opened again whenever it is lost, for ever.
//!
//! The library's connections do not replace themselves, and its manager of connections keeps one that hangs. Here a
//! connection counts as lost when it breaks, or when Redis leaves two questions in a row unanswered, which also finds
//! a process that was stopped and a network that swallows everything.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::io::tcp::socket2::TcpKeepalive;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo, ProtocolVersion, PushInfo,
    PushKind, RedisConnectionInfo, Value,
};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::backoff::Backoff;
use super::counters::ClusterCounters;
use super::settings::ClusterSettings;
use super::trouble::{ANSWER_TIME, Trouble};

/// The time between two questions whether Redis still answers.
const PING_INTERVAL: Duration = Duration::from_secs(1);
/// The time after which a connection counts as good, so that the next loss is followed by the shortest pause again.
const GOOD_AFTER: Duration = Duration::from_secs(5);
/// The time after which the system gives up what the other side does not acknowledge.
const UNACKNOWLEDGED: Duration = Duration::from_secs(3);

/// A connection to Redis, or the reason why there is none.
#[derive(Clone)]
pub(super) enum LinkState {
    Up(Session),
    /// There is no connection. Before the first try has failed, there is no reason.
    Down {
        since: Instant,
        trouble: Option<Trouble>,
    },
}

/// One connection, from its opening to its loss.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) connection: MultiplexedConnection,
    loss: Loss,
}

impl Session {
    /// Says that the connection is of no use any more, so that it is replaced.
    pub(super) fn give_up(&self, trouble: Trouble) {
        self.loss.report(trouble);
    }
}

/// The loss of a connection, told by whoever notices it first.
#[derive(Clone)]
struct Loss(Arc<watch::Sender<Option<Trouble>>>);

impl Loss {
    fn new() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }

    fn report(&self, trouble: Trouble) {
        self.0.send_if_modified(|first| {
            let is_first = first.is_none();
            first.get_or_insert(trouble);
            is_first
        });
    }

    async fn reported(&self) -> Trouble {
        let mut seen = self.0.subscribe();
        let trouble = seen.wait_for(Option::is_some).await;
        // The sender is in this value, so that waiting does not fail.
        trouble
            .ok()
            .and_then(|it| it.clone())
            .unwrap_or(Trouble::Closed)
    }
}

/// Where Redis is, and how it is asked.
#[derive(Clone)]
pub(super) struct Target {
    client: Client,
    /// Host and port, for people.
    pub(super) place: Arc<str>,
    node: String,
}

impl Target {
    /// Reads the settings.
    pub(super) fn of(settings: &ClusterSettings) -> Result<Self, Trouble> {
        let url = &settings.redis;
        let (host, port) = (url.host.clone(), url.port);
        let address = if url.is_tls {
            // The library takes the provider that the process has installed.
            let _ = rustls::crypto::ring::default_provider().install_default();
            ConnectionAddr::TcpTls {
                host,
                port,
                insecure: false,
                tls_params: None,
            }
        } else {
            ConnectionAddr::Tcp(host, port)
        };
        let mut redis = RedisConnectionInfo::default()
            .set_protocol(ProtocolVersion::RESP3)
            .set_db(url.database.into());
        if let Some(user) = &url.user {
            redis = redis.set_username(user);
        }
        if let Some(password) = &settings.password {
            redis = redis.set_password(password.text());
        }
        let keepalive = TcpKeepalive::new().with_time(Duration::from_secs(10));
        let tcp = TcpSettings::default()
            .set_nodelay(true)
            .set_keepalive(keepalive)
            .set_user_timeout(UNACKNOWLEDGED);
        let info = address.into_connection_info()?;
        let info = info.set_redis_settings(redis).set_tcp_settings(tcp);
        Ok(Self {
            client: Client::open(info)?,
            place: url.place().into(),
            node: settings.name.clone(),
        })
    }
}

/// Who gets what is published on channels.
pub(super) trait Subscriber: Send + Sync {
    /// Takes note that a connection will soon get what is published from now on.
    fn opens(&self);

    /// Takes a message. It must not wait, because nothing is read meanwhile.
    fn take(&self, bytes: &[u8]);
}

/// What a connection is for.
#[derive(Clone)]
pub(super) enum Purpose {
    /// It sends frames.
    Publish,
    /// It gets what is published on channels.
    Subscribe {
        channels: [String; 2],
        subscriber: Arc<dyn Subscriber>,
    },
}

impl Purpose {
    /// Returns the word of the metrics, the log and the list of clients of Redis.
    fn name(&self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Subscribe { .. } => "subscribe",
        }
    }
}

/// One connection to Redis that is opened again whenever it is lost. Its task ends when this is dropped.
pub(super) struct Link {
    /// The word for what the connection is for.
    pub(super) purpose: &'static str,
    pub(super) state: watch::Receiver<LinkState>,
    task: tokio::task::JoinHandle<()>,
}

impl Link {
    /// Opens a connection, and again whenever it is lost. Must be called within a tokio runtime.
    pub(super) fn open(target: &Target, purpose: Purpose, counters: &Arc<ClusterCounters>) -> Self {
        let begin = LinkState::Down {
            since: Instant::now(),
            trouble: None,
        };
        let (state, seen) = watch::channel(begin);
        let name = purpose.name();
        let supervisor = Supervisor {
            target: target.clone(),
            purpose,
            counters: Arc::clone(counters),
            state,
        };
        Self {
            purpose: name,
            state: seen,
            task: tokio::spawn(supervisor.run()),
        }
    }

    /// Returns true if there is a connection.
    pub(super) fn is_up(&self) -> bool {
        matches!(*self.state.borrow(), LinkState::Up(_))
    }

    /// Returns since when there is no connection, and why.
    pub(super) fn trouble(&self) -> Option<(Instant, Option<Trouble>)> {
        match &*self.state.borrow() {
            LinkState::Up(_) => None,
            LinkState::Down { since, trouble } => Some((*since, trouble.clone())),
        }
    }

    /// Returns when there is a connection.
    pub(super) async fn up(&self) {
        if session(&mut self.state.clone()).await.is_none() {
            std::future::pending().await
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Waits for a connection. Returns `None` if there will be none any more.
pub(super) async fn session(state: &mut watch::Receiver<LinkState>) -> Option<Session> {
    let up = state.wait_for(|state| matches!(state, LinkState::Up(_)));
    match &*up.await.ok()? {
        LinkState::Up(session) => Some(session.clone()),
        LinkState::Down { .. } => None,
    }
}

struct Supervisor {
    target: Target,
    purpose: Purpose,
    counters: Arc<ClusterCounters>,
    state: watch::Sender<LinkState>,
}

impl Supervisor {
    async fn run(self) {
        let mut backoff = Backoff::default();
        loop {
            let trouble = match self.connect().await {
                Ok(session) => {
                    let opened = Instant::now();
                    self.begin(session.clone());
                    let trouble = watch_over(session).await;
                    self.counters.reconnects.add(1);
                    if opened.elapsed() > GOOD_AFTER {
                        backoff.reset();
                    }
                    trouble
                }
                Err(trouble) => trouble,
            };
            let pause = backoff.next(trouble.is_refusal(), random());
            self.end(trouble);
            sleep(pause).await;
        }
    }

    /// Opens a connection, names it and subscribes the channels.
    async fn connect(&self) -> Result<Session, Trouble> {
        let loss = Loss::new();
        let (told, purpose) = (loss.clone(), self.purpose.clone());
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_push_sender(move |push: PushInfo| {
                match (&purpose, push.kind, push.data.last()) {
                    (_, PushKind::Disconnection, _) => told.report(Trouble::Closed),
                    (
                        Purpose::Subscribe { subscriber, .. },
                        PushKind::Message,
                        Some(Value::BulkString(bytes)),
                    ) => {
                        subscriber.take(bytes);
                    }
                    _ => {}
                }
                Ok::<_, ()>(())
            });
        let (client, node) = (&self.target.client, &self.target.node);
        let connect = async {
            let connected = client.get_multiplexed_async_connection_with_config(&config);
            let mut connection = connected.await?;
            let name = format!("hitchy:{node}:{}", self.purpose.name());
            let mut naming = redis::cmd("CLIENT");
            let named = naming.arg("SETNAME").arg(name).query_async(&mut connection);
            // A user of Redis may be forbidden to name connections, and names only help people.
            let (Ok(()) | Err(_)) = named.await;
            if let Purpose::Subscribe {
                channels,
                subscriber,
            } = &self.purpose
            {
                subscriber.opens();
                connection.subscribe(&channels[..]).await?;
            }
            Ok(Session { connection, loss })
        };
        timeout(ANSWER_TIME, connect)
            .await
            .unwrap_or(Err(Trouble::Silent))
    }

    fn begin(&self, session: Session) {
        let (place, purpose) = (&self.target.place, self.purpose.name());
        tracing::info!(purpose, "Redis at {place} is reached");
        self.state.send_replace(LinkState::Up(session));
    }

    /// Notes that there is no connection. An outage is logged when it begins and when its reason changes.
    fn end(&self, trouble: Trouble) {
        let (place, purpose) = (&self.target.place, self.purpose.name());
        let is_new = self.state.send_if_modified(|state| {
            let (since, former) = match state {
                LinkState::Down { since, trouble } => (*since, trouble.as_ref()),
                LinkState::Up(_) => (Instant::now(), None),
            };
            let is_new = former != Some(&trouble);
            *state = LinkState::Down {
                since,
                trouble: Some(trouble.clone()),
            };
            is_new
        });
        if is_new {
            tracing::warn!(
                purpose,
                "Redis at {place} (cluster.redis) is not reached: {trouble}"
            );
        }
    }
}

/// Returns when a connection is lost, and why.
async fn watch_over(session: Session) -> Trouble {
    let loss = session.loss.clone();
    tokio::select! {
        biased;
        trouble = loss.reported() => trouble,
        trouble = silence(session.connection) => trouble,
    }
}

/// Returns when Redis has left two questions in a row unanswered, or answers that it is of no use.
async fn silence(mut connection: MultiplexedConnection) -> Trouble {
    let mut unanswered = 0;
    while unanswered < 2 {
        sleep(PING_INTERVAL).await;
        let ping = redis::cmd("PING");
        match timeout(ANSWER_TIME, ping.query_async::<()>(&mut connection)).await {
            Ok(Ok(())) => unanswered = 0,
            Ok(Err(error)) => return Trouble::from(error),
            Err(_) => unanswered += 1,
        }
    }
    Trouble::Silent
}

/// Returns a random number. Zero is as good if the system has none.
fn random() -> u8 {
    let mut byte = [0];
    let _ = getrandom::fill(&mut byte);
    byte[0]
}
