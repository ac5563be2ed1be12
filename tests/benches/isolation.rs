//! Answers of one handler while another handler loops, traps or uses up its memory, compared with an undisturbed run.
//!
//! Run the benchmark with `cargo bench --workspace --bench isolation`.
#![allow(clippy::print_stdout, reason = "it prints a table")]

use std::time::Duration;

use anyhow::Result;
use hitchy_tests::figures::{self, millis};
use hitchy_tests::load::{self, Plan};
use hitchy_tests::{Server, guest};

const TIME: Duration = Duration::from_secs(8);
const BAD_CLIENTS: usize = 16;
const GOOD_CLIENTS: usize = 8;

#[tokio::main]
async fn main() -> Result<()> {
    if !figures::are_wanted() {
        return Ok(());
    }
    let server = Server::prepare()
        .handler("faults.wasm", guest("faults"))
        .handler("v.wasm", guest("version_one"))
        .settings("[limits]\nmemory = \"64MiB\"\ndeadline = \"2s\"\ncpu = \"1s\"")
        .start()
        .await;
    println!("{GOOD_CLIENTS} clients of a good handler, {BAD_CLIENTS} of a bad one, {TIME:?} each");
    println!(
        "{:<14}{:>10}{:>8}{:>10}{:>10}{:>10}{:>12}",
        "the bad one", "answers", "errors", "median", "p99", "max", "bad calls"
    );
    for (name, fault) in [
        ("rests", None),
        ("loops", Some("/fault/loop")),
        ("traps", Some("/fault/trap")),
        ("eats memory", Some("/fault/memory/10000")),
    ] {
        let plan = Plan::gentle(GOOD_CLIENTS, TIME, Duration::from_millis(2));
        let good = load::http(server.addr(), "/version", plan, |answer| {
            answer.text() == "one"
        });
        let bad = async {
            match fault {
                Some(fault) => {
                    load::http(server.addr(), fault, Plan::full(BAD_CLIENTS, TIME), |_| {
                        false
                    })
                    .await
                    .errors
                    .len()
                }
                None => 0,
            }
        };
        let (good, bad) = tokio::join!(good, bad);
        println!(
            "{name:<14}{:>10}{:>8}{:>10}{:>10}{:>10}{bad:>12}",
            good.times.count(),
            good.errors.len(),
            millis(good.times.quantile(0.5)),
            millis(good.times.quantile(0.99)),
            millis(good.times.max()),
        );
    }
    Ok(())
}
