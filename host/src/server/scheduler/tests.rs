//! A day of schedules on a paused clock: each time runs once, at its time, however often what is served is replaced.

use std::collections::BTreeMap;
use std::sync::Mutex;

use tokio::sync::oneshot;

use super::*;
use crate::lock::lock;
use crate::server::scheduler::plan::Job;

/// 2026-03-28T12:00:00Z: within the next day, clocks in Berlin are put forward.
const START: u64 = 1_774_699_200_000;
const DAY: u64 = 24 * 3_600_000;

/// A clock that stands still until the test lets time pass.
#[derive(Clone)]
struct TestClock(Arc<Mutex<Simulated>>);

struct Simulated {
    now: u64,
    /// The sleepers, by the time at which they wake and a number.
    sleepers: BTreeMap<(u64, usize), oneshot::Sender<()>>,
    slept: usize,
}

impl Clock for TestClock {
    fn now(&self) -> u64 {
        lock(&self.0).now
    }

    fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send {
        let (wake, woken) = oneshot::channel();
        let mut simulated = lock(&self.0);
        let at = simulated.now + u64::try_from(time.as_millis()).unwrap();
        simulated.slept += 1;
        let number = simulated.slept;
        simulated.sleepers.insert((at, number), wake);
        async {
            let _ = woken.await;
        }
    }
}

impl TestClock {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Simulated {
            now: START,
            sleepers: BTreeMap::new(),
            slept: 0,
        })))
    }

    /// Lets time pass until `end`. What happens at `end` is ready to run, but has not run when this returns.
    async fn pass_until(&self, end: u64) {
        loop {
            settle().await;
            let mut simulated = lock(&self.0);
            simulated.sleepers.retain(|_, wake| !wake.is_closed());
            let first = simulated.sleepers.keys().next().map(|(at, _)| *at);
            let at = first.filter(|at| *at < end);
            simulated.now = at.unwrap_or(end);
            let next = (simulated.now + 1, 0);
            let later = simulated.sleepers.split_off(&next);
            let awake = std::mem::replace(&mut simulated.sleepers, later);
            for wake in awake.into_values() {
                let _ = wake.send(());
            }
            if at.is_none() {
                return;
            }
        }
    }
}

/// Returns when every task of this thread waits for the clock. One that wakes another adds a turn, and no chain is as
/// long as this.
async fn settle() {
    for _ in 0..12 {
        tokio::task::yield_now().await;
    }
}

/// The runs of each schedule: the time at which it was due, and the time at which it began.
type Runs = Arc<Mutex<BTreeMap<&'static str, Vec<(u64, u64)>>>>;

/// The schedules of the day, and how long a call of each takes, in milliseconds.
const SCHEDULES: [(&str, &str, u64); 6] = [
    ("second", "every 1s", 3),
    ("slow", "every 5s", 12_000),
    ("seven", "every 7s", 0),
    ("minutes", "*/10 * * * *", 700),
    ("night", "30 2 * * * Europe/Berlin", 20),
    ("workdays", "0 9 * * MON-FRI", 20),
];

/// Makes a job that notes its runs and takes its time.
fn job(name: &'static str, millis: u64, runs: &Runs, clock: &TestClock) -> Job {
    let (runs, clock) = (Arc::clone(runs), clock.clone());
    Arc::new(move |due| {
        let (runs, clock) = (Arc::clone(&runs), clock.clone());
        Box::pin(async move {
            lock(&runs)
                .entry(name)
                .or_default()
                .push((due, clock.now()));
            clock.sleep(Duration::from_millis(millis)).await;
            ScheduleRun::Done
        })
    })
}

fn all(runs: &Runs, clock: &TestClock) -> Vec<Declared> {
    let declare = |(name, times, millis): (&'static str, &str, u64)| Declared {
        key: ScheduleKey {
            handler: "day.wasm".into(),
            name: name.into(),
        },
        times: Some(times.parse().unwrap()),
        job: job(name, millis, runs, clock),
    };
    SCHEDULES.map(declare).to_vec()
}

/// Returns the times of a schedule within the day.
fn expected(times: &str) -> Vec<u64> {
    let timetable: crate::timetable::Timetable = times.parse().unwrap();
    std::iter::successors(timetable.next(START), |at| timetable.next(*at))
        .take_while(|at| *at < START + DAY)
        .collect()
}

/// A number that looks random and is the same in each run of the test.
fn scattered(seed: &mut u64, below: u64) -> u64 {
    *seed = seed
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) % below
}

/// Lets a day pass in which what is served is replaced 1,000 times, every other time at the very moment at which
/// something is due.
async fn reload_for_a_day(changes: &watch::Sender<bool>, clock: &TestClock) {
    let (mut seed, step) = (12, DAY / 1_000);
    for reload in 0..1_000 {
        let scattered = reload * step + scattered(&mut seed, step);
        let at = if reload % 2 == 0 {
            scattered
        } else {
            scattered / 1_000 * 1_000
        };
        clock.pass_until(START + at).await;
        changes.send_replace(true);
    }
    clock.pass_until(START + DAY - 1).await;
    settle().await;
}

#[tokio::test]
async fn d07_in_a_day_with_1000_reloads_each_time_runs_once_and_on_time() {
    let (clock, runs) = (TestClock::new(), Runs::default());
    let (changes, receiver) = watch::channel(false);
    let list = Arc::<ScheduleList>::default();
    let declared = {
        let (runs, clock) = (Arc::clone(&runs), clock.clone());
        move || all(&runs, &clock)
    };
    let work = Work {
        declared,
        changes: receiver,
        clock: clock.clone(),
        turn: Arc::new(Alone),
        plan: Plan::default(),
        runs: JoinSet::new(),
        list: Arc::clone(&list),
    };
    let task = tokio::spawn(work.run());
    reload_for_a_day(&changes, &clock).await;

    let seen = lock(&runs).clone();
    for (name, times, _) in SCHEDULES.into_iter().filter(|(name, ..)| *name != "slow") {
        let ran = seen.get(name).map_or(&[][..], Vec::as_slice);
        let dues: Vec<u64> = ran.iter().map(|(due, _)| *due).collect();
        assert_eq!(dues, expected(times), "{name}");
        let latest = ran.iter().map(|(due, at)| at - due).max();
        assert!(
            latest.is_none_or(|late| late <= 1),
            "{name} began {latest:?} ms late"
        );
    }
    assert_eq!(seen["second"].len(), 86_399);
    assert_eq!(seen["night"].len(), 1, "at the first moment after the gap");
    // A call takes 12 s, so that of three times two are skipped.
    let slow: Vec<u64> = seen["slow"].iter().map(|(due, _)| *due).collect();
    let third: Vec<u64> = expected("every 5s").into_iter().step_by(3).collect();
    assert_eq!(slow, third);
    let listed = list.all();
    let slow = listed
        .iter()
        .find(|one| &*one.slot.key.name == "slow")
        .unwrap();
    assert_eq!(slow.slot.skipped(Skip::Running), 17_279 - 5_760);
    let late: u64 = listed.iter().map(|one| one.slot.skipped(Skip::Late)).sum();
    assert_eq!(late, 0);
    assert!(!task.is_finished());
    task.abort();
}

/// Gives each time to the server that asks first.
#[derive(Default)]
struct SharedLock(Mutex<std::collections::HashSet<(ScheduleKey, u64)>>);

impl Turn for SharedLock {
    fn take(&self, schedule: &ScheduleKey, due: u64) -> futures_util::future::BoxFuture<'_, bool> {
        let is_first = lock(&self.0).insert((schedule.clone(), due));
        Box::pin(std::future::ready(is_first))
    }
}

#[tokio::test]
async fn d07_several_servers_with_one_lock_run_each_time_once() {
    let (clock, runs) = (TestClock::new(), Runs::default());
    let turn: Arc<dyn Turn> = Arc::new(SharedLock::default());
    let (_changes, receiver) = watch::channel(false);
    let mut servers = JoinSet::new();
    for _ in 0..3 {
        let (own_runs, own_clock) = (Arc::clone(&runs), clock.clone());
        let work = Work {
            declared: move || all(&own_runs, &own_clock),
            changes: receiver.clone(),
            clock: clock.clone(),
            turn: Arc::clone(&turn),
            plan: Plan::default(),
            runs: JoinSet::new(),
            list: Arc::default(),
        };
        servers.spawn(work.run());
        // They were not started together.
        clock.pass_until(clock.now() + 333).await;
    }
    clock.pass_until(START + 3_600_000).await;
    let mut dues: Vec<u64> = lock(&runs)["seven"].iter().map(|(due, _)| *due).collect();
    dues.sort_unstable();
    let hour = expected("every 7s").into_iter();
    assert_eq!(
        dues,
        hour.take_while(|at| *at < START + 3_600_000)
            .collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn i12_5_a_run_that_panics_is_the_failure_of_that_run() {
    let clock = TestClock::new();
    let (_changes, receiver) = watch::channel(false);
    let runs = Runs::default();
    let panicking = {
        let noting = job("bad", 0, &runs, &clock);
        move || {
            let noting = Arc::clone(&noting);
            let job: Job = Arc::new(move |due| {
                let noted = noting(due);
                Box::pin(async move {
                    noted.await;
                    panic!("a bug")
                })
            });
            let key = ScheduleKey {
                handler: "bad.wasm".into(),
                name: "bad".into(),
            };
            let times = Some("every 1s".parse().unwrap());
            vec![Declared { key, times, job }]
        }
    };
    let work = Work {
        declared: panicking,
        changes: receiver,
        clock: clock.clone(),
        turn: Arc::new(Alone),
        plan: Plan::default(),
        runs: JoinSet::new(),
        list: Arc::default(),
    };
    let task = tokio::spawn(work.run());
    clock.pass_until(START + 5_500).await;
    assert_eq!(lock(&runs)["bad"].len(), 5);
    assert!(!task.is_finished());
    task.abort();
}
