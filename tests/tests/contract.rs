//! The promise of the contract: a handler that was built against 0.1.0 runs on every 0.1.x host.

use hitchy_tests::components::of_version;
use hitchy_tests::{Server, expect, official_client, sources};
use serde_json::json;

/// Reads a handler that uses every door. It was built when 0.1.0 was frozen, and is never rebuilt.
fn fixture() -> Vec<u8> {
    built_for("0.1.0")
}

/// Reads the handler that was built for a version of the contract, and is kept as it is.
fn built_for(version: &str) -> Vec<u8> {
    let path = sources().join(format!("fixtures/contract-{version}.wasm"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[tokio::test]
async fn l13_a_handler_built_against_0_1_0_answers_over_http() {
    let server = Server::with("contract.wasm", fixture()).await;
    server
        .wait_for_log(&["contract.wasm: loaded", "generation 1"])
        .await;
    let answer = server.get("/api/echo/you").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.text().contains("you"), "{answer:?}");
    for record in [
        "INFO after GET /api/echo/you 200",
        "INFO printed after it",
        "WARN and no end of a line",
    ] {
        server.wait_for_log(&[record, "contract.wasm"]).await;
    }
    assert_eq!(server.get("/api/ids").await.status, 200);
    let failed = server.get("/api/fail").await;
    assert!(
        (400..600).contains(&failed.status) && failed.json()["code"] == failed.status,
        "{failed:?}"
    );
}

#[tokio::test]
async fn l13_a_handler_built_against_0_1_0_answers_events_and_connections() {
    let Some(node) = official_client().await else {
        return;
    };
    let server = Server::with("contract.wasm", fixture()).await;
    let socket = node.connect(&server, "/").await;
    let ack = socket.ask("echo", json!([{ "some": "data" }, 2])).await;
    assert!(ack.to_string().contains("data"), "{ack}");
    let failed = socket.ask("fail", json!([])).await;
    assert!(failed[0]["error"]["code"].is_number(), "{failed}");
    let chat = node.connect(&server, "/chat").await;
    assert!(chat.ask("hello", json!(["x"])).await.is_array());
    let hitchy = node.connect(&server, "/hitchy").await;
    let answer = hitchy
        .ask("request", json!([{ "url": "/api/echo/you" }]))
        .await;
    assert_eq!(answer[0]["statusCode"], 200, "{answer}");
}

#[tokio::test]
async fn l13_a_handler_built_against_a_later_version_loads_unless_it_uses_what_is_not_there() {
    let server = Server::with("later.wasm", of_version("0.1.9", None)).await;
    server.wait_for_log(&["later.wasm: loaded"]).await;
    server.drop_in("uses.wasm", of_version("0.1.9", Some("later")));
    let refused = server.wait_for_log(&["uses.wasm: refused"]).await;
    for words in ["registration@0.1.9", "later", "update the server"] {
        assert!(refused.contains(words), "{words:?} in {refused}");
    }
}

/// A newer contract of the same track has one function more. A handler that does not call it needs no newer server.
#[tokio::test]
async fn l13_a_handler_for_a_newer_minor_version_is_served_if_it_uses_what_is_known() {
    let server = Server::with("newer.wasm", built_for("0.1.9-known")).await;
    server.wait_for_log(&["newer.wasm: loaded"]).await;
    assert_eq!(server.get("/contract/kept").await.text(), "kept");
}

#[tokio::test]
async fn l13_a_handler_that_needs_a_newer_server_or_another_track_is_refused() {
    let server = Server::prepare()
        .handler("newest.wasm", built_for("0.1.9-newest"))
        .handler("major.wasm", built_for("0.2.0"))
        .start()
        .await;
    let newest = [
        "hitchy:platform/registration@0.1.9",
        "newest",
        "update the server",
    ];
    expect::refused(&server, 0, "newest.wasm", &newest, "not served").await;
    let major = ["hitchy:platform@0.2.0", "speaks hitchy:platform 0.1"];
    expect::refused(&server, 0, "major.wasm", &major, "not served").await;
    assert_eq!(server.get("/contract/kept").await.status, 404);
}
