//! Memory of the server after failing calls, clients that come and go, and reloads. In each round every kind of work is
//! done for some seconds, and the memory is read after it, once the server has come to rest.
//!
//! Run the benchmark with `cargo bench --workspace --bench soak`. A leak shows as a floor that rises with the amount of
//! one kind of work in every round. An allocator that keeps pages shows as a floor that rises in the first rounds. The
//! arguments `--rounds N` and `--kind WORK` change the number of rounds and choose one kind.
#![allow(clippy::print_stdout, reason = "it prints a table")]

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use hitchy_tests::guests::stamped;
use hitchy_tests::http::Connection;
use hitchy_tests::raw::{RawPolling, RawSocket};
use hitchy_tests::{Server, figures, guest};
use serde_json::json;
use tokio::task::JoinSet;

/// The number of times that all kinds of work are done.
const ROUNDS: usize = 10;
/// The time for which one kind of work is done in a round.
const TIME: Duration = Duration::from_secs(4);
const CLIENTS: usize = 8;
/// The pause after which the memory is read, in which the allocator gives pages back.
const REST: Duration = Duration::from_secs(2);

/// One kind of work, with its name in the table.
#[derive(Clone, Copy)]
enum Work {
    /// Calls that fail, over connections that stay open.
    Fault(&'static str),
    /// Requests on a new connection each, for paths that nobody asked for before.
    Paths,
    /// Websockets that come, send one event that fails and one that nobody knows, and go without a word.
    Websockets,
    /// Polling sessions that come, send one event and close.
    Polling,
    /// New versions of a handler.
    Reloads,
}

const KINDS: [(&str, Work); 12] = [
    ("trap", Work::Fault("trap")),
    ("panic", Work::Fault("panic")),
    ("exit", Work::Fault("exit")),
    ("recurse", Work::Fault("recurse/1")),
    ("memory", Work::Fault("memory/10000")),
    ("loop", Work::Fault("loop")),
    ("body", Work::Fault("body/30000000")),
    ("headers", Work::Fault("headers/100000")),
    ("paths", Work::Paths),
    ("websockets", Work::Websockets),
    ("polling", Work::Polling),
    ("reloads", Work::Reloads),
];

#[tokio::main]
async fn main() -> Result<()> {
    if !figures::are_wanted() {
        return Ok(());
    }
    let rounds = argument("--rounds").and_then(|text| text.parse().ok());
    let chosen = argument("--kind");
    let server = Server::prepare()
        .handler("faults.wasm", guest("faults"))
        .handler("v.wasm", guest("version_one"))
        .settings("[limits]\nmemory = \"32MiB\"\ndeadline = \"1s\"\ncpu = \"300ms\"")
        .start()
        .await;
    let server = Arc::new(server);
    println!("{CLIENTS} clients, {TIME:?} of each kind of work in a round");
    println!("round   work              amount    memory (KiB)");
    for round in 1..=rounds.unwrap_or(ROUNDS) {
        for (name, work) in KINDS {
            if chosen.as_ref().is_some_and(|chosen| chosen != name) {
                continue;
            }
            let amount = run(&server, work).await?;
            tokio::time::sleep(REST).await;
            let memory = anonymous(server.pid());
            println!("{round:<8}{name:<12}{amount:>12}{memory:>16}");
        }
    }
    Ok(())
}

/// Returns the value that follows a flag on the command line.
fn argument(flag: &str) -> Option<String> {
    std::env::args().skip_while(|arg| arg != flag).nth(1)
}

/// Does one kind of work for [`TIME`]. Returns how often it was done.
async fn run(server: &Arc<Server>, work: Work) -> Result<usize> {
    let until = Instant::now() + TIME;
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let server = Arc::clone(server);
        clients.spawn(async move {
            match work {
                Work::Fault(kind) => fail(&server, kind, until).await,
                Work::Paths => ask_for_paths(&server, until).await,
                Work::Websockets => come_and_go(&server, until).await,
                Work::Polling => poll(&server, until).await,
                Work::Reloads => Ok(0),
            }
        });
    }
    let mut sum = match work {
        Work::Reloads => reload(server, until).await,
        _ => 0,
    };
    while let Some(done) = clients.join_next().await {
        sum += done??;
    }
    Ok(sum)
}

async fn fail(server: &Server, kind: &str, until: Instant) -> Result<usize> {
    let mut connection = Connection::try_open(server.addr()).await?;
    let (target, mut calls) = (format!("/fault/{kind}"), 0);
    while Instant::now() < until {
        connection.try_ask("GET", &target, &[], b"").await?;
        calls += 1;
    }
    Ok(calls)
}

/// Returns a number that was not returned before.
fn unique() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

async fn ask_for_paths(server: &Server, until: Instant) -> Result<usize> {
    let mut calls = 0;
    while Instant::now() < until {
        let mut connection = Connection::try_open(server.addr()).await?;
        let target = format!("/nobody/{}?{}", unique(), "x".repeat(200));
        connection.try_ask("GET", &target, &[], b"").await?;
        calls += 1;
    }
    Ok(calls)
}

async fn come_and_go(server: &Server, until: Instant) -> Result<usize> {
    let mut clients = 0;
    while Instant::now() < until {
        let mut socket = RawSocket::connect(server.addr(), "/").await?;
        socket.ask("fault", &[json!("trap")]).await?;
        socket.ask(&format!("unknown-{}", unique()), &[]).await?;
        clients += 1;
    }
    Ok(clients)
}

async fn poll(server: &Server, until: Instant) -> Result<usize> {
    let mut clients = 0;
    while Instant::now() < until {
        let mut session = RawPolling::open(server.addr()).await?;
        session.enter("/", "").await?;
        session.send(r#"42["fault","trap"]"#).await?;
        session.send("1").await?;
        clients += 1;
    }
    Ok(clients)
}

async fn reload(server: &Server, until: Instant) -> usize {
    let (code, mut reloads) = (guest("version_one"), 0);
    while Instant::now() < until {
        let from = server.log().len();
        server.drop_in("v.wasm", stamped(&code, &unique().to_string()));
        server.wait_for_log_from(from, &["v.wasm: reloaded"]).await;
        reloads += 1;
    }
    reloads
}

/// Returns the memory of a process that belongs to no file in KiB, or 0 if the process has ended.
fn anonymous(pid: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("RssAnon:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    number.unwrap_or(0)
}
