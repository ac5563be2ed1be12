//! Custom events and broadcasts, with the official client.

use hitchy_tests::node::{Socket, binary};
use hitchy_tests::raw::{Packet, RawSocket};
use hitchy_tests::{Node, Server, expect, guest, official_client, scripted};
use serde_json::{Value, json};

async fn probed() -> Option<(Server, Node)> {
    let node = official_client().await?;
    Some((Server::with("probe.wasm", guest("probe")).await, node))
}

/// Runs a script of the guest `probe` in the name of this socket.
async fn script(socket: &Socket, steps: Value) -> Value {
    socket.ask("script", json!([steps])).await[0].clone()
}

#[tokio::test]
async fn c01_an_event_is_acked_with_what_its_listener_returns() {
    let Some((server, node)) = probed().await else {
        return;
    };
    for transport in ["websocket", "polling"] {
        let socket = node
            .connect_with(&server, "/", json!({ "transports": [transport] }))
            .await
            .expect("let in");
        assert_eq!(
            socket.ask("echo", json!([{ "some": "data" }])).await,
            json!([{ "some": "data" }])
        );
        assert_eq!(socket.transport().await, transport);
    }
}

#[tokio::test]
async fn a_client_that_starts_with_polling_upgrades_to_websocket() {
    let Some((server, node)) = probed().await else {
        return;
    };
    let socket = node
        .connect_with(
            &server,
            "/",
            json!({ "transports": ["polling", "websocket"] }),
        )
        .await
        .expect("let in");
    let upgraded = async || socket.transport().await == "websocket";
    hitchy_tests::wait::until("the upgrade", hitchy_tests::wait::SOON, upgraded).await;
    assert_eq!(socket.ask("echo", json!([1])).await, json!([1]));
}

#[tokio::test]
async fn c02_the_listener_runs_without_a_callback_and_knows_it() {
    let Some((server, node)) = probed().await else {
        return;
    };
    let socket = node.connect(&server, "/").await;
    socket.emit("ack-wanted", json!([])).await;
    assert_eq!(socket.wait_event("ack-was-wanted").await, json!([false]));
    assert_eq!(socket.ask("ack-wanted", json!([])).await, json!([true]));
}

#[tokio::test]
async fn c03_an_event_without_a_listener_is_ignored_and_its_ack_is_404() {
    let Some((server, node)) = probed().await else {
        return;
    };
    let socket = node.connect(&server, "/").await;
    socket.emit("nobody-listens", json!([1])).await;
    expect::failed_ack(&socket.ask("nobody-listens", json!([1])).await, 404);
    assert_eq!(socket.ask("echo", json!([])).await, json!([]));
}

#[tokio::test]
async fn c03_a_star_listens_to_what_has_no_listener_of_its_own() {
    let Some((server, node)) = probed().await else {
        return;
    };
    let socket = node.connect(&server, "/star").await;
    assert_eq!(socket.ask("known", json!([])).await, json!(["known"]));
    assert_eq!(
        socket.ask("whatever", json!([1, "b"])).await,
        json!(["star", "whatever", [1, "b"]])
    );
}

#[tokio::test]
async fn c04_a_failure_is_an_ack_with_code_message_id_and_data() {
    let Some((server, node)) = probed().await else {
        return;
    };
    let socket = node.connect(&server, "/").await;
    let wish = json!([{ "code": 409, "message": "taken already", "data": r#"{"field":"name"}"# }]);
    let error = expect::failed_ack(&socket.ask("fail", wish).await, 409);
    assert_eq!(error["message"], "taken already");
    assert_eq!(error["data"], json!({ "field": "name" }));
    assert!(
        error["id"].as_str().is_some_and(|id| !id.is_empty()),
        "{error}"
    );
    let error = expect::failed_ack(&socket.ask("panic", json!([])).await, 500);
    server
        .wait_for_log(&["probe", error["id"].as_str().expect("an id")])
        .await;
    server.wait_for_log(&["the listener gave up"]).await;
}

#[tokio::test]
async fn c05_arguments_travel_both_ways_whatever_they_are() {
    let Some((server, node)) = probed().await else {
        return;
    };
    let deep = json!([{ "list": [1, { "file": binary(b"\x00\x01\xff"), "name": "a" }], "other": binary(b"") }, binary(b"two")]);
    for transport in ["websocket", "polling"] {
        let socket = node
            .connect_with(&server, "/", json!({ "transports": [transport] }))
            .await
            .expect("let in");
        for args in [
            json!([]),
            json!([null]),
            json!([1, "two", [3], { "four": 4 }, true, null, 1.5e300, -0.25]),
            json!(["grüße 🎉 \u{2028} \"quoted\" \\ \n"]),
            json!([binary(&(0..=255).collect::<Vec<u8>>())]),
            deep.clone(),
        ] {
            assert_eq!(
                socket.ask("echo", args.clone()).await,
                args,
                "over {transport}"
            );
        }
        assert_eq!(
            socket.ask("none", json!([1])).await,
            json!([]),
            "no payload is an empty ack"
        );
    }
}

#[tokio::test]
async fn c05_json_passes_as_text_so_that_numbers_survive() {
    let server = Server::with("probe.wasm", guest("probe")).await;
    let mut socket = RawSocket::connect(server.addr(), "/")
        .await
        .expect("connected");
    socket
        .send(r#"421["echo",9007199254740993,{"b":1.10,"a":1e2}]"#)
        .await
        .expect("sent");
    let expected = r#"431[9007199254740993,{"b":1.10,"a":1e2}]"#;
    assert_eq!(
        socket.next().await.expect("an ack"),
        Packet::Text(expected.into())
    );
}

#[tokio::test]
async fn b23_a_forged_placeholder_is_an_ordinary_object_both_ways() {
    let server = Server::with("probe.wasm", guest("probe")).await;
    let mut socket = RawSocket::connect(server.addr(), "/")
        .await
        .expect("connected");
    socket
        .send(r#"421["echo",{"_placeholder":true,"num":0}]"#)
        .await
        .expect("sent");
    let expected = r#"431[{"_placeholder":true,"num":0}]"#;
    assert_eq!(
        socket.next().await.expect("an ack"),
        Packet::Text(expected.into())
    );
}

#[tokio::test]
async fn c06_events_of_one_socket_are_handled_in_their_order() {
    let Some((server, node)) = probed().await else {
        return;
    };
    let socket = node.connect(&server, "/").await;
    let calls: Vec<Value> = (0..100).map(|number| json!(["note", number])).collect();
    let came = socket.ask_all(&calls).await;
    let order: Vec<_> = came
        .iter()
        .map(|ack| ack["index"].as_u64().expect("an index"))
        .collect();
    assert_eq!(order, (0..100).collect::<Vec<_>>());
    let noted = came[99]["ack"][0].as_str().expect("the notes");
    let expected: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    assert_eq!(noted, expected.join(","), "one after the other, none lost");
}

#[tokio::test]
async fn c06_the_very_first_events_are_handled_too() {
    let Some((server, node)) = probed().await else {
        return;
    };
    for _ in 0..20 {
        let greeting: Vec<Value> = (0..10).map(|number| json!(["note", number])).collect();
        let socket = node
            .connect_and_greet(&server, "/", json!({}), &greeting)
            .await
            .expect("let in");
        let mut last = Value::Null;
        for _ in 0..10 {
            last = socket.wait_greeting_ack().await;
        }
        assert_eq!(last, json!(["0,1,2,3,4,5,6,7,8,9"]));
    }
}

#[tokio::test]
async fn c06_sockets_do_not_wait_for_each_other() {
    let Some((server, node)) = probed().await else {
        return;
    };
    let slow = node.connect(&server, "/").await;
    let quick = node.connect(&server, "/").await;
    slow.emit("slow", json!([1500])).await;
    let (place, ack) = quick.ask_at("echo", json!(["quick"])).await;
    assert_eq!(ack, json!(["quick"]));
    assert!(
        place < slow.wait_event_at("slow-event-done").await.place,
        "the quick one did not wait"
    );
}

#[tokio::test]
async fn c07_emit_reaches_every_socket_of_the_root_namespace_and_nobody_in_hitchy() {
    let Some((server, node)) = probed().await else {
        return;
    };
    let sender = node.connect(&server, "/").await;
    let other = node
        .connect_with(&server, "/", json!({ "transports": ["polling"] }))
        .await
        .expect("let in");
    let chat = node.connect(&server, "/chat").await;
    let hitchy = node.connect(&server, "/hitchy").await;
    let result = script(
        &sender,
        json!([{ "do": "emit", "event": "some-update", "args": [{ "n": 1 }, 2] }]),
    )
    .await;
    assert_eq!(result, json!([{ "ok": null }]));
    assert_eq!(
        sender.wait_event("some-update").await,
        json!([{ "n": 1 }, 2]),
        "the sender too"
    );
    assert_eq!(
        other.wait_event("some-update").await,
        json!([{ "n": 1 }, 2])
    );
    // What these two answer comes after anything that was emitted to them before.
    chat.ask("say", json!(["x"])).await;
    hitchy.ask("request", json!([{ "url": "/hello/x" }])).await;
    assert!(chat.events("some-update").is_empty() && hitchy.events("some-update").is_empty());
}

#[tokio::test]
async fn c08_emit_works_from_every_door_and_before_the_ack() {
    let Some((server, node)) = probed().await else {
        return;
    };
    let socket = node.connect(&server, "/").await;
    let hitchy = node.connect(&server, "/hitchy").await;
    let emit = |name: &str| json!([{ "do": "emit", "event": "from", "args": [name] }]);
    server.script(&emit("http")).await;
    assert_eq!(socket.wait_event("from").await, json!(["http"]));
    hitchy
        .ask(
            "request",
            json!([{ "method": "POST", "url": "/script", "body": emit("request") }]),
        )
        .await;
    assert_eq!(socket.wait_event("from").await, json!(["request"]));
    let (acked, _) = socket.ask_at("script", json!([emit("event")])).await;
    let emitted = socket.wait_event_at("from").await;
    assert_eq!(emitted.what["args"], json!(["event"]));
    assert!(
        emitted.place < acked,
        "what is emitted before the listener returns arrives before its ack"
    );
    let _newcomer = node
        .connect_with(
            &server,
            "/",
            json!({ "auth": { "announce": true, "user": "zoe" } }),
        )
        .await
        .expect("in");
    assert_eq!(
        socket.wait_event("joined").await,
        json!(["zoe"]),
        "from on-connected"
    );
}

#[tokio::test]
async fn c09_reserved_names_and_namespaces_are_refused_to_the_guest() {
    let server = Server::with("probe.wasm", guest("probe")).await;
    for name in [
        "connect",
        "connect_error",
        "disconnect",
        "disconnecting",
        "newListener",
        "removeListener",
    ] {
        let results = server
            .script(&json!([{ "do": "emit", "event": name, "args": [] }]))
            .await;
        assert_eq!(results[0]["failed"]["code"], 400, "{name}: {results}");
    }
    let results = server
        .script(&json!([{ "do": "emit-to", "namespace": "/hitchy", "event": "x", "args": [] }]))
        .await;
    assert_eq!(results[0]["failed"]["code"], 403, "{results}");
}

#[tokio::test]
async fn c10_event_names_in_any_script_work_both_ways() {
    let Some((server, node)) = probed().await else {
        return;
    };
    let socket = node.connect(&server, "/").await;
    assert_eq!(socket.ask("grüße 🎉", json!(["ü"])).await, json!(["ü"]));
    script(
        &socket,
        json!([{ "do": "emit", "event": "привет 🎈", "args": [1] }]),
    )
    .await;
    assert_eq!(socket.wait_event("привет 🎈").await, json!([1]));
}

#[tokio::test]
async fn c05_emits_carry_bytes_anywhere() {
    let Some((server, node)) = probed().await else {
        return;
    };
    let socket = node.connect(&server, "/").await;
    let emit = json!([{
        "do": "emit",
        "event": "bytes",
        "json": r#"[{"b":{"_placeholder":true,"num":1}},{"_placeholder":true,"num":0}]"#,
        "attachments": ["zero", "one"],
    }]);
    assert_eq!(script(&socket, emit).await, json!([{ "ok": null }]));
    assert_eq!(
        socket.wait_event("bytes").await,
        json!([{ "b": binary(b"one") }, binary(b"zero")])
    );
}

#[tokio::test]
async fn several_files_listen_to_one_event_and_the_first_in_order_of_names_acks() {
    let Some(node) = official_client().await else {
        return;
    };
    let server = Server::prepare()
        .handler("b.wasm", scripted("name b\nlistener / both"))
        .handler(
            "a.wasm",
            scripted("name a\nlistener / other\nlistener / both"),
        )
        .start()
        .await;
    let socket = node.connect(&server, "/").await;
    assert_eq!(socket.ask("both", json!([])).await, json!(["a", 1, "both"]));
    assert_eq!(socket.wait_event("heard").await, json!(["a", 1, "both"]));
    assert_eq!(
        socket.wait_event("heard").await,
        json!(["b", 0, "both"]),
        "all of them run"
    );
}

#[tokio::test]
async fn c13_the_server_asks_a_client_and_waits() {
    let Some((server, node)) = probed().await else {
        return;
    };
    let asked = node.connect(&server, "/").await;
    let silent = node.connect(&server, "/").await;
    asked
        .answer("question", json!(["answer", { "bytes": binary(b"b") }]))
        .await;
    let of = json!({ "namespace": "/", "id": asked.id() });
    let results = server.script(&json!([{ "do": "socket.emit-with-ack", "of": of, "event": "question", "args": ["?"] }])).await;
    let got = &results[0]["ok"];
    assert_eq!(
        got["args"],
        json!(["answer", { "bytes": { "_placeholder": true, "num": 0 } }])
    );
    assert_eq!(got["attachments"], json!(["b"]));
    assert_eq!(asked.wait_event("question").await, json!(["?"]));

    let of = json!({ "namespace": "/", "id": silent.id() });
    let step = json!([{ "do": "socket.emit-with-ack", "of": of, "event": "question", "args": [], "timeout": 200 }]);
    assert_eq!(server.script(&step).await[0]["failed"]["code"], 504);

    let results = server.script(&json!([{ "do": "emit-to-with-ack", "event": "question", "args": ["all"], "timeout": 300 }])).await;
    let acks = results[0]["ok"]
        .as_array()
        .expect("one entry for each socket")
        .clone();
    let of = |id: &str| {
        acks.iter()
            .find(|entry| entry[0] == id)
            .map(|entry| entry[1].clone())
            .unwrap_or_default()
    };
    assert_eq!(acks.len(), 2);
    assert_eq!(of(asked.id())["ok"]["args"][0], "answer");
    assert_eq!(of(silent.id())["failed"]["code"], 504);
}

#[tokio::test]
async fn c13_a_listener_asks_its_own_client_before_it_acks() {
    let Some((server, node)) = probed().await else {
        return;
    };
    let socket = node.connect(&server, "/").await;
    socket.answer("sure?", json!(["yes"])).await;
    let result = script(
        &socket,
        json!([{ "do": "socket.emit-with-ack", "event": "sure?", "args": [] }]),
    )
    .await;
    assert_eq!(result[0]["ok"]["args"], json!(["yes"]));
}

#[tokio::test]
async fn c11_rooms_choose_whom_an_emit_reaches() {
    let Some((server, node)) = probed().await else {
        return;
    };
    let ann = node.connect(&server, "/").await;
    let bob = node.connect(&server, "/").await;
    let cyd = node.connect(&server, "/").await;
    script(
        &ann,
        json!([{ "do": "socket.join", "rooms": ["red", "blue"] }]),
    )
    .await;
    script(&bob, json!([{ "do": "socket.join", "rooms": ["red"] }])).await;
    let rooms = script(&ann, json!([{ "do": "socket.rooms" }])).await;
    let mut rooms: Vec<_> = rooms[0]["ok"]
        .as_array()
        .expect("rooms")
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_string)
        .collect();
    rooms.sort_unstable();
    let mut expected = vec![ann.id().to_string(), "blue".into(), "red".into()];
    expected.sort_unstable();
    assert_eq!(rooms, expected, "its own id among them");

    server
        .script(&json!([
            { "do": "emit-to", "rooms": ["red"], "event": "to", "args": ["red"] },
            { "do": "emit-to", "rooms": ["red"], "excluding": ["blue"], "event": "to", "args": ["red, not blue"] },
            { "do": "emit-to", "rooms": [cyd.id()], "event": "to", "args": ["one"] },
            { "do": "emit-to", "excluding": [bob.id()], "event": "to", "args": ["all but bob"] },
            { "do": "emit", "event": "end", "args": [] },
        ]))
        .await;
    for socket in [&ann, &bob, &cyd] {
        socket.wait_event("end").await;
    }
    assert_eq!(ann.events("to"), [json!(["red"]), json!(["all but bob"])]);
    assert_eq!(bob.events("to"), [json!(["red"]), json!(["red, not blue"])]);
    assert_eq!(cyd.events("to"), [json!(["one"]), json!(["all but bob"])]);

    script(&ann, json!([{ "do": "socket.leave", "rooms": ["red"] }])).await;
    let listed = server
        .script(&json!([{ "do": "list-ids", "rooms": ["red"] }]))
        .await;
    assert_eq!(listed[0]["ok"], json!([bob.id()]));
}

#[tokio::test]
async fn c11_audiences_join_leave_and_are_listed() {
    let Some((server, node)) = probed().await else {
        return;
    };
    let ann = node.connect(&server, "/").await;
    let bob = node.connect(&server, "/").await;
    let results = server
        .script(&json!([
            { "do": "join", "rooms": [ann.id()], "join": ["vip"] },
            { "do": "list-ids", "rooms": ["vip"] },
            { "do": "leave", "rooms": ["vip"], "leave": ["vip"] },
            { "do": "list-ids", "rooms": ["vip"] },
            { "do": "list-ids" },
            { "do": "find", "namespace": "/", "id": bob.id() },
            { "do": "find", "namespace": "/", "id": "nobody" },
            { "do": "find", "namespace": "/chat", "id": bob.id() },
        ]))
        .await;
    assert_eq!(results[1]["ok"], json!([ann.id()]));
    assert_eq!(results[3]["ok"], json!([]));
    let mut all = results[4]["ok"].as_array().expect("ids").clone();
    let mut expected = vec![json!(ann.id()), json!(bob.id())];
    for ids in [&mut all, &mut expected] {
        ids.sort_unstable_by_key(ToString::to_string);
    }
    assert_eq!(all, expected);
    assert_eq!(results[5]["ok"], bob.id());
    assert_eq!(
        (results[6]["ok"].clone(), results[7]["ok"].clone()),
        (Value::Null, Value::Null)
    );
}

#[tokio::test]
async fn an_emit_to_one_socket_reaches_only_it() {
    let Some((server, node)) = probed().await else {
        return;
    };
    let ann = node.connect(&server, "/").await;
    let bob = node.connect(&server, "/").await;
    script(&ann, json!([{ "do": "socket.emit", "event": "mine", "args": [1] }, { "do": "emit", "event": "end", "args": [] }])).await;
    ann.wait_event("end").await;
    bob.wait_event("end").await;
    assert_eq!((ann.events("mine").len(), bob.events("mine").len()), (1, 0));
    // A socket that is gone answers so.
    let id = bob.id().to_string();
    bob.disconnect().await;
    let gone = async || {
        server
            .script(&json!([{ "do": "find", "namespace": "/", "id": id }]))
            .await[0]["ok"]
            .is_null()
    };
    hitchy_tests::wait::until("bob is gone", hitchy_tests::wait::SOON, gone).await;
}

#[tokio::test]
async fn namespaces_are_apart() {
    let Some((server, node)) = probed().await else {
        return;
    };
    let ann = node.connect(&server, "/chat").await;
    let bob = node.connect(&server, "/chat").await;
    let root = node.connect(&server, "/").await;
    assert_eq!(ann.ask("say", json!(["hello"])).await, json!(["sent"]));
    assert_eq!(bob.wait_event("said").await, json!(["hello"]));
    server
        .script(&json!([{ "do": "emit-to", "namespace": "/chat", "event": "end", "args": [] }]))
        .await;
    ann.wait_event("end").await;
    assert!(ann.events("said").is_empty() && root.events("said").is_empty());
    expect::failed_ack(&root.ask("say", json!([])).await, 404);
}

#[tokio::test]
async fn sandbox_a_guest_reaches_no_files_no_network_and_no_environment() {
    let server = Server::prepare()
        .handler("probe.wasm", guest("probe"))
        .env("SECRET", "s")
        .start()
        .await;
    let results = server
        .script(&json!([
            { "do": "read-file", "path": "/etc/hostname" },
            { "do": "open-connection", "addr": server.addr().to_string() },
            { "do": "environment" },
        ]))
        .await;
    assert_eq!(results[0]["failed"]["code"], 403, "{results}");
    assert_eq!(results[1]["failed"]["code"], 403, "{results}");
    assert_eq!(results[2]["ok"], json!([]), "{results}");
}
