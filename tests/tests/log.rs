//! Nothing that happens to the log harms the server: its reader may close it, or may never read.

use std::time::Duration;

use hitchy_tests::raw::RawClient;
use hitchy_tests::server::Plan;
use hitchy_tests::{Server, expect, guest};

/// Bytes that a guest prints in one call. A pipe holds 64 KiB.
const PRINTED: usize = 8 * 1024;
/// Calls that together print many times what a pipe holds.
const CALLS: usize = 100;

fn plan() -> Plan {
    Server::prepare().handler("probe.wasm", guest("probe"))
}

/// Has everything logged that the server logs: calls, reloads, refused files, malformed clients, guests that print.
async fn log_much(server: &Server) {
    let text = "x".repeat(PRINTED);
    for _ in 0..CALLS {
        let answer = server.request("POST", "/print", &[], text.as_bytes()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    expect::failure(&server.get("/traps/x").await, 500);
    let mut client = RawClient::connect("websocket", server.addr(), "/").await;
    client.send("4not a packet").await.expect("sent");
    client.ended(Duration::from_secs(10)).await;
    server.drop_in("broken.wasm", b"this is no wasm");
    server.drop_in("version.wasm", guest("version_one"));
    server.wait_for_status("/version", 200).await;
}

/// Asserts that a server answers everything and ends in order, whatever becomes of its log.
async fn assert_unharmed(plan: Plan) {
    let mut server = plan.start().await;
    log_much(&server).await;
    server.terminate();
    let end = server.wait_for_end(Duration::from_secs(10)).await;
    assert_eq!(end.code(), Some(0));
}

#[tokio::test]
async fn a_log_that_was_closed_costs_nobody_an_answer() {
    assert_unharmed(plan().with_closed_log()).await;
}

#[tokio::test]
async fn a_log_that_nobody_reads_costs_nobody_an_answer() {
    assert_unharmed(plan().with_stuck_log()).await;
}
