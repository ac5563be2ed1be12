//! Clients that disconnect while their calls run.

use std::time::{Duration, Instant};

use hitchy_tests::clauses::Way;
use hitchy_tests::door::probed;
use hitchy_tests::http::{Connection, request};
use hitchy_tests::raw::{Packet, RawSocket};
use hitchy_tests::wait::{SOON, within};
use hitchy_tests::{Server, clauses, guest};
use serde_json::json;

clauses! {
    http:
        r15_a_client_that_goes_away_cancels_its_call
        r15_a_client_that_goes_away_frees_its_instance;
    request_websocket request_polling: r15_requests_of_a_socket_that_went_away_still_run;
}

async fn r15_a_client_that_goes_away_cancels_its_call(_: Way) {
    let server = Server::with("probe.wasm", guest("probe")).await;
    let mut gone = Connection::open(server.addr()).await;
    let slow = request("GET", "/slow/700", &[], b"");
    gone.send(slow).await.expect("sent");
    // A second call that begins later and takes longer serves as the clock: when it ends, the first would have ended
    // too.
    let clock = server.get("/slow/50").await;
    assert_eq!(clock.status, 200, "the first call is under way");
    drop(gone);
    let listener = RawSocket::connect(server.addr(), "/").await;
    let mut listener = listener.expect("connected");
    assert_eq!(server.get("/slow/1200").await.status, 200);
    let heard = within("an event", SOON, listener.next()).await;
    let expected = Packet::Text(r#"42["slow-done",1200]"#.into());
    assert_eq!(heard.expect("open"), expected, "the first never ended");
}

/// Sets the limit to one call at a time.
async fn r15_a_client_that_goes_away_frees_its_instance(_: Way) {
    let server = Server::prepare()
        .handler("probe.wasm", guest("probe"))
        .settings("[limits]\nconcurrency = 1\nqueue = 1\nqueue-wait = \"100ms\"")
        .start()
        .await;
    let mut gone = Connection::open(server.addr()).await;
    let slow = request("GET", "/slow/8000", &[], b"");
    gone.send(slow).await.expect("sent");
    server.wait_for_status("/hello/you", 503).await;
    let start = Instant::now();
    drop(gone);
    server.wait_for_status("/hello/you", 200).await;
    let took = start.elapsed();
    assert!(took < Duration::from_secs(3), "{took:?}");
}

async fn r15_requests_of_a_socket_that_went_away_still_run(way: Way) {
    let Some((server, client)) = probed(way).await else {
        return;
    };
    let listener = RawSocket::connect(server.addr(), "/").await;
    let mut listener = listener.expect("connected");
    let slow = json!([{ "url": "/slow/300" }]);
    client.socket().emit("request", slow).await;
    client.socket().close_transport().await;
    let heard = within("an event", SOON, listener.next()).await;
    let expected = Packet::Text(r#"42["slow-done",300]"#.into());
    assert_eq!(heard.expect("open"), expected);
}
