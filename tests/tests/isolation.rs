//! Isolation: one handler misbehaves and another keeps answering, and no call uses more of the processor than it may.
//! The benchmark `isolation` is the full measurement.

use std::time::Duration;

use hitchy_tests::load::{self, Plan, Stop};
use hitchy_tests::processes::processor_time;
use hitchy_tests::{Server, expect, guest};
use serde_json::json;

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

/// The processor time of a call in the tests below.
const CPU: Duration = Duration::from_millis(300);

/// Starts a server whose calls may use [`CPU`] and may take much longer.
async fn limited() -> Server {
    Server::prepare()
        .handler("faults.wasm", guest("faults"))
        .handler("probe.wasm", guest("probe"))
        .settings("[limits]\nmemory = \"128MiB\"\ndeadline = \"30s\"\ncpu = \"300ms\"")
        .start()
        .await
}

#[tokio::test]
async fn i11_27_the_limit_holds_for_bulk_operations_host_calls_and_calls_that_yield() {
    let server = limited().await;
    // Once without a measurement: the server's first calls touch its own memory for the first time.
    server.get("/fault/loop").await;
    for fault in ["loop", "copy/60", "fill/100", "host", "waking"] {
        let before = processor_time(server.pid());
        let answer = server.get(&format!("/fault/{fault}")).await;
        let used = processor_time(server.pid()) - before;
        let id = expect::failure(&answer, 504);
        let line = server.wait_for_log(&["faults", &id]).await;
        assert!(line.contains("limits.cpu"), "{fault}: {line}");
        // The process needs some for itself, and the last operation is not cut short.
        assert!(used >= CPU * 2 / 3, "{fault}: after {used:?}");
        assert!(used <= CPU * 2, "{fault}: after {used:?}");
    }
}

#[tokio::test]
async fn i11_27_time_in_which_a_call_waits_is_not_charged() {
    let server = limited().await;
    // Each of the naps meets a tick of the clock, and takes some microseconds of the processor.
    let answer = server.get("/fault/naps/600").await;
    assert_eq!(answer.text(), "done");
}

#[tokio::test]
async fn i11_27_a_nested_call_is_charged_to_itself() {
    let server = limited().await;
    let step = json!({ "do": "dispatch", "method": "GET", "url": "/fault/loop" });
    let answers = server.script(&json!([step, step, step])).await;
    for answer in answers.as_array().expect("a list") {
        assert_eq!(answer["ok"]["status"], 504, "{answers}");
    }
}

#[tokio::test]
async fn i11_27_each_call_has_the_whole_limit() {
    let server = limited().await;
    for _ in 0..20 {
        assert_eq!(server.get("/fault/compute/50000").await.text(), "done");
    }
}

#[tokio::test]
async fn i11_27_time_that_others_take_from_the_processor_is_not_charged() {
    let server = limited().await;
    let threads = 8 * std::thread::available_parallelism().map_or(1, usize::from);
    let stop = Stop::default();
    let busy: Vec<_> = (0..threads)
        .map(|_| {
            let stop = stop.clone();
            std::thread::spawn(move || while !stop.asked() {})
        })
        .collect();
    // About a sixth of what it may use, and longer than the whole limit beside the others.
    let answer = server.get("/fault/compute/50000").await;
    stop.now();
    for thread in busy {
        thread.join().expect("it does not panic");
    }
    assert_eq!(answer.text(), "done");
}
