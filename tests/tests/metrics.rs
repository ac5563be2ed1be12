//! The console's metrics: each changes with its events and with nothing else.

use hitchy_tests::console::{find, page};
use hitchy_tests::http::{Connection, request};
use hitchy_tests::wait::{SOON, until};
use hitchy_tests::{Server, expect, guest};
use serde_json::json;

#[tokio::test]
async fn numbers_move_as_calls_are_made_and_fail() {
    let server = Server::prepare()
        .handler("probe.wasm", guest("probe"))
        .handler("faults.wasm", guest("faults"))
        .settings("[limits]\ncpu = \"500ms\"\ndeadline = \"2s\"\nmemory = \"32MiB\"")
        .console()
        .start()
        .await;
    let faults = |outcome: &str| {
        format!(
            "hitchy_calls_total{{handler=\"faults.wasm\",kind=\"request\",outcome=\"{outcome}\"}}"
        )
    };
    assert_eq!(server.metrics().await.value(&faults("trap")), 0.0);
    for (fault, status, outcome) in [
        ("trap", 500, "trap"),
        ("memory/10000", 500, "memory"),
        ("loop", 504, "cpu"),
        ("sleep/20000", 504, "deadline"),
        ("status/99", 502, "bad_answer"),
    ] {
        let answer = server.get(&format!("/fault/{fault}")).await;
        let id = expect::failure(&answer, status);
        assert_eq!(
            server.metrics().await.value(&faults(outcome)),
            1.0,
            "{fault}"
        );
        let list = page(&server, "/api/handlers").await;
        let handler = find(&list["handlers"], "name", "faults.wasm").expect("served");
        assert_eq!(handler["lastFailure"]["id"], id.as_str(), "{handler}");
    }
    let taken = json!({ "code": 409, "message": "taken" });
    assert_eq!(server.post("/fail", &taken).await.status, 409);
    assert_eq!(server.get("/hello/x").await.status, 200);
    assert_eq!(server.get("/nobody").await.status, 404);

    let metrics = server.metrics().await;
    let probe = |outcome: &str| {
        metrics.value(&format!(
            "hitchy_calls_total{{handler=\"probe.wasm\",kind=\"request\",outcome=\"{outcome}\"}}"
        ))
    };
    assert_eq!(
        (probe("ok"), probe("failure"), probe("trap")),
        (1.0, 1.0, 0.0)
    );
    let answers = |class: &str| {
        metrics.value(&format!(
            "hitchy_requests_total{{door=\"http\",status=\"{class}\"}}"
        ))
    };
    assert_eq!(
        (answers("2xx"), answers("4xx"), answers("5xx")),
        (1.0, 2.0, 5.0)
    );
    let ran = |what: &str| {
        metrics.value(&format!(
            "hitchy_call_duration_seconds_{what}{{handler=\"faults.wasm\"}}"
        ))
    };
    assert_eq!(ran("count"), 5.0);
    assert!(
        ran("sum") > 0.7,
        "one took until the deadline: {}",
        ran("sum")
    );
    assert_eq!(metrics.value("hitchy_gate_running"), 0.0);
    assert!(metrics.value("process_resident_memory_bytes") > 1e6);
    assert!(metrics.value("process_open_fds") > 3.0);

    let list = page(&server, "/api/handlers").await;
    let handler = find(&list["handlers"], "name", "faults.wasm").expect("served");
    let calls = &handler["calls"];
    assert_eq!((&calls["total"], &calls["failed"]), (&json!(5), &json!(5)));
    assert_eq!(calls["outcomes"]["cpu"], 1);
    let last = &handler["lastFailure"];
    assert_eq!(last["what"], "GET /fault/status/99");
    assert!(
        last["error"]
            .as_str()
            .is_some_and(|error| error.contains("unusable answer"))
    );
}

#[tokio::test]
async fn calls_that_are_turned_away_and_calls_whose_client_goes_are_counted() {
    let server = Server::prepare()
        .handler("probe.wasm", guest("probe"))
        .settings("[limits]\nconcurrency = 1\nqueue = 0")
        .console()
        .start()
        .await;
    let calls = |outcome: &str| {
        format!(
            "hitchy_calls_total{{handler=\"probe.wasm\",kind=\"request\",outcome=\"{outcome}\"}}"
        )
    };
    let mut busy = Connection::open(server.addr()).await;
    let slow = request("GET", "/slow/9000", &[], b"");
    busy.send(slow).await.expect("sent");
    let is_busy = async || server.metrics().await.value("hitchy_gate_running") == 1.0;
    until("the slow call runs", SOON, is_busy).await;
    expect::failure(&server.get("/hello/x").await, 503);
    assert_eq!(server.metrics().await.value(&calls("overloaded")), 1.0);
    assert_eq!(
        page(&server, "/readyz").await["status"],
        "ready",
        "it is only busy"
    );
    drop(busy);
    let is_counted = async || server.metrics().await.value(&calls("aborted")) == 1.0;
    until("the call without a client is counted", SOON, is_counted).await;
}

#[tokio::test]
async fn counts_survive_a_reload_of_the_same_file() {
    let server = Server::prepare()
        .handler("v.wasm", guest("version_one"))
        .console()
        .start()
        .await;
    let ok = "hitchy_calls_total{handler=\"v.wasm\",kind=\"request\",outcome=\"ok\"}";
    for _ in 0..3 {
        assert_eq!(server.get("/version").await.text(), "one");
    }
    server.drop_in("v.wasm", guest("version_two"));
    server.wait_for_body("/version", "two").await;
    let metrics = server.metrics().await;
    assert!(metrics.value(ok) >= 4.0, "{metrics:?}");
    assert_eq!(
        metrics.value("hitchy_handler_generation{handler=\"v.wasm\"}"),
        2.0
    );
    let reloads =
        |result: &str| metrics.value(&format!("hitchy_reloads_total{{result=\"{result}\"}}"));
    until("the reload is told", SOON, async || {
        let metrics = server.metrics().await;
        metrics.value("hitchy_reloads_total{result=\"reloaded\"}") == 1.0
    })
    .await;
    assert_eq!((reloads("loaded"), reloads("refused")), (1.0, 0.0));
    // A new limit for concurrent calls also counts as a reload.
    let before = metrics.value(ok);
    server.drop_in("v.toml", "concurrency = 3");
    server
        .wait_for_log(&["v.wasm: reloaded", "generation 3"])
        .await;
    assert!(server.metrics().await.value(ok) >= before);
}
