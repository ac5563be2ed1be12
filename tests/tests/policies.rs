//! Policies: the requests to which they apply, their order, and their decisions.

use hitchy_tests::covered::{Part, covers};
use hitchy_tests::{Server, guest, official_client, scripted};
use serde_json::json;

#[tokio::test]
async fn a_policy_answers_or_lets_pass_and_what_it_remembers_reaches_the_route() {
    let server = Server::with("probe.wasm", guest("probe")).await;
    let answer = server.get("/guarded/by").await;
    assert_eq!(
        (answer.status, answer.json()),
        (401, json!({ "guard": "no token" }))
    );
    assert_eq!(answer.header("x-guard"), Some("asked"));
    let answer = server
        .request("GET", "/guarded/by", &[("x-token", "open")], b"")
        .await;
    assert_eq!(
        (answer.status, answer.json()["by"].clone()),
        (200, json!("guard"))
    );
    assert_eq!(
        answer.header("x-guard"),
        Some("asked"),
        "added to whatever is answered"
    );
    let answer = server.get("/fails/x").await;
    assert_eq!(
        (answer.status, answer.header("x-guard")),
        (403, Some("refused")),
        "errors too"
    );
}

#[tokio::test]
async fn policies_run_in_the_order_of_file_names_then_of_indexes() {
    let server = Server::prepare()
        .handler(
            "b.wasm",
            scripted("name b\nbefore * /api\nbefore GET /api/deep\nroute GET /api/deep"),
        )
        .handler("a.wasm", scripted("name a\nbefore * /\nbefore POST /api"))
        .start()
        .await;
    let passed = async |method: &str, path: &str| {
        let answer = server.request(method, path, &[], b"").await;
        let all = answer.headers_named("x-passed").join(",");
        (answer.status, all.replace(' ', ""))
    };
    assert_eq!(
        passed("GET", "/api/deep").await,
        (200, "a:0,b:0,b:1".into())
    );
    assert_eq!(
        passed("POST", "/api/deep").await,
        (405, "a:0,a:1,b:0".into()),
        "asked before the 405"
    );
    assert_eq!(
        passed("GET", "/nobody").await,
        (404, "a:0".into()),
        "and before the 404"
    );
    assert_eq!(
        passed("GET", "/apix").await,
        (404, "a:0".into()),
        "whole segments"
    );
    assert_eq!(passed("GET", "/api").await, (404, "a:0,b:0".into()));
    assert_eq!(
        passed("GET", "/api/../api//deep").await,
        (200, "a:0,b:0,b:1".into()),
        "in normal form"
    );
    assert_eq!(
        passed("GET", "/%61pi/deep").await,
        (200, "a:0,b:0,b:1".into()),
        "no way around it"
    );
    covers("rust", &[Part::Policies]);
}

#[tokio::test]
async fn after_policies_run_when_the_answer_was_handed_over() {
    let Some(node) = official_client().await else {
        return;
    };
    let server = Server::with("probe.wasm", guest("probe")).await;
    let socket = node.connect(&server, "/").await;
    server
        .request("GET", "/guarded/x?q", &[("x-token", "open")], b"")
        .await;
    assert_eq!(
        socket.wait_event("after").await,
        json!([200, "/guarded/x?q"])
    );
    server.get("/guarded/x").await;
    assert_eq!(
        socket.wait_event("after").await,
        json!([401, "/guarded/x"]),
        "also when a policy answered"
    );
    server.get("/guarded/deep/nobody").await;
    assert_eq!(socket.wait_event("after").await[0], 401);
}

#[tokio::test]
async fn policies_guard_requests_over_a_socket_too() {
    let Some(node) = official_client().await else {
        return;
    };
    let server = Server::with("probe.wasm", guest("probe")).await;
    let socket = node.connect(&server, "/hitchy").await;
    let ack = socket
        .ask("request", json!([{ "url": "/guarded/by" }]))
        .await;
    assert_eq!(
        (ack[0]["statusCode"].clone(), ack[0]["body"].clone()),
        (json!(401), json!({ "guard": "no token" }))
    );
    assert_eq!(ack[0]["headers"]["x-guard"], "asked");
    let ack = socket
        .ask(
            "request",
            json!([{ "url": "/guarded/by", "headers": { "X-Token": "open" } }]),
        )
        .await;
    assert_eq!(ack[0]["body"]["by"], "guard");
}
