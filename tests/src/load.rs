//! Load: bounded in connections and in time, from this process to a server on this machine.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::figures::Durations;
use crate::http::{self, Connection};
use crate::raw::RawSocket;

/// The results of a load.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// The time that each good answer took.
    pub times: Durations,
    /// Everything that went wrong, each in words.
    pub errors: Vec<String>,
    /// For how long it went on.
    pub duration: Duration,
}

impl Outcome {
    /// Good answers each second.
    pub fn rate(&self) -> f64 {
        self.times.count() as f64 / self.duration.as_secs_f64().max(1e-9)
    }
}

/// Ends a load from outside.
#[derive(Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Ends it after the answers under way.
    pub fn now(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// True if the load was asked to end.
    pub fn asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The size of a load.
#[derive(Clone)]
pub struct Plan {
    /// So many clients, each waiting for its answer before it asks again.
    pub clients: usize,
    /// For at most so long.
    pub duration: Duration,
    /// Between two questions of one client.
    pub pause: Duration,
    /// So many events of one client are sent at once; their acks count together, as one question.
    pub window: usize,
    /// Ends it earlier.
    pub stop: Stop,
}

impl Plan {
    /// Without pauses.
    pub fn full(clients: usize, duration: Duration) -> Self {
        Self {
            clients,
            duration,
            pause: Duration::ZERO,
            window: 1,
            stop: Stop::default(),
        }
    }

    /// With a pause after each answer.
    pub fn gentle(clients: usize, duration: Duration, pause: Duration) -> Self {
        Self {
            pause,
            ..Self::full(clients, duration)
        }
    }
}

/// `GET target` over keep-alive connections; anything but a 2xx that `good` likes is an error.
pub async fn http(
    addr: SocketAddr,
    target: &str,
    plan: Plan,
    good: fn(&http::Answer) -> bool,
) -> Outcome {
    run::<HttpClient>(
        HttpSettings {
            addr,
            target: target.into(),
            good,
        },
        plan,
    )
    .await
}

/// `emit(event, …args)` with an ack over websockets in namespace `/`; an ack that `good` does not like is an error.
/// `good` gets the client's number and the text of the ack's arguments.
pub async fn acks(
    addr: SocketAddr,
    event: &str,
    args: &[Value],
    plan: Plan,
    good: AckCheck,
) -> Outcome {
    let settings = AckSettings {
        addr,
        event: event.into(),
        args: args.into(),
        window: plan.window,
        good,
    };
    run::<AckClient>(settings, plan).await
}

/// Judges an ack by the client's number and the text of the arguments.
pub type AckCheck = Arc<dyn Fn(usize, &str) -> bool + Send + Sync>;

/// One of the clients of a load.
trait Client: Sized + Send {
    type Settings: Clone + Send + Sync + 'static;

    fn connect(
        settings: Self::Settings,
        number: usize,
    ) -> impl Future<Output = Result<Self>> + Send;

    fn ask(&mut self) -> impl Future<Output = Result<()>> + Send;
}

#[derive(Clone)]
struct HttpSettings {
    addr: SocketAddr,
    target: Arc<str>,
    good: fn(&http::Answer) -> bool,
}

struct HttpClient {
    connection: Connection,
    settings: HttpSettings,
}

impl Client for HttpClient {
    type Settings = HttpSettings;

    async fn connect(settings: HttpSettings, _number: usize) -> Result<Self> {
        Ok(Self {
            connection: Connection::try_open(settings.addr).await?,
            settings,
        })
    }

    async fn ask(&mut self) -> Result<()> {
        let answer = self
            .connection
            .try_ask("GET", &self.settings.target, &[], b"")
            .await?;
        if !(200..300).contains(&answer.status) || !(self.settings.good)(&answer) {
            bail!("{} {}", answer.status, answer.text());
        }
        Ok(())
    }
}

#[derive(Clone)]
struct AckSettings {
    addr: SocketAddr,
    event: Arc<str>,
    args: Arc<[Value]>,
    window: usize,
    good: AckCheck,
}

struct AckClient {
    socket: RawSocket,
    number: usize,
    settings: AckSettings,
}

impl Client for AckClient {
    type Settings = AckSettings;

    async fn connect(settings: AckSettings, number: usize) -> Result<Self> {
        Ok(Self {
            socket: RawSocket::connect(settings.addr, "/").await?,
            number,
            settings,
        })
    }

    async fn ask(&mut self) -> Result<()> {
        let AckSettings {
            event,
            args,
            window,
            good,
            ..
        } = &self.settings;
        let good = |ack: &str| good(self.number, ack);
        self.socket.ask_many(*window, event, args, good).await
    }
}

/// Runs the clients side by side until the time is over.
async fn run<C: Client + 'static>(settings: C::Settings, plan: Plan) -> Outcome {
    let start = Instant::now();
    let mut clients = JoinSet::new();
    for number in 0..plan.clients {
        clients.spawn(live::<C>(settings.clone(), number, plan.clone(), start));
    }
    let mut outcome = Outcome::default();
    let mut times = Vec::new();
    while let Some(done) = clients.join_next().await {
        let (good, bad) = done.expect("a client does not panic");
        times.extend(good);
        outcome.errors.extend(bad);
    }
    Outcome {
        times: Durations::of(times),
        duration: start.elapsed(),
        ..outcome
    }
}

/// The life of one client: after a failure it connects again.
async fn live<C: Client>(
    settings: C::Settings,
    number: usize,
    plan: Plan,
    start: Instant,
) -> (Vec<Duration>, Vec<String>) {
    let (mut times, mut errors) = (Vec::new(), Vec::new());
    let mut client = None;
    while start.elapsed() < plan.duration && !plan.stop.asked() {
        let asked = Instant::now();
        match step::<C>(&mut client, &settings, number).await {
            Ok(()) => times.push(asked.elapsed()),
            Err(error) => {
                client = None;
                errors.push(format!("{error:#}"));
                // A server that is gone must not be asked a million times.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        if !plan.pause.is_zero() {
            tokio::time::sleep(plan.pause).await;
        }
    }
    (times, errors)
}

async fn step<C: Client>(
    client: &mut Option<C>,
    settings: &C::Settings,
    number: usize,
) -> Result<()> {
    let connected = match client {
        Some(connected) => connected,
        None => client.insert(C::connect(settings.clone(), number).await?),
    };
    connected.ask().await
}
