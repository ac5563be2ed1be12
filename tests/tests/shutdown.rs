//! SIGTERM: calls under way get their answers, new ones are turned away, then everybody is let go.

use std::time::{Duration, Instant};

use hitchy_tests::http::{Connection, request};
use hitchy_tests::wait::SOON;
use hitchy_tests::{Server, guest, official_client};
use serde_json::json;

#[tokio::test]
async fn r16_an_idle_server_ends_at_once_with_code_0() {
    let mut server = Server::with("probe.wasm", guest("probe")).await;
    assert_eq!(server.get("/hello/x").await.status, 200);
    // An idle connection does not hold it up.
    let _idle = Connection::open(server.addr()).await;
    server.terminate();
    let start = Instant::now();
    assert_eq!(server.wait_for_end(SOON).await.code(), Some(0));
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn r16_calls_under_way_are_answered_and_new_ones_turned_away() {
    let mut server = Server::with("probe.wasm", guest("probe")).await;
    let mut busy = Connection::open(server.addr()).await;
    let mut kept = Connection::open(server.addr()).await;
    kept.ask("GET", "/hello/before", &[], b"").await;
    busy.send(request("GET", "/slow/1500", &[], b""))
        .await
        .expect("sent");
    // The slow call is under way when this later one was answered.
    assert_eq!(server.get("/slow/20").await.status, 200);
    server.terminate();
    let addr = server.addr();
    let turned_away = async || match Connection::try_open(addr).await {
        Err(_) => true,
        Ok(mut new) => match new.try_ask("GET", "/hello/x", &[], b"").await {
            Err(_) => true,
            Ok(answer) => answer.status == 503,
        },
    };
    hitchy_tests::wait::until("new calls are turned away", SOON, turned_away).await;
    // A connection that was kept open is closed, or told 503.
    if let Ok(answer) = kept.try_ask("GET", "/hello/x", &[], b"").await {
        assert_eq!(answer.status, 503, "{answer:?}");
    }
    let answer = busy
        .read("GET")
        .await
        .expect("the call under way is answered");
    assert_eq!(answer.json(), json!({ "slept": 1500 }));
    assert_eq!(server.wait_for_end(SOON).await.code(), Some(0));
}

#[tokio::test]
async fn r16_acks_under_way_come_and_then_sockets_are_closed() {
    let Some(node) = official_client().await else {
        return;
    };
    let mut server = Server::with("probe.wasm", guest("probe")).await;
    let socket = node.connect(&server, "/").await;
    let hitchy = node.connect(&server, "/hitchy").await;
    let ack = socket.ask("slow", json!([1200]));
    let answer = hitchy.ask("request", json!([{ "url": "/slow/1200" }]));
    let terminate = async {
        assert_eq!(server.get("/slow/100").await.status, 200);
        server.terminate();
    };
    let (ack, answer, ()) = tokio::join!(ack, answer, terminate);
    assert_eq!(ack, json!([1200]));
    assert_eq!(answer[0]["body"], json!({ "slept": 1200 }));
    let reason = socket.wait_disconnect().await;
    assert!(
        ["io server disconnect", "transport close", "transport error"].contains(&reason.as_str()),
        "{reason}"
    );
    assert_eq!(server.wait_for_end(SOON).await.code(), Some(0));
}

#[tokio::test]
async fn r16_nothing_lasts_longer_than_the_grace_period() {
    let mut server = Server::prepare()
        .handler("probe.wasm", guest("probe"))
        .settings("[server]\ngrace = \"500ms\"\n[limits]\ndeadline = \"30s\"")
        .start()
        .await;
    let mut busy = Connection::open(server.addr()).await;
    busy.send(request("GET", "/slow/20000", &[], b""))
        .await
        .expect("sent");
    assert_eq!(server.get("/slow/20").await.status, 200);
    server.terminate();
    let start = Instant::now();
    let status = server.wait_for_end(SOON).await;
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(status.code(), Some(0));
}
