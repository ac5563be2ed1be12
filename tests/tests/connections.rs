//! Connection hooks: the data that they see, their decisions (C12), and the contexts that they fill.

use hitchy_tests::clauses::Way;
use hitchy_tests::covered::{Part, covers};
use hitchy_tests::{Server, Stage, clauses, guest, scripted};
use serde_json::{Value, json};

clauses! {
    event_websocket event_polling:
        a04_c12_hooks_in_hitchy_decide_who_may_send_requests
        c12_a_hook_refuses_with_a_message_that_the_client_sees
        c12_a_hook_that_fails_lets_nobody_in
        c12_a_hook_accepts_with_context_and_greets
        c12_the_handshake_is_readable
        c12_the_address_of_a_client_is_readable
        c12_what_came_without_auth_or_query_has_none
        c12_a_refused_client_is_not_there
        c12_hooks_of_several_files_merge_contexts_and_the_first_refusal_wins
        c12_hooks_that_come_with_a_reload_do_not_run_for_who_is_in
        c12_a_context_lives_as_long_as_the_connection
        c12_namespaces_of_one_client_have_contexts_of_their_own;
}

async fn a04_c12_hooks_in_hitchy_decide_who_may_send_requests(way: Way) {
    let Some(stage) = Stage::set(way).await else {
        return;
    };
    let auth = json!({ "auth": { "refuse": "not for you" } });
    let refused = stage.connect_with("/hitchy", auth).await;
    assert_eq!(refused.err().expect("refused").message, "not for you");
    let auth = json!({ "auth": { "user": "ann" } });
    let socket = stage.connect_with("/hitchy", auth).await.expect("let in");
    let ack = socket.ask("request", json!([{ "url": "/echo" }])).await;
    assert_eq!(ack[0]["body"]["user"], "ann");
}

async fn c12_a_hook_refuses_with_a_message_that_the_client_sees(way: Way) {
    let Some(stage) = Stage::set(way).await else {
        return;
    };
    for message in ["come back tomorrow", "mañana 🎉 \"quoted\" \\", ""] {
        let auth = json!({ "auth": { "refuse": message } });
        let refused = stage.connect_with("/", auth).await;
        assert_eq!(refused.err().expect("refused").message, message);
    }
}

async fn c12_a_hook_that_fails_lets_nobody_in(way: Way) {
    let plan = Server::prepare()
        .handler("probe.wasm", guest("probe"))
        .handler("faults.wasm", guest("faults"))
        .settings("[limits]\ncpu = \"200ms\"\ndeadline = \"400ms\"");
    let Some(mut stage) = Stage::set_with(way, plan).await else {
        return;
    };
    let mut tries = vec![("/", json!({ "panic": true }))];
    for kind in ["trap", "loop", "sleep", "teapot"] {
        tries.push(("/faults", json!({ "kind": kind })));
    }
    for (namespace, auth) in tries {
        let options = json!({ "auth": auth });
        let refused = stage.connect_with(namespace, options).await;
        let message = refused.err().expect("refused").message;
        let inner = ["gave up", "unreachable", "wasm", "trap"];
        let tells = inner.iter().any(|word| message.contains(word));
        assert!(!message.is_empty() && !tells, "{auth}: {message}");
        // The client gets only a message, with the id under which the log has the details.
        let id = message.split_once(" (id ").map(|(_, id)| id);
        let id = id.and_then(|id| id.strip_suffix(')'));
        let id = id.unwrap_or_else(|| panic!("{auth}: no id in {message:?}"));
        stage.server.wait_for_log(&["ERROR", id]).await;
        // What the server itself finds out, it tells with the name of the call.
        if namespace == "/faults" {
            stage.server.wait_for_log(&[id, "connect to"]).await;
        }
    }
    stage.connect("/").await;
    stage.server.assert_unharmed();
}

async fn c12_a_hook_accepts_with_context_and_greets(way: Way) {
    let Some(stage) = Stage::set(way).await else {
        return;
    };
    let auth = json!({ "user": "ann", "greet": "hello ann", "room": "lobby", "early": true });
    let socket = stage.connect_as(auth).await;
    assert_eq!(socket.wait_event("greeting").await, json!(["hello ann"]));
    let who = socket.ask("who", json!([])).await[0].clone();
    assert_eq!(who["user"], "ann", "what on-connect remembered");
    let rooms = who["rooms"].as_array().expect("rooms");
    assert!(rooms.contains(&json!("lobby")), "{who}");
    let early = &who["early"];
    assert_eq!(early, "Err(409)", "nothing is sent before CONNECT's answer");
    assert!(socket.events("early").is_empty());
}

async fn c12_the_handshake_is_readable(way: Way) {
    let Some(stage) = Stage::set(way).await else {
        return;
    };
    let options = json!({
        "auth": { "token": "t", "n": [1], "text": "grüße \"🎉\"" },
        "query": { "room": "a b" },
        "extraHeaders": { "X-Test": "yes", "cookie": "c=1" },
    });
    let socket = stage.connect_with("/", options.clone()).await;
    let socket = socket.expect("let in");
    let who = socket.ask("who", json!([])).await[0].clone();
    assert_eq!(who["id"], socket.id());
    assert_eq!(who["namespace"], "/");
    let query = who["query"].as_str().unwrap_or_default();
    assert!(query.contains("room=a%20b"), "raw: {query}");
    assert!(query.contains("EIO=4"), "{query}");
    assert_eq!(who["xTest"], json!(["yes"]), "names in any case");
    let headers = who["headers"].as_array().expect("headers");
    assert!(headers.contains(&json!(["cookie", "c=1"])), "{who}");
    let auth = who["auth"].as_str().expect("auth");
    let auth: Value = serde_json::from_str(auth).expect("JSON");
    assert_eq!(auth, options["auth"]);
}

async fn c12_the_address_of_a_client_is_readable(way: Way) {
    let Some(stage) = Stage::set(way).await else {
        return;
    };
    let who = stage.connect("/").await.ask("who", json!([])).await[0].clone();
    let remote = who["remote"].as_str().unwrap_or_default();
    assert!(remote.starts_with("127.0.0.1:"), "{who}");
}

async fn c12_what_came_without_auth_or_query_has_none(way: Way) {
    let Some(stage) = Stage::set(way).await else {
        return;
    };
    let who = stage.connect("/").await.ask("who", json!([])).await[0].clone();
    assert_eq!(who["auth"], Value::Null);
    assert_eq!(who["user"], Value::Null);
    assert_eq!(who["xTest"], json!([]));
}

async fn c12_a_refused_client_is_not_there(way: Way) {
    let Some(stage) = Stage::set(way).await else {
        return;
    };
    let watcher = stage.connect("/").await;
    let auth = json!({ "auth": { "refuse": "no", "announce": true, "user": "eve" } });
    stage.connect_with("/", auth).await.err().expect("refused");
    let list = json!([{ "do": "list-ids" }]);
    let listed = stage.server.script(&list).await;
    assert_eq!(listed[0]["ok"], json!([watcher.id()]));
    // Hooks report neither the arrival nor the end of the refused client. They report a later client.
    let auth = json!({ "announce": true, "user": "ann" });
    stage.connect_as(auth).await.disconnect().await;
    assert_eq!(watcher.wait_event("left").await[0]["user"], "ann");
    assert_eq!(watcher.events("joined"), [json!(["ann"])]);
    assert_eq!(watcher.events("left").len(), 1);
}

async fn c12_hooks_of_several_files_merge_contexts_and_the_first_refusal_wins(way: Way) {
    let script = |name: &str, more: &str| scripted(&format!("name {name}\nconnection /\n{more}"));
    let plan = Server::prepare()
        .handler("a.wasm", script("a", "set user from-a"))
        .handler("b.wasm", script("b", "set user from-b\nroute GET /b"));
    let Some(stage) = Stage::set_with(way, plan).await else {
        return;
    };
    let socket = stage.connect("/").await;
    let welcome = socket.wait_event("welcome").await;
    assert_eq!(welcome, json!(["a", "from-b"]), "a later key wins");
    assert_eq!(socket.wait_event("welcome").await, json!(["b", "from-b"]));

    let refusing = |name: &str| {
        let more = format!("refuse {name} says no\nroute GET /{name}");
        script(name, &more)
    };
    stage.server.drop_in("c.wasm", refusing("c"));
    stage.server.wait_for_status("/c", 200).await;
    stage.server.drop_in("d.wasm", refusing("d"));
    stage.server.wait_for_status("/d", 200).await;
    stage.connect("/hitchy").await;
    let refused = stage.connect_with("/", json!({})).await;
    assert_eq!(refused.err().expect("refused").message, "c says no");
    stage.server.remove("c.wasm");
    stage.server.wait_for_status("/c", 404).await;
    let refused = stage.connect_with("/", json!({})).await;
    assert_eq!(refused.err().expect("refused").message, "d says no");
    covers("rust", &[Part::Hooks]);
}

async fn c12_hooks_that_come_with_a_reload_do_not_run_for_who_is_in(way: Way) {
    let Some(stage) = Stage::set(way).await else {
        return;
    };
    let socket = stage.connect("/").await;
    let late = "name late\nconnection /\nrefuse too late\nroute GET /late";
    stage.server.drop_in("late.wasm", scripted(late));
    stage.server.wait_for_status("/late", 200).await;
    let refused = stage.connect_with("/", json!({})).await;
    assert_eq!(refused.err().expect("refused").message, "too late");
    assert_eq!(socket.ask("echo", json!([1])).await, json!([1]));
    assert!(socket.events("welcome").is_empty());
}

async fn c12_a_context_lives_as_long_as_the_connection(way: Way) {
    let Some(stage) = Stage::set(way).await else {
        return;
    };
    let socket = stage.connect("/").await;
    let set = |key: &str, value: &str| json!({ "do": "socket.set", "key": key, "value": value });
    let get = |key: &str| json!({ "do": "socket.get", "key": key });
    let script = async |steps: Value| socket.ask("script", json!([steps])).await[0].clone();
    let mut steps = vec![set("a", "1"), get("a")];
    steps.extend((0..40).map(|number| set(&format!("k{number}"), "v")));
    let results = script(json!(steps)).await;
    assert_eq!(results[1], json!({ "ok": "1" }));
    let results = results.as_array().expect("results");
    let refused = results
        .iter()
        .filter(|result| result["failed"]["code"] == 413);
    assert_eq!(refused.count(), 9, "32 keys");
    let large = script(json!([set("a", &"x".repeat(17 * 1024))])).await;
    assert_eq!(large[0]["failed"]["code"], 413);
    assert_eq!(script(json!([get("a")])).await[0], json!({ "ok": "1" }));
    let other = stage.connect("/").await;
    let theirs = other.ask("script", json!([[get("a")]])).await;
    assert_eq!(theirs[0][0], json!({ "ok": null }));
}

async fn c12_namespaces_of_one_client_have_contexts_of_their_own(way: Way) {
    let Some(stage) = Stage::set(way).await else {
        return;
    };
    let auth = json!({ "auth": { "user": "ann" } });
    let socket = stage.connect_with("/hitchy", auth).await.expect("let in");
    let steps = json!([
        { "do": "request.get", "key": "user" },
        { "do": "request.set", "key": "user", "value": "eve" },
        { "do": "request.get", "key": "user" },
        { "do": "socket.get", "key": "user" },
    ]);
    let request = json!([{ "method": "POST", "url": "/script", "body": steps }]);
    let ack = socket.ask("request", request).await;
    let expected = json!([{ "ok": "ann" }, { "ok": null }, { "ok": "eve" }, { "ok": "ann" }]);
    assert_eq!(ack[0]["body"], expected);
    let again = json!([{ "url": "/context/user" }]);
    let again = socket.ask("request", again).await;
    assert_eq!(again[0]["body"]["value"], "ann", "never written back");
    let http = stage.server.get("/context/user").await.json();
    assert_eq!(http["value"], Value::Null, "HTTP starts with none");
}
