//! The time of starts with 1, 50 and 256 handlers, and the time from the rename of a changed handler to its first
//! answer, with and without code that is kept.
//!
//! Run the benchmark with `cargo bench --workspace --bench start`. A start is measured from the beginning of the
//! process to the first answer of the last handler, with a request every 2 ms. Each of the handlers has other content. The
//! changed handler is the example `chat`, of 300 KB: each version is an edit of its source, built by cargo, and the code
//! of one of its functions is another one each time.
#![allow(clippy::print_stdout, reason = "it prints a table")]

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use hitchy_tests::figures::{self, Durations, millis};
use hitchy_tests::guests::changed_example;
use hitchy_tests::http::Connection;
use hitchy_tests::server::{Plan, binary};
use hitchy_tests::{Server, scripted};

/// Numbers of handlers, each with the number of starts without kept code and with it.
const STARTS: [(usize, usize, usize); 3] = [(1, 10, 20), (50, 3, 20), (256, 2, 10)];
const RENAMES: usize = 20;
/// The time between an answer and the next rename.
const PAUSE: Duration = Duration::from_millis(200);
/// The longest time of one start.
const EACH: Duration = Duration::from_secs(600);

const EDITED: &str = "let announcement = json!({ \"text\": trimmed(text, 1..=500)?,";

#[tokio::main]
async fn main() -> Result<()> {
    if !figures::are_wanted() {
        return Ok(());
    }
    // Built before anything is measured.
    binary();
    println!("{:<36}{:>8}{:>12}{:>12}", "", "times", "median", "max");
    for (handlers, cold, cached) in STARTS {
        let dir = tempfile::tempdir()?;
        let name = |cache| format!("start, {handlers} handlers, {cache}");
        row(&name("nothing kept"), starts(handlers, None, cold).await?);
        // The first one fills the cache.
        starts(handlers, Some(dir.path()), 1).await?;
        row(
            &name("kept"),
            starts(handlers, Some(dir.path()), cached).await?,
        );
    }
    let versions: Vec<_> = (0..=RENAMES).map(version).collect();
    row("rename, nothing kept", renames(&versions, None).await?);
    let dir = tempfile::tempdir()?;
    let changed = renames(&versions, Some(dir.path())).await?;
    row("rename, the version before kept", changed);
    row("rename, kept", renames(&versions, Some(dir.path())).await?);
    Ok(())
}

fn row(name: &str, times: Durations) {
    let (median, max) = (millis(times.quantile(0.5)), millis(times.max()));
    println!("{name:<36}{:>8}{median:>12}{max:>12}", times.count());
}

/// Plans a server with this cache.
fn with_cache(cache: Option<&Path>) -> Plan {
    let cache = cache.map_or("off".into(), Path::to_string_lossy);
    Server::prepare().env("HITCHY_CACHE__DIR", &cache)
}

/// Starts servers one after the other, each with this number of handlers.
async fn starts(handlers: usize, cache: Option<&Path>, count: usize) -> Result<Durations> {
    let mut times = Vec::new();
    for _ in 0..count {
        let plan = (0..handlers).fold(with_cache(cache), |plan, number| {
            let script = format!("name {number}\nroute GET /{number:03}");
            plan.handler(&format!("{number:03}.wasm"), scripted(&script))
        });
        let began = Instant::now();
        let mut server = plan.start_at_once().await;
        let last = format!("/{:03}", handlers - 1);
        let mut every = tokio::time::interval(Duration::from_millis(2));
        while server.get(&last).await.status != 200 {
            ensure!(began.elapsed() < EACH, "the server does not become ready");
            every.tick().await;
        }
        times.push(began.elapsed());
        // What it has compiled is kept when it has ended.
        server.terminate();
        server.wait_for_end(EACH).await;
    }
    Ok(Durations::of(times))
}

/// Builds a version of the chat whose announcements carry its number.
fn version(number: usize) -> Vec<u8> {
    changed_example("chat", |source| {
        let check = match number % 2 {
            0 => String::new(),
            _ => format!(
                "if text.len() == 1000 + {number} {{ return Err(Failure::new(400, \"odd\").into()); }}"
            ),
        };
        let edited = format!(
            "{check} let announcement = json!({{ \"version\": {number}, \"text\": trimmed(text, 1..=500)?,"
        );
        source.replace(EDITED, &edited)
    })
}

/// Renames one version after the other over the file that is served. Returns the time of each reload.
async fn renames(versions: &[Vec<u8>], cache: Option<&Path>) -> Result<Durations> {
    let (first, others) = versions.split_first().expect("there are versions");
    let mut server = with_cache(cache).handler("chat.wasm", first).start().await;
    let mut connection = Connection::try_open(server.addr()).await?;
    let mut times = Vec::new();
    for (number, version) in others.iter().enumerate() {
        // Reloads that follow one another at once wait for each other, so that storms of changes cost little.
        tokio::time::sleep(PAUSE).await;
        let wanted = format!("\"version\":{}}}", number + 1);
        server.drop_in("chat.wasm", version);
        let renamed = Instant::now();
        let mut every = tokio::time::interval(Duration::from_millis(2));
        loop {
            every.tick().await;
            let body = br#"{"text":"hello"}"#;
            let head = [("content-type", "application/json")];
            let answer = connection
                .try_ask("POST", "/api/announce", &head, body)
                .await?;
            ensure!(answer.status == 200, "{answer:?}");
            if answer.text().contains(&wanted) {
                break;
            }
            ensure!(renamed.elapsed() < EACH, "version {number} does not come");
        }
        times.push(renamed.elapsed());
    }
    server.terminate();
    server.wait_for_end(EACH).await;
    Ok(Durations::of(times))
}
