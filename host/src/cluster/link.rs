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
    PushKind, RedisConnectionInfo,
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

/// Whether there is a connection to Redis, or the reason why there is none.
pub(super) enum State {
    Up,
    /// There is no connection. Before the first try has failed, there is no reason.
    Down {
        since: Instant,
        trouble: Option<Trouble>,
    },
}

/// One connection, from its opening to its loss.
struct Session {
    connection: MultiplexedConnection,
    loss: Loss,
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

/// One connection to Redis that is opened again whenever it is lost. Its task ends when this is dropped.
pub(super) struct Link {
    /// What the connection is for, as metrics and the list of clients of Redis show it.
    pub(super) purpose: &'static str,
    pub(super) state: watch::Receiver<State>,
    task: tokio::task::JoinHandle<()>,
}

impl Link {
    /// Opens a connection, and again whenever it is lost. Must be called within a tokio runtime.
    pub(super) fn open(
        target: Target,
        purpose: &'static str,
        counters: Arc<ClusterCounters>,
    ) -> Self {
        let begin = State::Down {
            since: Instant::now(),
            trouble: None,
        };
        let (state, seen) = watch::channel(begin);
        let supervisor = Supervisor {
            target,
            purpose,
            counters,
            state,
        };
        Self {
            purpose,
            state: seen,
            task: tokio::spawn(supervisor.run()),
        }
    }

    /// Returns true if there is a connection.
    pub(super) fn is_up(&self) -> bool {
        matches!(*self.state.borrow(), State::Up)
    }

    /// Returns since when there is no connection, and why.
    pub(super) fn trouble(&self) -> Option<(Instant, Option<Trouble>)> {
        match &*self.state.borrow() {
            State::Up => None,
            State::Down { since, trouble } => Some((*since, trouble.clone())),
        }
    }

    /// Returns when there is a connection.
    pub(super) async fn up(&self) {
        let mut state = self.state.clone();
        // Fails if the task has ended, and then there is none any more.
        if state.wait_for(|it| matches!(it, State::Up)).await.is_err() {
            std::future::pending().await
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Supervisor {
    target: Target,
    purpose: &'static str,
    counters: Arc<ClusterCounters>,
    state: watch::Sender<State>,
}

impl Supervisor {
    async fn run(self) {
        let mut backoff = Backoff::default();
        loop {
            let trouble = match self.connect().await {
                Ok(session) => {
                    let opened = Instant::now();
                    self.begin();
                    let trouble = watch_over(session).await;
                    self.counters.reconnects.one();
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

    /// Opens a connection and names it.
    async fn connect(&self) -> Result<Session, Trouble> {
        let loss = Loss::new();
        let told = loss.clone();
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_push_sender(move |push: PushInfo| {
                if push.kind == PushKind::Disconnection {
                    told.report(Trouble::Closed);
                }
                Ok::<_, ()>(())
            });
        let (client, node) = (&self.target.client, &self.target.node);
        let connect = async {
            let connected = client.get_multiplexed_async_connection_with_config(&config);
            let mut connection = connected.await?;
            let name = format!("hitchy:{node}:{}", self.purpose);
            let mut naming = redis::cmd("CLIENT");
            let named = naming.arg("SETNAME").arg(name).query_async(&mut connection);
            // A user of Redis may be forbidden to name connections, and names only help people.
            let (Ok(()) | Err(_)) = named.await;
            Ok(Session { connection, loss })
        };
        timeout(ANSWER_TIME, connect)
            .await
            .unwrap_or(Err(Trouble::Silent))
    }

    fn begin(&self) {
        let (place, purpose) = (&self.target.place, self.purpose);
        tracing::info!(purpose, "Redis at {place} is reached");
        self.state.send_replace(State::Up);
    }

    /// Notes that there is no connection. An outage is logged when it begins and when its reason changes.
    fn end(&self, trouble: Trouble) {
        let (place, purpose) = (&self.target.place, self.purpose);
        let is_new = self.state.send_if_modified(|state| {
            let (since, former) = match state {
                State::Down { since, trouble } => (*since, trouble.as_ref()),
                State::Up => (Instant::now(), None),
            };
            let is_new = former != Some(&trouble);
            *state = State::Down {
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
    tokio::select! {
        biased;
        trouble = session.loss.reported() => trouble,
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
