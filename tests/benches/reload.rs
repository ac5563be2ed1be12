//! A hundred reloads by rename between two versions, while sockets send events with acks and HTTP requests arrive.
//!
//! Run the benchmark with `cargo bench --workspace --bench reload`. Nothing may fail, and no client may be
//! disconnected. The time of a reload is measured from the return of the rename to the first answer of the new version,
//! with a request every 2 ms.
#![allow(clippy::print_stdout, reason = "it prints a table")]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Result;
use hitchy_tests::figures::{self, Durations, millis};
use hitchy_tests::http::Connection;
use hitchy_tests::load::{self, Outcome, Plan, Stop};
use hitchy_tests::{Server, guest, wrk};

const RELOADS: usize = 100;
const SOCKETS: usize = 50;
const AT_MOST: Duration = Duration::from_secs(300);

#[tokio::main]
async fn main() -> Result<()> {
    if !figures::are_wanted() {
        return Ok(());
    }
    let server = Server::with("v.wasm", guest("version_one")).await;
    println!("{:<8}{:>10}{:>10}{:>10}", "load", "median", "p99", "max");
    let quiet = reloads(&server).await?;
    println!(
        "{:<8}{:>10}{:>10}{:>10}",
        "none",
        millis(quiet.quantile(0.5)),
        millis(quiet.quantile(0.99)),
        millis(quiet.max())
    );

    let seen = Arc::new(Mutex::new(vec![BTreeSet::<String>::new(); SOCKETS]));
    let note = Arc::clone(&seen);
    let good = Arc::new(move |client: usize, ack: &str| {
        note.lock().expect("nobody panics while noting")[client].insert(ack.into());
        matches!(ack, r#"["one"]"# | r#"["two"]"#)
    });
    let plan = Plan::gentle(SOCKETS, AT_MOST, Duration::from_millis(20));
    let stop = plan.stop.clone();
    let acks = tokio::spawn(load::acks(server.addr(), "version", &[], plan, good));
    let http = tokio::spawn(requests(server.addr(), stop.clone()));
    let busy = reloads(&server).await?;
    stop.now();
    let (acks, http) = (acks.await?, http.await??);
    println!(
        "{:<8}{:>10}{:>10}{:>10}",
        "busy",
        millis(busy.quantile(0.5)),
        millis(busy.quantile(0.99)),
        millis(busy.max())
    );

    println!("\n{RELOADS} reloads under load:");
    report("acks", &acks);
    report("HTTP", &http);
    let both = seen
        .lock()
        .expect("nobody panics while noting")
        .iter()
        .filter(|seen| seen.len() == 2)
        .count();
    println!("{both} of {SOCKETS} sockets saw both versions");
    let refused = server
        .log()
        .all()
        .iter()
        .filter(|line| line.contains("refused"))
        .count();
    println!("{refused} reloads were refused");
    let failed = acks.errors.len() + http.errors.len() + refused + SOCKETS - both;
    assert_eq!(
        failed,
        0,
        "something failed: {:?} {:?}",
        acks.errors.first(),
        http.errors.first()
    );
    Ok(())
}

fn report(name: &str, outcome: &Outcome) {
    let (count, failed) = (outcome.times.count(), outcome.errors.len());
    let (p99, max) = (
        millis(outcome.times.quantile(0.99)),
        millis(outcome.times.max()),
    );
    if outcome.times.max().is_zero() {
        println!("{name}: {failed} errors");
    } else {
        println!("{name}: {count} answers, {failed} errors, p99 {p99}, max {max}");
    }
}

/// Reloads the handler again and again. Returns the time of each reload.
async fn reloads(server: &Server) -> Result<Durations> {
    let versions = [("two", guest("version_two")), ("one", guest("version_one"))];
    let mut connection = Connection::try_open(server.addr()).await?;
    let mut times = Vec::new();
    for number in 0..RELOADS {
        let (name, component) = &versions[number % 2];
        server.drop_in("v.wasm", component);
        let renamed = Instant::now();
        let mut every = tokio::time::interval(Duration::from_millis(2));
        loop {
            every.tick().await;
            let answer = connection.try_ask("GET", "/version", &[], b"").await?;
            assert_eq!(answer.status, 200, "{answer:?}");
            if answer.text() == *name {
                break;
            }
            assert!(
                renamed.elapsed() < Duration::from_secs(30),
                "reload {number} does not come"
            );
        }
        times.push(renamed.elapsed());
    }
    Ok(Durations::of(times))
}

/// Sends HTTP requests until `stop`, with `wrk` if it is installed.
async fn requests(addr: std::net::SocketAddr, stop: Stop) -> Result<Outcome> {
    if !wrk::installed() {
        let plan = Plan {
            stop,
            ..Plan::full(4, AT_MOST)
        };
        let good =
            |answer: &hitchy_tests::http::Answer| matches!(answer.text().as_str(), "one" | "two");
        return Ok(load::http(addr, "/version", plan, good).await);
    }
    let start = Instant::now();
    let mut outcome = Outcome::default();
    let mut requests = 0;
    while !stop.asked() && start.elapsed() < AT_MOST {
        let said = wrk::run(addr, "/version", 4, Duration::from_secs(2)).await?;
        requests += said.requests;
        outcome
            .errors
            .extend((0..said.bad + said.socket_errors).map(|_| format!("{said:?}")));
    }
    println!("wrk: {requests} answers");
    Ok(outcome)
}
