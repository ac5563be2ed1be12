//! Key-value storage when the server is killed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hitchy_tests::Server;
use hitchy_tests::http::Connection;
use hitchy_tests::server::Signal;
use hitchy_tests::stored::{over, run, whole};
use hitchy_tests::wait::{SOON, until};
use serde_json::json;

/// Clients that write at the same time.
const WRITERS: usize = 8;

/// Returns the number of kills: 12, or what the variable says, for a long run.
fn rounds() -> u64 {
    let set = std::env::var("HITCHY_TESTS_KILLS").ok();
    set.and_then(|set| set.parse().ok()).unwrap_or(12)
}

#[tokio::test]
async fn r03_every_acked_write_is_there_after_a_kill_and_none_is_torn() {
    let folder = tempfile::tempdir().expect("a folder");
    // What each writer knows to be written.
    let acked: [AtomicU64; WRITERS] = Default::default();
    let mut slowest = Duration::ZERO;
    for round in 0..rounds() {
        let mut server = over(folder.path()).await;
        let target = acked
            .each_ref()
            .map(|acked| acked.load(Ordering::Relaxed) + 1 + round % 7);
        let writers = acked
            .iter()
            .enumerate()
            .map(|(writer, acked)| write_until_the_end(server.addr(), writer, acked));
        // The kill comes when somebody has come far enough, in the middle of everything.
        let kill = async {
            until("some writes are acked", SOON * 3, async || {
                acked
                    .iter()
                    .zip(target)
                    .any(|(acked, target)| acked.load(Ordering::Relaxed) >= target)
            })
            .await;
            server.signal(Signal::KILL);
        };
        tokio::join!(futures_util::future::join_all(writers), kill);
        server.wait_for_end(SOON).await;
        let start = Instant::now();
        let server = over(folder.path()).await;
        slowest = slowest.max(start.elapsed());
        for (writer, acked) in acked.iter().enumerate() {
            check(&server, writer, acked, round).await;
        }
    }
    #[expect(clippy::print_stderr, reason = "a figure of a long run")]
    {
        eprintln!("{} kills, slowest start {slowest:?}", rounds());
    }
}

/// Writes numbers one after the other, each under a key of its own and under the writer's last key, until the server
/// has gone. Notes what was acked.
async fn write_until_the_end(addr: std::net::SocketAddr, writer: usize, acked: &AtomicU64) {
    let Ok(mut connection) = Connection::try_open(addr).await else {
        return;
    };
    loop {
        let number = acked.load(Ordering::Relaxed) + 1;
        let steps = json!([
            ["open", ""],
            ["set", format!("{writer}/{number}"), whole(number)],
            [
                "set-many",
                [format!("{writer}/x"), format!("{writer}/y")],
                whole(number)
            ],
            ["increment", format!("{writer}/n"), 1],
        ]);
        let headers = [("content-type", "application/json")];
        let sent = connection
            .try_ask("POST", "/kv", &headers, steps.to_string().as_bytes())
            .await;
        match sent {
            Ok(answer) if answer.status == 200 && !answer.text().contains("error") => {
                acked.store(number, Ordering::Relaxed);
            }
            _ => return,
        }
    }
}

/// Checks what a writer wrote: all that was acked, perhaps the next one, and nothing half.
async fn check(server: &Server, writer: usize, acked: &AtomicU64, round: u64) {
    let known = acked.load(Ordering::Relaxed);
    let keys = json!([format!("{writer}/x"), format!("{writer}/y")]);
    let results = run(
        server,
        json!([
            ["open", ""],
            ["get", format!("{writer}/{known}")],
            ["get", format!("{writer}/{}", known + 1)],
            ["get-many", keys],
            ["increment", format!("{writer}/n"), 0],
        ]),
    );
    let results = results.await;
    let place = format!("round {round}, writer {writer}, {known} acked: {results:?}");
    if known > 0 {
        assert_eq!(results[1]["ok"], whole(known), "{place}");
    }
    let next = &results[2]["ok"];
    assert!(next.is_null() || *next == whole(known + 1), "{place}");
    // Both keys of a batch are of the same number, the acked one or the next.
    let pairs = &results[3]["ok"];
    assert_eq!(pairs[0][1], pairs[1][1], "{place}");
    let both = &pairs[0][1];
    assert!(
        (known == 0 && both.is_null()) || *both == whole(known) || *both == whole(known + 1),
        "{place}"
    );
    let count = results[4]["ok"].as_u64().expect("a number");
    assert!(count == known || count == known + 1, "{place}");
    // A write that was not acked may be there: the writer goes on after it.
    let written = u64::from(count > known || *both == whole(known + 1) || !next.is_null());
    if written == 1 && count == known {
        run(
            server,
            json!([["open", ""], ["increment", format!("{writer}/n"), 1]]),
        )
        .await;
    }
    acked.store(known + written, Ordering::Relaxed);
    if written == 1 {
        let number = known + 1;
        let steps = json!([
            ["open", ""],
            ["set", format!("{writer}/{number}"), whole(number)],
            [
                "set-many",
                [format!("{writer}/x"), format!("{writer}/y")],
                whole(number)
            ],
        ]);
        run(server, steps).await;
    }
}
