//! Connection hooks, what they see and decide, and how connections end; with the official client.

use hitchy_tests::{Node, Server, guest, official_client, scripted};
use serde_json::{Value, json};

async fn probed() -> Option<(Server, Node)> {
    let node = official_client().await?;
    Some((Server::with("probe.wasm", guest("probe")).await, node))
}

#[tokio::test]
async fn c12_a_hook_refuses_with_a_message_that_the_client_sees() {
    let Some((server, node)) = probed().await else {
        return;
    };
    for namespace in ["/", "/hitchy"] {
        let refused = node
            .connect_with(
                &server,
                namespace,
                json!({ "auth": { "refuse": "come back tomorrow" } }),
            )
            .await;
        assert_eq!(
            refused.err().map(|refused| refused.message).as_deref(),
            Some("come back tomorrow"),
            "{namespace}"
        );
        let refused = node
            .connect_with(&server, namespace, json!({ "auth": { "panic": true } }))
            .await;
        let message = refused
            .err()
            .map(|refused| refused.message)
            .unwrap_or_default();
        assert!(
            !message.is_empty() && !message.contains("gave up"),
            "{message}"
        );
    }
}

#[tokio::test]
async fn c12_a_hook_accepts_and_greets() {
    let Some((server, node)) = probed().await else {
        return;
    };
    let auth =
        json!({ "auth": { "user": "ann", "greet": "hello ann", "room": "lobby", "early": true } });
    let socket = node.connect_with(&server, "/", auth).await.expect("let in");
    assert_eq!(socket.wait_event("greeting").await, json!(["hello ann"]));
    let who = socket.ask("who", json!([])).await;
    assert_eq!(who[0]["user"], "ann", "what on-connect remembered");
    assert!(
        who[0]["rooms"]
            .as_array()
            .is_some_and(|rooms| rooms.contains(&json!("lobby"))),
        "{who}"
    );
    assert_eq!(
        who[0]["early"], "Err(409)",
        "nothing can be emitted before CONNECT is answered"
    );
    assert!(socket.events("early").is_empty());
}

#[tokio::test]
async fn c12_the_handshake_is_readable() {
    let Some((server, node)) = probed().await else {
        return;
    };
    let options = json!({
        "auth": { "token": "t", "n": [1] },
        "query": { "room": "a b" },
        "extraHeaders": { "X-Test": "yes", "cookie": "c=1" },
    });
    for transport in ["websocket", "polling"] {
        let mut options = options.clone();
        options["transports"] = json!([transport]);
        let socket = node
            .connect_with(&server, "/", options)
            .await
            .expect("let in");
        let who = socket.ask("who", json!([])).await[0].clone();
        assert_eq!(who["id"], socket.id());
        assert_eq!(who["namespace"], "/");
        assert!(
            who["remote"]
                .as_str()
                .is_some_and(|remote| remote.starts_with("127.0.0.1:")),
            "{who}"
        );
        let query = who["query"].as_str().expect("a query");
        assert!(
            query.contains("room=a%20b") && query.contains("EIO=4"),
            "{query}"
        );
        assert_eq!(who["xTest"], json!(["yes"]));
        let headers = who["headers"].as_array().expect("headers");
        assert!(headers.contains(&json!(["cookie", "c=1"])), "{who}");
        let auth: Value = serde_json::from_str(who["auth"].as_str().expect("auth")).expect("JSON");
        assert_eq!(auth, json!({ "token": "t", "n": [1] }));
    }
}

#[tokio::test]
async fn c12_disconnects_are_told_with_their_reason_and_rooms() {
    let Some((server, node)) = probed().await else {
        return;
    };
    let watcher = node.connect(&server, "/").await;
    let join = async |user: &str| {
        let auth = json!({ "auth": { "announce": true, "user": user, "room": "lobby" } });
        let socket = node.connect_with(&server, "/", auth).await.expect("let in");
        assert_eq!(watcher.wait_event("joined").await, json!([user]));
        socket
    };
    let told = async |user: &str, reason: &str| {
        let left = watcher.wait_event("left").await[0].clone();
        assert_eq!(
            (left["user"].as_str(), left["reason"].as_str()),
            (Some(user), Some(reason))
        );
        assert!(
            left["rooms"]
                .as_array()
                .is_some_and(|rooms| rooms.contains(&json!("lobby"))),
            "{left}"
        );
    };
    // More than once: whoever is told of an end may be faster than the one who tells.
    for _ in 0..10 {
        let ann = join("ann").await;
        ann.disconnect().await;
        told("ann", "client namespace disconnect").await;
        let bob = join("bob").await;
        bob.close_transport().await;
        told("bob", "transport close").await;
        let cyd = join("cyd").await;
        server
            .script(
                &json!([{ "do": "socket.disconnect", "of": { "namespace": "/", "id": cyd.id() } }]),
            )
            .await;
        assert_eq!(cyd.wait_disconnect().await, "io server disconnect");
        told("cyd", "server namespace disconnect").await;
    }
}

#[tokio::test]
async fn c12_a_handler_disconnects_one_namespace_or_the_whole_connection() {
    let Some((server, node)) = probed().await else {
        return;
    };
    let ann = node.connect(&server, "/").await;
    let bob = node.connect(&server, "/").await;
    server
        .script(&json!([{ "do": "disconnect", "rooms": [ann.id()] }]))
        .await;
    assert_eq!(ann.wait_disconnect().await, "io server disconnect");
    assert_eq!(bob.ask("echo", json!([1])).await, json!([1]));
    server
        .script(&json!([{ "do": "disconnect", "rooms": [bob.id()], "close": true }]))
        .await;
    let reason = bob.wait_disconnect().await;
    assert!(
        ["io server disconnect", "transport close"].contains(&reason.as_str()),
        "{reason}"
    );
}

#[tokio::test]
async fn context_lives_as_long_as_the_connection_and_has_an_end() {
    let Some((server, node)) = probed().await else {
        return;
    };
    let socket = node.connect(&server, "/").await;
    let mut steps = vec![
        json!({ "do": "socket.set", "key": "a", "value": "1" }),
        json!({ "do": "socket.get", "key": "a" }),
    ];
    steps
        .extend((0..40).map(
            |number| json!({ "do": "socket.set", "key": format!("k{number}"), "value": "v" }),
        ));
    let results = socket.ask("script", json!([steps])).await[0].clone();
    assert_eq!(results[1], json!({ "ok": "1" }));
    let refused = results
        .as_array()
        .expect("results")
        .iter()
        .filter(|result| result["failed"]["code"] == 413)
        .count();
    assert_eq!(refused, 9, "32 keys: {results}");
    let large = json!([[{ "do": "socket.set", "key": "a", "value": "x".repeat(17 * 1024) }]]);
    assert_eq!(
        socket.ask("script", large).await[0][0]["failed"]["code"],
        413
    );
    assert_eq!(
        socket
            .ask("script", json!([[{ "do": "socket.get", "key": "a" }]]))
            .await[0][0],
        json!({ "ok": "1" })
    );
}

#[tokio::test]
async fn a_requests_context_is_a_copy_of_the_sockets() {
    let Some((server, node)) = probed().await else {
        return;
    };
    let socket = node
        .connect_with(&server, "/hitchy", json!({ "auth": { "user": "ann" } }))
        .await
        .expect("let in");
    let steps = json!([
        { "do": "request.get", "key": "user" },
        { "do": "request.set", "key": "user", "value": "eve" },
        { "do": "request.get", "key": "user" },
        { "do": "socket.get", "key": "user" },
    ]);
    let ack = socket
        .ask(
            "request",
            json!([{ "method": "POST", "url": "/script", "body": steps }]),
        )
        .await;
    assert_eq!(
        ack[0]["body"],
        json!([{ "ok": "ann" }, { "ok": null }, { "ok": "eve" }, { "ok": "ann" }])
    );
    let again = socket
        .ask("request", json!([{ "url": "/context/user" }]))
        .await;
    assert_eq!(again[0]["body"]["value"], "ann", "never written back");
    assert_eq!(
        server.get("/context/user").await.json()["value"],
        Value::Null,
        "HTTP starts with none"
    );
}

#[tokio::test]
async fn hooks_of_several_files_run_in_order_merge_contexts_and_the_first_refusal_wins() {
    let Some(node) = official_client().await else {
        return;
    };
    let server = Server::prepare()
        .handler("a.wasm", scripted("name a\nconnection /\nset user from-a"))
        .handler(
            "b.wasm",
            scripted("name b\nconnection /\nset user from-b\nroute GET /b"),
        )
        .start()
        .await;
    let socket = node.connect(&server, "/").await;
    assert_eq!(
        socket.wait_event("welcome").await,
        json!(["a", "from-b"]),
        "a later key wins"
    );
    assert_eq!(socket.wait_event("welcome").await, json!(["b", "from-b"]));
    server.drop_in("c.wasm", scripted("name c\nconnection /\nrefuse c says no"));
    server.drop_in(
        "d.wasm",
        scripted("name d\nconnection /\nrefuse d says no\nroute GET /d"),
    );
    server.wait_for_status("/d", 200).await;
    server.wait_for_log(&["c.wasm: loaded"]).await;
    let refused = node.connect(&server, "/hitchy").await;
    drop(refused);
    let message = node
        .connect_with(&server, "/", json!({}))
        .await
        .err()
        .map(|refused| refused.message);
    assert_eq!(message.as_deref(), Some("c says no"));
    // Who is in stays in.
    server.remove("c.wasm");
    server.remove("d.wasm");
    server.wait_for_status("/d", 404).await;
    assert!(
        socket
            .happened()
            .iter()
            .all(|it| it.what["what"] != "disconnect")
    );
}

#[tokio::test]
async fn a5_a_namespace_that_nobody_declared_is_invalid() {
    let Some((server, node)) = probed().await else {
        return;
    };
    let refused = node.connect_with(&server, "/nobody", json!({})).await;
    assert_eq!(
        refused.err().map(|refused| refused.message).as_deref(),
        Some("Invalid namespace")
    );
}

#[tokio::test]
async fn a5_a_namespace_comes_and_goes_with_its_handler_and_its_sockets_stay() {
    let Some(node) = official_client().await else {
        return;
    };
    let server = Server::prepare().start().await;
    let root = node.connect(&server, "/").await;
    assert!(
        node.connect_with(&server, "/late", json!({}))
            .await
            .is_err()
    );
    server.drop_in(
        "late.wasm",
        scripted("name late\nlistener /late call\nroute GET /late"),
    );
    server.wait_for_status("/late", 200).await;
    let socket = node.connect(&server, "/late").await;
    assert_eq!(
        socket.ask("call", json!([])).await,
        json!(["late", 0, "call"])
    );
    server.remove("late.wasm");
    server.wait_for_status("/late", 404).await;
    let refused = node.connect_with(&server, "/late", json!({})).await;
    assert_eq!(
        refused.err().map(|refused| refused.message).as_deref(),
        Some("Invalid namespace")
    );
    assert_eq!(
        socket.ask("call", json!([])).await[0]["error"]["code"],
        404,
        "its socket stays"
    );
    server.drop_in(
        "late.wasm",
        scripted("name again\nlistener /late call\nroute GET /late"),
    );
    server.wait_for_body("/late", "again").await;
    assert_eq!(
        socket.ask("call", json!([])).await,
        json!(["again", 0, "call"])
    );
    let newcomer = node.connect(&server, "/late").await;
    assert_eq!(
        newcomer.ask("call", json!([])).await,
        json!(["again", 0, "call"])
    );
    assert_eq!(
        root.happened()
            .iter()
            .filter(|it| it.what["what"] == "disconnect")
            .count(),
        0
    );
}

#[tokio::test]
async fn a4_listeners_in_hitchy_are_refused_at_load_and_hooks_are_allowed() {
    let Some(node) = official_client().await else {
        return;
    };
    let server = Server::prepare()
        .handler(
            "bad.wasm",
            scripted("name bad\nlistener /hitchy request\nroute GET /bad"),
        )
        .handler(
            "below.wasm",
            scripted("name below\nlistener /hitchy/below x"),
        )
        .handler(
            "good.wasm",
            scripted("name good\nconnection /hitchy\nset user known\nroute GET /good"),
        )
        .start()
        .await;
    for file in ["bad.wasm", "below.wasm"] {
        let line = server
            .wait_for_log(&[&format!("{file}: refused"), "/hitchy"])
            .await;
        assert!(line.contains("not served"), "{line}");
    }
    assert_eq!(server.get("/bad").await.status, 404);
    let socket = node.connect(&server, "/hitchy").await;
    let ack = socket.ask("request", json!([{ "url": "/good" }])).await;
    assert_eq!(ack[0]["body"]["user"], "known");
}

#[tokio::test]
async fn a_failure_that_nobody_waits_for_goes_to_the_log_and_harms_nothing() {
    let Some(node) = official_client().await else {
        return;
    };
    let script = "name grumpy\nconnection /\nafter * /\nroute GET /grumpy\nlistener / call\ncomplain so it goes";
    let server = Server::with("grumpy.wasm", scripted(script)).await;
    let told = async |from: usize| {
        server
            .wait_for_log_from(from, &["so it goes", "grumpy"])
            .await
    };
    assert_eq!(server.get("/grumpy").await.status, 200);
    told(0).await;
    let from = server.log().len();
    let socket = node.connect(&server, "/").await;
    told(from).await;
    assert_eq!(
        socket.ask("call", json!([])).await,
        json!(["grumpy", 0, "call"])
    );
    let from = server.log().len();
    socket.disconnect().await;
    told(from).await;
}

#[tokio::test]
async fn r15_events_of_a_client_that_went_away_still_run_and_then_its_hook() {
    let Some((server, node)) = probed().await else {
        return;
    };
    let watcher = node.connect(&server, "/").await;
    let auth = json!({ "auth": { "announce": true, "user": "ann" } });
    let leaver = node.connect_with(&server, "/", auth).await.expect("let in");
    for number in 0..3 {
        leaver.emit("slow", json!([150, number])).await;
    }
    // They travel on the same connection as its end, in front of it.
    leaver.close_transport().await;
    let mut last = 0;
    for number in 0..3 {
        let done = watcher.wait_event_at("slow-event-done").await;
        assert_eq!(done.what["args"], json!([150, number]));
        last = done.place;
    }
    let left = watcher.wait_event_at("left").await;
    assert!(left.place > last, "the hook runs after the last event");
}
