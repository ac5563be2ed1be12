//! Instances that all clients share, D3.

use futures_util::future::join_all;
use hitchy_tests::clauses::Way;
use hitchy_tests::console::{find, page};
use hitchy_tests::living::{LivingClient, begin_long_call, calls, living, plan, post};
use hitchy_tests::scrape::Scrape;
use hitchy_tests::streams::Open;
use hitchy_tests::wait::{SOON, until, within};
use hitchy_tests::{Server, clauses, guest};
use serde_json::json;

clauses! {
    event_websocket event_polling:
        d03_calls_of_all_clients_share_the_instances_of_a_pool;
    http:
        d03_calls_of_an_instance_never_overlap_and_wait_for_a_free_one;
}

async fn d03_calls_of_all_clients_share_the_instances_of_a_pool(way: Way) {
    let mut server = plan("instances = \"shared\"\nmax-instances = 1")
        .start()
        .await;
    let mut one = LivingClient::connect(way, server.addr()).await;
    let mut two = LivingClient::connect(way, server.addr()).await;
    until("both hooks ran", SOON, async || {
        post(&server, json!({ "do": "nothing" })).await["count"].as_u64() >= Some(5)
    })
    .await;
    let told = one.nothing().await;
    let before = told["count"].as_u64().expect("a number");
    assert_eq!(told["life"], "shared");
    let told = two.nothing().await;
    assert_eq!(
        (told["count"].as_u64(), &told["seen"]),
        (Some(before + 1), &json!(2))
    );
    let told = post(&server, json!({ "do": "nothing" })).await;
    assert_eq!(told["count"].as_u64(), Some(before + 2));
    drop((one, two));
    assert_eq!(living(&server.metrics().await, "shared"), 1.0);
    server.assert_unharmed();
}

async fn d03_calls_of_an_instance_never_overlap_and_wait_for_a_free_one(_: Way) {
    let mut server = plan("instances = \"shared\"\nmax-instances = 2")
        .start()
        .await;
    let deed = json!({ "do": "sleep", "millis": 5 });
    let calls = (0..40).map(|_| post(&server, deed.clone()));
    for told in join_all(calls).await {
        assert_eq!(told["overlapped"], false, "{told}");
    }
    let metrics = server.metrics().await;
    assert!(living(&metrics, "shared") <= 2.0);
    server.assert_unharmed();
}

#[tokio::test]
async fn d03_a_call_that_gets_no_instance_is_refused_as_any_call_that_waits_too_long() {
    let server = plan("instances = \"shared\"\nmax-instances = 1")
        .start()
        .await;
    let deed = json!({ "do": "sleep", "millis": 800 });
    let calls = (0..4).map(|_| server.post("/do", &deed));
    let mut statuses: Vec<_> = join_all(calls)
        .await
        .iter()
        .map(|answer| answer.status)
        .collect();
    statuses.sort_unstable();
    // The second waits for `limits.queue-wait` at the gate, and holds no permit of others meanwhile.
    assert_eq!((statuses[0], statuses[3]), (200, 503), "{statuses:?}");
}

#[tokio::test]
async fn d03_a_busy_pool_is_an_overload_and_no_fault_of_its_guest() {
    let mut server = plan("instances = \"shared\"\nmax-instances = 1\ndeadline = \"60s\"")
        .settings("[limits]\nqueue-wait = \"50ms\"")
        .start()
        .await;
    let long = begin_long_call(&server).await;
    let answer = server.post("/do", &json!({ "do": "nothing" })).await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.header("retry-after").is_some());
    let words = ["living.wasm", "all 1 of the pool", "max-instances"];
    server.wait_for_log(&words).await;
    let metrics = server.metrics().await;
    let counts = ["busy", "overloaded", "deadline"].map(|outcome| calls(&metrics, outcome));
    assert_eq!(counts, [1.0, 0.0, 0.0]);
    let list = page(&server, "/api/handlers").await;
    let handler = find(&list["handlers"], "name", "living.wasm").expect("served");
    assert_eq!(handler["calls"]["failed"], 0, "{}", handler["calls"]);
    drop(long);
    server.assert_unharmed();
}

#[tokio::test]
async fn d03_an_overload_of_all_handlers_says_nothing_of_a_pool() {
    let mut server = plan("instances = \"shared\"\nmax-instances = 1\ndeadline = \"60s\"")
        .settings("[limits]\nconcurrency = 1\nqueue-wait = \"50ms\"")
        .start()
        .await;
    let long = begin_long_call(&server).await;
    let answer = server.post("/do", &json!({ "do": "nothing" })).await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    let metrics = server.metrics().await;
    assert_eq!(
        ["busy", "overloaded"].map(|outcome| calls(&metrics, outcome)),
        [0.0, 1.0]
    );
    drop(long);
    server.assert_unharmed();
}

#[tokio::test]
async fn d03_a_handler_that_calls_itself_does_not_wait_for_itself() {
    let mut server = plan("instances = \"shared\"\nmax-instances = 1")
        .start()
        .await;
    let deed = json!({ "do": "dispatch", "url": "/nothing" });
    let calls = (0..8).map(|_| post(&server, deed.clone()));
    for told in within("all calls", SOON * 3, join_all(calls)).await {
        assert_eq!(told["result"]["count"], 1, "{told}");
        assert_eq!(told["result"]["life"], "call", "{told}");
    }
    assert_eq!(living(&server.metrics().await, "shared"), 1.0);
    server.assert_unharmed();
}

#[tokio::test]
async fn d03_a_component_of_wasi_http_has_shared_instances_until_its_bodies_have_ended() {
    let mut server = Server::prepare()
        .handler("shop.wasm", guest("proxy"))
        .handler(
            "shop.toml",
            "instances = \"shared\"\nmax-instances = 1\ndeadline = \"2s\"",
        )
        .settings("[limits]\nqueue-wait = \"10s\"")
        .console()
        .start()
        .await;
    let kept = |metrics: &Scrape| {
        let of = |name: &str| {
            metrics.value(&format!(
                "{name}{{handler=\"shop.wasm\",{}}}",
                "life=\"shared\""
            ))
        };
        of("hitchy_instances")
    };
    for _ in 0..20 {
        assert_eq!(server.get("/shop/big?300000").await.body.len(), 300_000);
        let body = vec![b'x'; 200_000];
        let echoed = server.request("POST", "/shop/echo", &[], &body).await;
        assert_eq!(echoed.body, body);
        // Nothing reads this upload, and nothing finishes this answer.
        let answer = server.request("POST", "/shop/leaked", &[], &body).await;
        assert_eq!(answer.text(), "begun");
        assert_eq!(server.get("/shop/status?204").await.status, 204);
    }
    let metrics = server.metrics().await;
    assert_eq!(kept(&metrics), 1.0);
    let faults = r#"hitchy_instances_ended_total{handler="shop.wasm",reason="fault"}"#;
    assert_eq!(metrics.value(faults), 0.0);
    // The instance is in use until the events have been written, and the next call waits for it.
    let mut events = Open::begin(&server, "GET /shop/events?10").await;
    events.send("\r\n").await;
    events.until("data: 0").await;
    assert_eq!(server.get("/shop/head").await.status, 200);
    let metrics = server.metrics().await;
    assert_eq!(metrics.value("hitchy_streams_running"), 0.0);
    events.until("data: 9").await;
    assert_eq!(kept(&metrics), 1.0);
    server.assert_unharmed();
}
