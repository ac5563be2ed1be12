//! A load generator, limited in connections and in time. It runs in this process against a server on this machine.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::figures::Durations;
use crate::http::{self, Connection};
use crate::raw::RawSocket;
use crate::wait::SOON;

/// The result of a load run.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// The latency of each good answer.
    pub times: Durations,
    /// One message for each failed request.
    pub errors: Vec<String>,
    /// The duration of the run.
    pub duration: Duration,
}

impl Outcome {
    /// Returns the good answers per second.
    pub fn rate(&self) -> f64 {
        self.times.count() as f64 / self.duration.as_secs_f64().max(1e-9)
    }
}

/// A flag that ends a load run from outside. Clones share one flag.
#[derive(Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Ends the run. Requests in flight are still answered.
    pub fn now(&self) {
        // Relaxed is enough because no other data depends on the flag.
        self.0.store(true, Ordering::Relaxed);
    }

    /// Returns true if the run was asked to end.
    pub fn asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The size and duration of a load run.
#[derive(Clone)]
pub struct Plan {
    /// The number of clients. Each of them waits for its answer before it sends the next request.
    pub clients: usize,
    /// The longest duration of the run.
    pub duration: Duration,
    /// The pause of a client between an answer and its next request.
    pub pause: Duration,
    /// The number of events that a client sends at once. Their acks are measured together as one answer. Only
    /// [`acks`] uses this.
    pub window: usize,
    /// The flag that ends the run early.
    pub stop: Stop,
}

impl Plan {
    /// Returns a plan without pauses and with a window of 1.
    pub fn full(clients: usize, duration: Duration) -> Self {
        Self {
            clients,
            duration,
            pause: Duration::ZERO,
            window: 1,
            stop: Stop::default(),
        }
    }

    /// Returns a plan with a pause after each answer and with a window of 1.
    pub fn gentle(clients: usize, duration: Duration, pause: Duration) -> Self {
        Self {
            pause,
            ..Self::full(clients, duration)
        }
    }
}

/// Sends `GET target` over keep-alive connections. An answer counts as an error if its status is not 2xx or if `good`
/// returns false for it.
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

/// Emits `event` with `args` and an ack, over websockets in `/`. An ack counts as an error if `good` returns false for
/// it.
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

/// Judges an ack by the index of the client and the JSON array of the ack's arguments as text.
pub type AckCheck = Arc<dyn Fn(usize, &str) -> bool + Send + Sync>;

/// One client of a load run.
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

/// Runs all clients at once until the duration has passed or the run is stopped.
async fn run<C: Client + 'static>(settings: C::Settings, plan: Plan) -> Outcome {
    let start = Instant::now();
    let mut clients = JoinSet::new();
    for number in 0..plan.clients {
        clients.spawn(run_client::<C>(
            settings.clone(),
            number,
            plan.clone(),
            start,
        ));
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

/// Runs one client until the run ends. The client connects again after a failure. Returns the latencies of good answers
/// and the messages of failures.
async fn run_client<C: Client>(
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
                // The pause limits the rate of attempts if the server has ended.
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
    let answered = tokio::time::timeout(SOON, connected.ask()).await;
    answered.context("no answer in time")?
}
