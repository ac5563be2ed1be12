//! A node that is one of several: what it says to the others through Redis, and what they say to it.
//!
//! A server without `[cluster]` has none of this. A node never waits for Redis to serve its own clients, except at its
//! start if the settings say so. What goes from node to node arrives at most once, and from one node in its order.

mod asks;
mod backoff;
mod counters;
mod emit;
mod frame;
mod inbox;
mod link;
mod members;
mod message;
mod outbox;
mod question;
mod queue;
mod receiver;
mod replies;
mod settings;
mod trouble;

pub use self::counters::{ClusterCounters, Noted};
pub use self::emit::{Attachment, Emit, EmitRef};
pub use self::question::{Change, Question, Selection};
pub use self::receiver::{Answer, ClientAnswers, Receiver};
pub use self::settings::{ClusterSettings, Mode, Password, RedisUrl};

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::asks::{ANSWER_TIME, Answers, Asks};
use self::frame::{Origin, Seal};
use self::inbox::{Inbox, Parts};
use self::link::{Link, LinkState, Purpose, Target, session};
use self::members::{BEAT, Members};
use self::message::Sent;
use self::outbox::{Channels, Outbox};
use self::question::{Ack, Part};
use crate::payload::Failure;

/// Bytes of a message besides its payload: the names of the most rooms that an audience may have, and the rest.
const BESIDES_PAYLOAD: usize = (4 << 20) + (64 << 10);

/// A node that is one of several. Its tasks end when it is dropped.
pub struct Cluster {
    /// Host and port of Redis, for people.
    place: Arc<str>,
    links: [Link; 2],
    outbox: Arc<Outbox>,
    members: Arc<Members>,
    asks: Arc<Asks>,
    counters: Arc<ClusterCounters>,
    mode: Mode,
    start_timeout: Duration,
    started: Instant,
    /// True once all connections were open at the same time.
    has_been_up: AtomicBool,
    /// The tasks that publish and that give signs of life.
    _tasks: JoinSet<()>,
}

/// An event on its way to the other nodes.
pub struct Outgoing(Vec<u8>);

impl Cluster {
    /// Opens the connections to Redis in the background. What other nodes say to clients goes to `receiver`. Must be
    /// called within a tokio runtime.
    ///
    /// # Errors
    /// The settings cannot be used. The text is the end of a sentence.
    pub fn start(
        settings: &ClusterSettings,
        receiver: Arc<dyn Receiver>,
    ) -> Result<Arc<Self>, String> {
        let target = Target::of(settings).map_err(|trouble| trouble.to_string())?;
        let origin = Origin::random().map_err(|error| error.to_string())?;
        let (counters, members, asks) = (Arc::default(), Arc::default(), Arc::default());
        let (seal, largest) = (seal(settings), settings.largest + BESIDES_PAYLOAD);
        let channels = Channels::new(&settings.prefix);
        let outbox = Arc::new(Outbox::new(origin, Arc::clone(&counters)));
        let started = Instant::now();
        let parts = Parts {
            started,
            receiver,
            members: Arc::clone(&members),
            asks: Arc::clone(&asks),
            outbox: Arc::clone(&outbox),
            counters: Arc::clone(&counters),
        };
        let inbox = Inbox::new(origin, largest, seal.clone(), parts);
        let subscribe = Purpose::Subscribe {
            channels: [channels.of_all(), channels.of_one(origin)],
            subscriber: Arc::new(inbox),
        };
        let publisher = Link::open(&target, Purpose::Publish, &counters);
        let mut tasks = JoinSet::new();
        let (publishing, link) = (Arc::clone(&outbox), publisher.state.clone());
        tasks.spawn(async move { publishing.publish(link, &seal, &channels).await });
        let beating = Beats {
            outbox: Arc::clone(&outbox),
            name: settings.name.clone(),
            started,
        };
        tasks.spawn(beating.give(publisher.state.clone()));
        Ok(Arc::new(Self {
            place: Arc::clone(&target.place),
            links: [publisher, Link::open(&target, subscribe, &counters)],
            outbox,
            members,
            asks,
            counters,
            mode: settings.mode,
            start_timeout: settings.start_timeout,
            started,
            has_been_up: AtomicBool::new(false),
            _tasks: tasks,
        }))
    }

    /// Makes an event for the clients of other nodes ready to be sent.
    pub fn prepare(&self, emit: EmitRef<'_>) -> Outgoing {
        Outgoing(self.outbox.frame(&Sent::Emit(emit)))
    }

    /// Sends an event to the clients of other nodes, without waiting for anything.
    pub fn send(&self, event: Outgoing) {
        self.outbox.push(event.0);
    }

    /// Tells the other nodes of a change at clients, without waiting for anything.
    pub fn change(&self, change: &Change) {
        self.outbox.push(self.outbox.frame(&Sent::Change(change)));
    }

    /// Returns the ids of the sockets of other nodes that are meant.
    ///
    /// # Errors
    /// 503 if Redis is not reached, or if a node does not answer: a list that is not whole would be worse than none.
    pub async fn ids(&self, of: Selection) -> Result<Vec<String>, Failure> {
        self.check_reach()?;
        let answers = self.ask(&Question::Ids(of)).await?;
        let mut ids = Vec::new();
        for part in answers.parts {
            match part {
                Part::Ids(some) => ids.extend(some),
                Part::Failed(refusal) => return Err(refusal.into()),
                Part::Begun | Part::Acks(_) | Part::Done => {}
            }
        }
        if answers.silent.is_empty() {
            return Ok(ids);
        }
        let (known, nodes) = (ids.len(), answers.answered);
        let rest = format!("; {known} ids of {nodes} other nodes are known");
        Err(silent(&answers.silent, &rest))
    }

    /// Asks the other nodes whether all sockets that are meant may join rooms. If Redis is not reached, they are asked
    /// nothing.
    ///
    /// # Errors
    /// 413 if one of them may not, 503 if a node does not answer.
    pub async fn check_join(&self, of: Selection, rooms: Vec<String>) -> Result<(), Failure> {
        if self.check_reach().is_err() {
            return Ok(());
        }
        let answers = self.ask(&Question::MayJoin { of, rooms }).await?;
        let failed = answers.parts.into_iter().find_map(|part| match part {
            Part::Failed(refusal) => Some(refusal),
            _ => None,
        });
        match failed {
            Some(refusal) => Err(refusal.into()),
            None if answers.silent.is_empty() => Ok(()),
            None => Err(silent(&answers.silent, "; nobody has joined")),
        }
    }

    /// Sends an event to the clients of other nodes and returns their answers. A node that does not answer is an entry
    /// without an id.
    pub async fn acks(&self, emit: Emit, time: Duration) -> ClientAnswers {
        let timeout_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let question = Question::Acks { emit, timeout_ms };
        let asked = async {
            self.check_reach()?;
            self.ask(&question).await
        };
        let answers = match asked.await {
            Ok(answers) => answers,
            Err(failure) => return vec![(String::new(), Err(failure))],
        };
        let mut acks = ClientAnswers::new();
        for part in answers.parts {
            match part {
                Part::Acks(some) => {
                    let some = some.into_iter();
                    acks.extend(some.map(|Ack { id, answer }| {
                        (id, answer.map(Into::into).map_err(Into::into))
                    }));
                }
                Part::Failed(refusal) => acks.push((String::new(), Err(refusal.into()))),
                Part::Begun | Part::Ids(_) | Part::Done => {}
            }
        }
        let names = answers.silent.iter();
        acks.extend(names.map(|name| {
            let failure = Failure::new(504, silence(std::slice::from_ref(name)));
            (String::new(), Err(failure))
        }));
        acks
    }

    /// Asks all nodes that are there.
    async fn ask(&self, question: &Question) -> Result<Answers, Failure> {
        let asked = self.members.present(Instant::now());
        if asked.is_empty() {
            return Ok(Answers::default());
        }
        let Some(asking) = self.asks.begin() else {
            let sentence = "too many questions to other nodes are under way; try again";
            return Err(Failure::new(503, sentence));
        };
        let number = asking.number;
        let frame = self.outbox.frame(&Sent::Ask { number, question });
        self.outbox.push_for(frame, Some(ANSWER_TIME));
        Ok(asking
            .collect(asked, ANSWER_TIME, question.patience())
            .await)
    }

    /// Fails with 503 if other nodes cannot be asked.
    fn check_reach(&self) -> Result<(), Failure> {
        if self.links.iter().all(Link::is_up) {
            return Ok(());
        }
        let sentence = "the sockets of other nodes are not known, because Redis is not reached; with this-node-only those of this node are";
        Err(Failure::new(503, sentence))
    }

    /// Waits for 10 ms at most if Redis answers and much waits for it, so that a loop of events is not faster.
    pub async fn place_for_more(&self) {
        self.outbox.place().await;
    }

    /// Tells the other nodes that this one ends. Returns when Redis was told.
    pub async fn leave(&self) {
        if self.links.iter().all(Link::is_up) {
            let number = self.outbox.push(self.outbox.frame(&Sent::Bye));
            self.outbox.handed_over(number).await;
        }
    }

    /// Returns the names of the other nodes that are there.
    pub fn others(&self) -> Vec<String> {
        let present = self.members.present(Instant::now()).into_iter();
        present.map(|(_, name)| name).collect()
    }

    /// Returns host and port of Redis.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Returns the counters.
    pub fn counters(&self) -> &ClusterCounters {
        &self.counters
    }

    /// Returns each connection to Redis by its purpose, and whether it is open.
    pub fn links(&self) -> impl Iterator<Item = (&'static str, bool)> {
        self.links.iter().map(|link| (link.purpose, link.is_up()))
    }

    /// Returns true if nothing is to be answered yet, because Redis is required and has not been reached.
    pub fn is_awaited(&self) -> bool {
        self.mode == Mode::Required && !self.has_been_reached()
    }

    /// Returns true once all connections were open at the same time.
    fn has_been_reached(&self) -> bool {
        // Relaxed is enough because nothing else is read by it.
        let has_been_up = self.has_been_up.load(Ordering::Relaxed);
        if !has_been_up && self.links.iter().all(Link::is_up) {
            self.has_been_up.store(true, Ordering::Relaxed);
            return true;
        }
        has_been_up
    }

    /// Returns when something may be answered: see [`Cluster::is_awaited`].
    pub async fn reached(&self) {
        while self.is_awaited() {
            join_all(self.links.iter().map(Link::up)).await;
        }
    }

    /// Returns the sentence with which the server ends, when Redis is required and was not reached in time. Otherwise
    /// it does not return.
    pub async fn failed(&self) -> String {
        let deadline = (self.started + self.start_timeout).into();
        let reached = tokio::time::timeout_at(deadline, self.reached()).await;
        if reached.is_ok() {
            return std::future::pending().await;
        }
        let (place, timeout) = (&self.place, self.start_timeout);
        let cause = self.cause();
        format!(
            "Redis at {place} (cluster.redis) was not reached within {timeout:?} (cluster.start-timeout){cause}; start Redis, or set cluster.mode = \"optional\" to serve without it"
        )
    }

    /// Returns what an operator has to solve, as a sentence.
    pub fn problem(&self) -> Option<String> {
        let troubles = self.links.iter().filter_map(Link::trouble);
        let (since, _) = troubles.min_by_key(|(since, _)| *since)?;
        let (place, seconds, cause) = (&self.place, since.elapsed().as_secs(), self.cause());
        let effect = if self.is_awaited() {
            "nothing is answered until it is"
        } else {
            "this node serves its own clients only"
        };
        Some(format!(
            "Redis at {place} (cluster.redis) is not reached since {seconds} s{cause}; {effect}"
        ))
    }

    /// Returns why a connection is not open, as the continuation of a sentence.
    fn cause(&self) -> String {
        let mut troubles = self.links.iter().filter_map(Link::trouble);
        let trouble = troubles.find_map(|(_, trouble)| trouble);
        trouble.map_or_else(String::new, |trouble| format!(": {trouble}"))
    }
}

/// Returns the failure of a question that nodes did not answer.
fn silent(names: &[String], rest: &str) -> Failure {
    Failure::new(503, silence(names) + rest)
}

/// Says which nodes did not answer.
fn silence(names: &[String]) -> String {
    let (node, names) = match names {
        [name] => ("node", name.clone()),
        names => ("nodes", names.join(", ")),
    };
    format!("{node} {names} did not answer within {ANSWER_TIME:?}")
}

/// Makes the key with which nodes sign what they say.
fn seal(settings: &ClusterSettings) -> Seal {
    let secret = settings.secret.as_ref().or(settings.password.as_ref());
    if secret.is_none() {
        tracing::warn!(
            "whoever reaches Redis can say to this node what other nodes say: there is neither cluster.secret nor cluster.password"
        );
    }
    Seal::new(&settings.prefix, secret.map_or("", Password::text))
}

/// What gives signs of life.
struct Beats {
    outbox: Arc<Outbox>,
    name: String,
    started: Instant,
}

impl Beats {
    /// Gives a sign of life every second while there is a connection.
    async fn give(self, mut link: watch::Receiver<LinkState>) {
        while session(&mut link).await.is_some() {
            let clock_ms = self.started.elapsed().as_millis();
            let beat = Sent::Beat {
                name: &self.name,
                clock_ms: u64::try_from(clock_ms).unwrap_or(u64::MAX),
            };
            self.outbox.push(self.outbox.frame(&beat));
            tokio::time::sleep(BEAT).await;
        }
    }
}
