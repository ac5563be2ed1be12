//! SIGTERM: running calls get their answers, new calls are refused, and then all clients are disconnected.

use std::time::{Duration, Instant};

use hitchy_tests::clauses::Way;
use hitchy_tests::door::probed;
use hitchy_tests::http::{Connection, request};
use hitchy_tests::node::Socket;
use hitchy_tests::wait::{SOON, eventually};
use hitchy_tests::{Server, clauses, expect, guest, official_client};
use serde_json::json;

clauses! {
    http:
        r16_an_idle_server_ends_at_once_with_code_0
        r16_calls_under_way_are_answered_and_new_ones_turned_away
        r16_nothing_lasts_longer_than_the_grace_period;
    request_websocket request_polling: r16_answers_under_way_come_new_requests_are_503_then_sockets_close;
    event_websocket event_polling: r16_acks_under_way_come_new_events_are_503_then_sockets_close;
}

async fn r16_an_idle_server_ends_at_once_with_code_0(_: Way) {
    let mut server = Server::with("probe.wasm", guest("probe")).await;
    assert_eq!(server.get("/hello/x").await.status, 200);
    // An idle connection does not delay the end.
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

async fn r16_calls_under_way_are_answered_and_new_ones_turned_away(_: Way) {
    let mut server = Server::with("probe.wasm", guest("probe")).await;
    let mut busy = Connection::open(server.addr()).await;
    let mut kept = Connection::open(server.addr()).await;
    kept.ask("GET", "/hello/before", &[], b"").await;
    busy.send(request("GET", "/slow/1500", &[], b""))
        .await
        .expect("sent");
    // The answer to this later call shows that the slow call is under way.
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
    // A connection that was kept open is closed, or gets status 503.
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

async fn r16_answers_under_way_come_new_requests_are_503_then_sockets_close(way: Way) {
    let Some((mut server, client)) = probed(way).await else {
        return;
    };
    let under_way = client.get("/slow/2000");
    let others = async {
        // The answer to this later call shows that the slow call is under way.
        assert_eq!(client.get("/slow/100").await.status, 200);
        server.terminate();
        let refused = async || {
            let answer = client.get("/hello/late").await;
            (answer.status != 200).then_some(answer)
        };
        let refused = eventually("new requests are refused", SOON, refused).await;
        expect::refusal(&refused, 503);
        assert!(refused.header("retry-after").is_some(), "{refused:?}");
    };
    let (answer, ()) = tokio::join!(under_way, others);
    assert_eq!(answer.body, json!({ "slept": 2000 }));
    is_let_go(client.socket()).await;
    assert_eq!(server.wait_for_end(SOON).await.code(), Some(0));
}

async fn r16_acks_under_way_come_new_events_are_503_then_sockets_close(way: Way) {
    let Some(node) = official_client().await else {
        return;
    };
    let mut server = Server::with("probe.wasm", guest("probe")).await;
    let connect = async || {
        let options = json!({ "transports": [way.transport()] });
        let socket = node.connect_with(&server, "/", options).await;
        socket.expect("let in")
    };
    // Events of one socket run one after the other, so the test sends the later calls on another socket.
    let (busy, other) = (connect().await, connect().await);
    let under_way = busy.ask("slow", json!([2000]));
    let others = async {
        assert_eq!(other.ask("slow", json!([100])).await, json!([100]));
        server.terminate();
        let refused = async || {
            let ack = other.ask("echo", json!(["late"])).await;
            (ack != json!(["late"])).then_some(ack)
        };
        let refused = eventually("new events are refused", SOON, refused).await;
        expect::failed_ack(&refused, 503);
    };
    let (ack, ()) = tokio::join!(under_way, others);
    assert_eq!(ack, json!([2000]));
    is_let_go(&busy).await;
    is_let_go(&other).await;
    assert_eq!(server.wait_for_end(SOON).await.code(), Some(0));
}

/// Waits until the server has closed the connection.
async fn is_let_go(socket: &Socket) {
    let reason = socket.wait_disconnect().await;
    let by_the_server = ["io server disconnect", "transport close", "transport error"];
    assert!(by_the_server.contains(&reason.as_str()), "{reason}");
}

async fn r16_nothing_lasts_longer_than_the_grace_period(_: Way) {
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
