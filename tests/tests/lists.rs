//! The console's lists: handlers, routes, reloads and sockets.

use hitchy_tests::console::{find, page, probe};
use hitchy_tests::raw::RawClient;
use hitchy_tests::wait::{SOON, eventually, until};
use hitchy_tests::{Server, guest, scripted};
use serde_json::{Value, json};

#[tokio::test]
async fn a_refused_file_is_shown_with_its_sentence_and_with_what_still_serves() {
    let server = Server::prepare()
        .handler("v.wasm", guest("version_one"))
        .console()
        .start()
        .await;
    server.drop_in("v.wasm", "no handler at all");
    server.drop_in("other.wasm", "nor this");
    let both = async || {
        let list = page(&server, "/api/handlers").await;
        (list["refused"].as_array().map(Vec::len) == Some(2)).then_some(list)
    };
    let list = eventually("both are refused", SOON, both).await;
    let refused = |file: &str| find(&list["refused"], "file", file).expect("refused");
    assert_eq!(refused("v.wasm")["servingGeneration"], 1);
    assert_eq!(refused("other.wasm")["servingGeneration"], Value::Null);
    let sentence = refused("v.wasm")["error"].as_str().unwrap_or_default();
    assert!(sentence.contains("this is no WebAssembly"), "{sentence}");
    let handler = find(&list["handlers"], "name", "v.wasm").expect("still served");
    assert_eq!(handler["generation"], 1);
    let health = page(&server, "/healthz").await;
    assert_eq!(health["status"], "degraded");
    let problems = health["problems"].to_string();
    assert!(
        problems.contains("still serving generation 1"),
        "{problems}"
    );

    let events = page(&server, "/api/reloads").await;
    let refusals = events["reloads"].as_array().expect("a list");
    let kinds: Vec<_> = refusals.iter().map(|event| &event["what"]).collect();
    assert_eq!(kinds, ["refused", "refused", "loaded"], "the newest first");
    let loaded = &refusals[2];
    assert_eq!(
        (&loaded["file"], &loaded["generation"]),
        (&json!("v.wasm"), &json!(1))
    );
    assert_eq!(loaded["hash"], handler["hash"]);
    assert!(
        loaded["compileMs"].is_u64() && loaded["error"].is_null(),
        "{loaded}"
    );
    assert!(
        loaded["time"]
            .as_str()
            .is_some_and(|time| time.ends_with('Z')),
        "{loaded}"
    );
    let event = find(&events["reloads"], "file", "v.wasm").expect("told");
    assert_eq!(event["error"], sentence);

    server.drop_in("v.wasm", guest("version_two"));
    server.remove("other.wasm");
    let is_well = async || page(&server, "/healthz").await == json!({ "status": "ok" });
    until("nothing is wrong any more", SOON, is_well).await;
    // The events appear when the table is served.
    for what in ["reloaded", "removed"] {
        let is_told = async || {
            let events = page(&server, "/api/reloads").await;
            find(&events["reloads"], "what", what).is_some()
        };
        until(what, SOON, is_told).await;
    }
}

#[tokio::test]
async fn routes_are_shown_by_path_and_handlers_with_all_they_declare() {
    let script = "name all\nroute POST /b\nroute GET /a/{id}\nroute * /b\nbefore * /a\nafter GET /a\nlistener /chat say\nconnection /chat";
    let server = Server::prepare()
        .handler("sub/all.wasm", scripted(script))
        .console()
        .start()
        .await;
    let routes = page(&server, "/api/routes").await;
    let route = |method: &str, path: &str| json!({ "path": path, "method": method, "handler": "sub/all.wasm" });
    assert_eq!(
        routes["routes"],
        json!([
            route("GET", "/a/{id}"),
            route("*", "/b"),
            route("POST", "/b")
        ])
    );
    let list = page(&server, "/api/handlers").await;
    let handler = find(&list["handlers"], "name", "sub/all.wasm").expect("served");
    let first = json!({ "method": "POST", "path": "/b" });
    assert_eq!(handler["routes"][0], first, "in the order of the handler");
    let before = json!({ "stage": "before", "method": "*", "prefix": "/a" });
    let after = json!({ "stage": "after", "method": "GET", "prefix": "/a" });
    assert_eq!(handler["policies"], json!([before, after]));
    let say = json!({ "namespace": "/chat", "event": "say" });
    assert_eq!(handler["listeners"], json!([say]));
    assert_eq!(handler["hooks"], json!(["/chat"]));
    assert_eq!(handler["limits"]["deadlineMs"], 10_000);
    assert_eq!(handler["lastFailure"], Value::Null);
}

#[tokio::test]
async fn sockets_are_counted_in_their_namespaces_while_they_are_connected() {
    let server = probe().start().await;
    let count = async |namespace: &str| {
        let sockets = page(&server, "/api/sockets").await;
        let found = find(&sockets["namespaces"], "namespace", namespace);
        found.map(|one| one["sockets"].as_u64().expect("a number"))
    };
    assert_eq!(count("/").await, Some(0));
    let mut websocket = RawClient::connect("websocket", server.addr(), "/").await;
    websocket.enter("/chat", "").await.expect("let in");
    let polling = RawClient::connect("polling", server.addr(), "/").await;
    assert_eq!((count("/").await, count("/chat").await), (Some(2), Some(1)));
    let sockets = page(&server, "/api/sockets").await;
    assert_eq!(sockets["sockets"], 3);
    let sessions = json!({ "open": 2, "websocket": 1, "polling": 1, "unclaimed": 0 });
    assert_eq!(sockets["sessions"], sessions);
    let metrics = server.metrics().await;
    assert_eq!(metrics.value("hitchy_sockets{namespace=\"/\"}"), 2.0);
    assert_eq!(metrics.value("hitchy_sessions{transport=\"polling\"}"), 1.0);
    assert_eq!(
        metrics.value("hitchy_connects_total{outcome=\"accepted\"}"),
        3.0
    );

    websocket.ask("7", "[\"echo\",1]").await.expect("an ack");
    assert_eq!(
        server
            .metrics()
            .await
            .value("hitchy_events_total{outcome=\"handled\"}"),
        1.0
    );
    websocket.send("41/chat,").await.expect("sent");
    until("one has left /chat", SOON, async || {
        count("/chat").await == Some(0)
    })
    .await;
    assert_eq!(count("/").await, Some(2));
    drop(websocket);
    until("the websocket is gone", SOON, async || {
        count("/").await == Some(1)
    })
    .await;
    let mut polling = polling;
    polling.send("1").await.expect("sent");
    until("all are gone", SOON, async || {
        let sockets = page(&server, "/api/sockets").await;
        sockets["sockets"] == 0 && sockets["sessions"]["open"] == 0
    })
    .await;
}
