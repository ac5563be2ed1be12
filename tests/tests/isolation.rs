//! Isolation: one handler misbehaves and another keeps answering. The benchmark `isolation` is the full measurement.

use std::time::Duration;

use hitchy_tests::load::{self, Plan};
use hitchy_tests::{Server, guest};

/// The time limit for answers of the good handler while the other misbehaves, on a machine with two shared cores.
const PATIENCE: Duration = Duration::from_millis(250);

async fn good_while(fault: &str) {
    let mut server = Server::prepare()
        .handler("faults.wasm", guest("faults"))
        .handler("v.wasm", guest("version_one"))
        .settings("[limits]\nmemory = \"32MiB\"\ndeadline = \"1s\"\ncpu = \"500ms\"")
        .start()
        .await;
    let time = Duration::from_secs(3);
    let bad = load::http(server.addr(), fault, Plan::full(4, time), |_| false);
    let plan = Plan::gentle(4, time, Duration::from_millis(5));
    let good = load::http(server.addr(), "/version", plan, |answer| {
        answer.text() == "one"
    });
    let (bad, good) = tokio::join!(bad, good);
    assert!(!bad.errors.is_empty(), "nothing went wrong");
    assert_eq!(good.errors, Vec::<String>::new());
    assert!(
        good.times.quantile(0.99) <= PATIENCE,
        "p99 {:?}",
        good.times.quantile(0.99)
    );
    server.assert_unharmed();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g01_traps_harm_their_own_calls_only() {
    good_while("/fault/trap").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g03_loops_harm_their_own_calls_only() {
    good_while("/fault/loop").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g07_memory_bombs_harm_their_own_calls_only() {
    good_while("/fault/memory/10000").await;
}
