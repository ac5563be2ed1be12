//! Slow readers: 50 clients that do not read what they are sent, under a broadcast of 64 KiB 50 times a second for a
//! minute, beside ten clients that read everything.
//!
//! Run the benchmark with `cargo bench --workspace --bench slow`. It prints the time at which each slow reader was
//! ended, the number of broadcasts that the good clients received, and the server's descriptors, memory and members of
//! `/` before, during and after.
#![allow(clippy::print_stdout, reason = "it prints a report")]

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use hitchy_tests::figures::{self, millis};
use hitchy_tests::http::Connection;
use hitchy_tests::raw::{Packet, RawSocket};
use hitchy_tests::wait::until;
use hitchy_tests::{Server, guest};
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// The number of websockets that read nothing.
const SILENT: usize = 20;
/// The number of websockets that read nothing but send pongs.
const PONGING: usize = 15;
/// The number of polling clients that never poll again.
const POLLING: usize = 15;
const GOOD: usize = 10;
const SIZE: usize = 64 << 10;
const EVERY: Duration = Duration::from_millis(20);
const TIME: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> Result<()> {
    if !figures::are_wanted() {
        return Ok(());
    }
    let server = Server::with("probe.wasm", guest("probe")).await;
    let broadcasts = (TIME.as_millis() / EVERY.as_millis()) as usize;
    let mut good = JoinSet::new();
    for _ in 0..GOOD {
        good.spawn(receive(
            RawSocket::connect(server.addr(), "/").await?,
            broadcasts,
        ));
    }
    connected(&server, GOOD).await;
    let before = State::of(&server).await;

    let over = Arc::new(AtomicBool::new(false));
    let mut slow = JoinSet::new();
    for number in 0..SILENT + PONGING {
        let socket = RawSocket::connect(server.addr(), "/").await?;
        slow.spawn(hold(socket, number >= SILENT, Arc::clone(&over)));
    }
    let mut sessions = Vec::new();
    for _ in 0..POLLING {
        sessions.push(poll_once(&server).await?);
    }
    connected(&server, GOOD + SILENT + PONGING + POLLING).await;
    let during = State::of(&server).await;
    println!("before {before:?}\nwith slow readers {during:?}");

    let start = Instant::now();
    let watcher = watch(&server, start);
    let blaster = blast(&server, broadcasts);
    let ((ended, peak), late) = tokio::join!(watcher, blaster);
    let late = late?;
    println!(
        "broadcasts sent {broadcasts}, the slowest call {}",
        millis(late)
    );
    println!("slow readers ended (seconds after the first broadcast: how many): {ended:?}");
    println!("most memory meanwhile {peak} KiB");
    let mut received = Vec::new();
    while let Some(done) = good.join_next().await {
        received.push(done??);
    }
    println!("the {GOOD} good clients received, in order: {received:?}");
    over.store(true, Ordering::Relaxed);
    drop(slow);
    until("only the good have gone", TIME, async || {
        ids(&server).await == 0
    })
    .await;
    println!("after {:?}", State::of(&server).await);
    for line in server
        .log()
        .all()
        .iter()
        .filter(|line| line.contains("WARN"))
    {
        println!("log: {line}");
    }
    ensure!(ended.values().sum::<usize>() == SILENT + PONGING + POLLING);
    Ok(())
}

/// The resources that the server uses.
#[derive(Debug)]
struct State {
    _descriptors: usize,
    _resident_kib: usize,
    _in_root_namespace: usize,
}

impl State {
    async fn of(server: &Server) -> Self {
        let descriptors = fs::read_dir(format!("/proc/{}/fd", server.pid()));
        Self {
            _descriptors: descriptors.map_or(0, Iterator::count),
            _resident_kib: resident(server.pid()),
            _in_root_namespace: ids(server).await,
        }
    }
}

/// Returns the resident memory of a process in KiB, or 0 if the process has ended.
fn resident(pid: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    number.unwrap_or(0)
}

/// Receives `count` broadcasts and fails if they are not numbered in order.
async fn receive(mut socket: RawSocket, count: usize) -> Result<usize> {
    for number in 0..count {
        let Packet::Text(text) = socket.next().await? else {
            continue;
        };
        let due = format!(r#"42["blast",{number},"#);
        ensure!(
            text.starts_with(&due),
            "{} came where {due} was due",
            &text[..40]
        );
    }
    Ok(count)
}

/// Holds a connection without reading from it, until `over` is set.
async fn hold(mut socket: RawSocket, pongs: bool, over: Arc<AtomicBool>) {
    let mut every = tokio::time::interval(Duration::from_secs(5));
    while !over.load(Ordering::Relaxed) {
        every.tick().await;
        if pongs && socket.send("3").await.is_err() {
            return;
        }
    }
}

/// Connects by polling, fetches the first packets, and never polls again.
async fn poll_once(server: &Server) -> Result<Connection> {
    let mut connection = Connection::try_open(server.addr()).await?;
    let path = "/socket.io/?EIO=4&transport=polling";
    let open = connection.try_ask("GET", path, &[], b"").await?;
    let open: Value = serde_json::from_str(&open.text()[1..])?;
    let path = format!("{path}&sid={}", open["sid"].as_str().unwrap_or_default());
    connection.try_ask("POST", &path, &[], b"40").await?;
    connection.try_ask("GET", &path, &[], b"").await?;
    Ok(connection)
}

/// Returns the number of sockets in the namespace `/`.
async fn ids(server: &Server) -> usize {
    let listed = server
        .script(&json!([{ "do": "list-ids", "namespace": "/" }]))
        .await;
    listed[0]["ok"].as_array().map_or(0, Vec::len)
}

async fn connected(server: &Server, count: usize) {
    until("all are connected", TIME, async || {
        ids(server).await == count
    })
    .await;
}

/// Watches the server for the length of the run. Returns the number of ended connections by the second in which the end
/// was seen, and the largest memory in KiB.
async fn watch(server: &Server, start: Instant) -> (BTreeMap<u64, usize>, usize) {
    let (mut ended, mut peak, mut left) = (BTreeMap::new(), 0, GOOD + SILENT + PONGING + POLLING);
    while start.elapsed() < TIME {
        let now = ids(server).await;
        if now < left {
            *ended.entry(start.elapsed().as_secs()).or_default() += left - now;
            left = now;
        }
        peak = peak.max(resident(server.pid()));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    (ended, peak)
}

/// Sends all broadcasts at their times. Returns the duration of the slowest call.
async fn blast(server: &Server, count: usize) -> Result<Duration> {
    let mut connection = Connection::try_open(server.addr()).await?;
    let mut every = tokio::time::interval(EVERY);
    let mut slowest = Duration::ZERO;
    for number in 0..count {
        every.tick().await;
        let steps = json!([{ "do": "emit", "event": "blast", "args": [number, "x".repeat(SIZE)] }]);
        let before = Instant::now();
        let headers = [("content-type", "application/json")];
        let body = steps.to_string();
        let answer = connection
            .try_ask("POST", "/script", &headers, body.as_bytes())
            .await?;
        ensure!(
            answer.json()[0]["ok"].is_null() && answer.status == 200,
            "{answer:?}"
        );
        slowest = slowest.max(before.elapsed());
    }
    Ok(slowest)
}
