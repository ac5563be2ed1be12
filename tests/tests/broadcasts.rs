//! Emits and questions from handlers to clients: C7, C8, C9, C11 and C13.

use hitchy_tests::clauses::Way;
use hitchy_tests::node::{Socket, binary};
use hitchy_tests::stage::Caller;
use hitchy_tests::wait::{SOON, until};
use hitchy_tests::{Server, Stage, clauses, expect, guest};
use serde_json::{Value, json};

clauses! {
    http request_websocket request_polling event_websocket event_polling:
        c07_emit_reaches_every_socket_of_the_root_namespace_and_nobody_in_hitchy
        c08_emit_works_from_every_door
        c09_reserved_names_are_refused_to_the_guest
        c09_nothing_can_be_sent_to_hitchy
        c13_a_client_is_asked_through_every_door;
    event_websocket event_polling:
        c08_what_is_emitted_before_a_listener_returns_arrives_before_its_ack
        c08_emit_works_from_on_connected
        c11_rooms_choose_whom_an_emit_reaches
        c11_audiences_join_leave_and_are_listed
        c11_an_emit_to_one_socket_reaches_only_it
        c11_namespaces_are_apart
        c11_a_socket_is_found_by_its_id_while_it_is_there
        c13_the_server_asks_one_client_and_waits
        c13_the_server_asks_many_clients_and_waits_for_the_slowest
        c13_a_listener_asks_its_own_client_before_it_acks
        c13_a_client_that_goes_while_it_is_asked_is_not_waited_for;
}

async fn c07_emit_reaches_every_socket_of_the_root_namespace_and_nobody_in_hitchy(way: Way) {
    let Some(stage) = Stage::set(way).await else {
        return;
    };
    let caller = stage.caller().await;
    let one = stage.connect("/").await;
    let other = stage.connect("/").await;
    let chat = stage.connect("/chat").await;
    let hitchy = stage.connect("/hitchy").await;
    let emit = json!([{ "do": "emit", "event": "some-update", "args": [{ "n": 1 }, 2] }]);
    assert_eq!(caller.script(emit).await, json!([{ "ok": null }]));
    let reached = [&one, &other].into_iter().chain(sender_in_root(&caller));
    for socket in reached {
        let update = socket.wait_event("some-update").await;
        assert_eq!(update, json!([{ "n": 1 }, 2]));
    }
    // Both answers arrive after any event that was emitted to these sockets before.
    chat.ask("say", json!(["x"])).await;
    hitchy.ask("request", json!([{ "url": "/hello/x" }])).await;
    assert!(chat.events("some-update").is_empty() && hitchy.events("some-update").is_empty());
}

/// Returns the socket of the calling client, if it is in `/` itself.
fn sender_in_root<'a>(caller: &'a Caller) -> Option<&'a Socket> {
    let socket = caller.socket.as_ref();
    socket.filter(|_| matches!(caller.way(), Way::EventWebsocket | Way::EventPolling))
}

async fn c08_emit_works_from_every_door(way: Way) {
    let Some(stage) = Stage::set(way).await else {
        return;
    };
    let caller = stage.caller().await;
    let watcher = stage.connect("/").await;
    let emits: Vec<Value> = (0..20)
        .map(|number| json!({ "do": "emit", "event": "from", "args": [number] }))
        .collect();
    caller.script(json!(emits)).await;
    for number in 0..20 {
        let came = watcher.wait_event("from").await;
        assert_eq!(came, json!([number]), "in the order of the emits");
    }
}

async fn c08_what_is_emitted_before_a_listener_returns_arrives_before_its_ack(way: Way) {
    let Some(stage) = Stage::set(way).await else {
        return;
    };
    let caller = stage.caller().await;
    let socket = caller.socket.as_ref().expect("an event has a socket");
    for number in 0..20 {
        let emits = json!([
            { "do": "emit", "event": "to-all", "args": [number] },
            { "do": "socket.emit", "event": "to-it", "args": [number] },
        ]);
        let (acked, _) = caller.script_at(emits).await;
        for event in ["to-all", "to-it"] {
            let emitted = socket.wait_event_at(event).await;
            assert_eq!(emitted.what["args"], json!([number]));
            assert!(emitted.place < acked, "{event} {number}");
        }
    }
}

async fn c08_emit_works_from_on_connected(way: Way) {
    let Some(stage) = Stage::set(way).await else {
        return;
    };
    let watcher = stage.connect("/").await;
    let auth = json!({ "announce": true, "user": "zoe", "greet": "hello" });
    let newcomer = stage.connect_as(auth).await;
    assert_eq!(watcher.wait_event("joined").await, json!(["zoe"]));
    assert_eq!(newcomer.wait_event("joined").await, json!(["zoe"]));
    assert_eq!(newcomer.wait_event("greeting").await, json!(["hello"]));
}

async fn c09_reserved_names_are_refused_to_the_guest(way: Way) {
    let Some(mut stage) = Stage::set(way).await else {
        return;
    };
    let watcher = stage.connect("/").await;
    let of = json!({ "namespace": "/", "id": watcher.id() });
    let caller = stage.caller().await;
    for name in [
        "connect",
        "connect_error",
        "disconnect",
        "disconnecting",
        "newListener",
        "removeListener",
    ] {
        let results = caller
            .script(json!([
                { "do": "emit", "event": name, "args": [] },
                { "do": "emit-to", "rooms": [watcher.id()], "event": name, "args": [] },
                { "do": "emit-to-with-ack", "event": name, "args": [] },
                { "do": "socket.emit", "of": of, "event": name, "args": [] },
                { "do": "socket.emit-with-ack", "of": of, "event": name, "args": [] },
            ]))
            .await;
        for result in results.as_array().expect("results") {
            assert_eq!(result["failed"]["code"], 400, "{name}: {results}");
            let message = result["failed"]["message"].as_str().unwrap_or_default();
            assert!(message.contains(name), "{message}");
        }
    }
    assert_eq!(watcher.ask("echo", json!([])).await, json!([]));
    drop(caller);
    stage.server.assert_unharmed();
}

async fn c09_nothing_can_be_sent_to_hitchy(way: Way) {
    let Some(stage) = Stage::set(way).await else {
        return;
    };
    let hitchy = stage.connect("/hitchy").await;
    let of = json!({ "namespace": "/hitchy", "id": hitchy.id() });
    let steps = json!([
        { "do": "emit-to", "namespace": "/hitchy", "event": "x", "args": [] },
        { "do": "emit-to-with-ack", "namespace": "/hitchy", "event": "x", "args": [] },
        { "do": "socket.emit", "of": of, "event": "x", "args": [] },
    ]);
    let results = stage.caller().await.script(steps).await;
    for result in results.as_array().expect("results") {
        assert_eq!(result["failed"]["code"], 403, "{results}");
    }
    hitchy.ask("request", json!([{ "url": "/hello/x" }])).await;
    assert!(hitchy.events("x").is_empty());
}

async fn c11_rooms_choose_whom_an_emit_reaches(way: Way) {
    let Some(stage) = Stage::set(way).await else {
        return;
    };
    let (ann, bob, cyd) = three(&stage).await;
    script(
        &ann,
        json!([{ "do": "socket.join", "rooms": ["red", "blue"] }]),
    )
    .await;
    script(&bob, json!([{ "do": "socket.join", "rooms": ["red"] }])).await;
    let rooms = script(&ann, json!([{ "do": "socket.rooms" }])).await;
    let expected = json!([ann.id(), "blue", "red"]);
    assert_eq!(
        sorted(&rooms[0]["ok"]),
        sorted(&expected),
        "its own id among them"
    );

    let steps = json!([
        { "do": "emit-to", "rooms": ["red"], "event": "to", "args": ["red"] },
        { "do": "emit-to", "rooms": ["red", "blue"], "event": "to", "args": ["either, once"] },
        { "do": "emit-to", "rooms": ["red"], "excluding": ["blue"], "event": "to", "args": ["red, not blue"] },
        { "do": "emit-to", "rooms": [cyd.id()], "event": "to", "args": ["one"] },
        { "do": "emit-to", "excluding": [bob.id()], "event": "to", "args": ["all but bob"] },
        { "do": "emit-to", "rooms": ["nobody's"], "event": "to", "args": ["nobody"] },
        { "do": "emit", "event": "end", "args": [] },
    ]);
    stage.server.script(&steps).await;
    for socket in [&ann, &bob, &cyd] {
        socket.wait_event("end").await;
    }
    let (red, either) = (json!(["red"]), json!(["either, once"]));
    let (one, all) = (json!(["one"]), json!(["all but bob"]));
    assert_eq!(ann.events("to"), [red.clone(), either.clone(), all.clone()]);
    assert_eq!(bob.events("to"), [red, either, json!(["red, not blue"])]);
    assert_eq!(cyd.events("to"), [one, all]);

    script(&ann, json!([{ "do": "socket.leave", "rooms": ["red"] }])).await;
    let list = json!([{ "do": "list-ids", "rooms": ["red"] }]);
    let listed = stage.server.script(&list).await;
    assert_eq!(listed[0]["ok"], json!([bob.id()]));
}

async fn c11_audiences_join_leave_and_are_listed(way: Way) {
    let Some(stage) = Stage::set(way).await else {
        return;
    };
    let (ann, bob, cyd) = three(&stage).await;
    let results = stage
        .server
        .script(&json!([
            { "do": "join", "rooms": [ann.id(), bob.id()], "join": ["vip", "all"] },
            { "do": "list-ids", "rooms": ["vip"] },
            { "do": "leave", "rooms": ["vip"], "excluding": [bob.id()], "leave": ["vip"] },
            { "do": "list-ids", "rooms": ["vip"] },
            { "do": "list-ids" },
            { "do": "list-ids", "excluding": ["all"] },
            { "do": "list-ids", "namespace": "/chat" },
        ]))
        .await;
    assert_eq!(
        sorted(&results[1]["ok"]),
        sorted(&json!([ann.id(), bob.id()]))
    );
    assert_eq!(results[3]["ok"], json!([bob.id()]));
    let all = json!([ann.id(), bob.id(), cyd.id()]);
    assert_eq!(sorted(&results[4]["ok"]), sorted(&all));
    assert_eq!(results[5]["ok"], json!([cyd.id()]));
    assert_eq!(results[6]["ok"], json!([]));
}

async fn c11_an_emit_to_one_socket_reaches_only_it(way: Way) {
    let Some(stage) = Stage::set(way).await else {
        return;
    };
    let (ann, bob, cyd) = three(&stage).await;
    let of = json!({ "namespace": "/", "id": bob.id() });
    let steps = json!([
        { "do": "socket.emit", "event": "mine", "args": ["ann"] },
        { "do": "socket.emit", "of": of, "event": "mine", "args": ["bob"] },
        { "do": "emit", "event": "end", "args": [] },
    ]);
    script(&ann, steps).await;
    for socket in [&ann, &bob, &cyd] {
        socket.wait_event("end").await;
    }
    assert_eq!(ann.events("mine"), [json!(["ann"])]);
    assert_eq!(bob.events("mine"), [json!(["bob"])]);
    assert!(cyd.events("mine").is_empty());
}

async fn c11_namespaces_are_apart(way: Way) {
    let Some(stage) = Stage::set(way).await else {
        return;
    };
    let ann = stage.connect("/chat").await;
    let bob = stage.connect("/chat").await;
    let root = stage.connect("/").await;
    assert_eq!(ann.ask("say", json!(["hello"])).await, json!(["sent"]));
    assert_eq!(bob.wait_event("said").await, json!(["hello"]));
    let end = json!([{ "do": "emit-to", "namespace": "/chat", "event": "end", "args": [] }]);
    stage.server.script(&end).await;
    ann.wait_event("end").await;
    assert!(ann.events("said").is_empty(), "the sender is excluded");
    expect::failed_ack(&root.ask("say", json!([])).await, 404);
    assert!(root.events("said").is_empty() && root.events("end").is_empty());
}

async fn c11_a_socket_is_found_by_its_id_while_it_is_there(way: Way) {
    let Some(stage) = Stage::set(way).await else {
        return;
    };
    let bob = stage.connect("/").await;
    let find =
        |namespace: &str, id: &str| json!([{ "do": "find", "namespace": namespace, "id": id }]);
    let found = async |namespace: &str, id: &str| {
        stage.server.script(&find(namespace, id)).await[0]["ok"].clone()
    };
    assert_eq!(found("/", bob.id()).await, bob.id());
    assert_eq!(found("/", "nobody").await, Value::Null);
    assert_eq!(found("/chat", bob.id()).await, Value::Null);
    bob.disconnect().await;
    let gone = async || found("/", bob.id()).await.is_null();
    until("bob is gone", SOON, gone).await;
    let emit = json!([{ "do": "list-ids" }]);
    assert_eq!(stage.server.script(&emit).await, json!([{ "ok": [] }]));
}

async fn c13_a_client_is_asked_through_every_door(way: Way) {
    let Some(stage) = Stage::set(way).await else {
        return;
    };
    let asked = stage.connect("/").await;
    asked.answer("question", json!(["answer", 2])).await;
    let of = json!({ "namespace": "/", "id": asked.id() });
    let ask =
        json!([{ "do": "socket.emit-with-ack", "of": of, "event": "question", "args": ["?"] }]);
    let results = stage.caller().await.script(ask).await;
    assert_eq!(results[0]["ok"]["args"], json!(["answer", 2]), "{results}");
    assert_eq!(asked.wait_event("question").await, json!(["?"]));
}

async fn c13_the_server_asks_one_client_and_waits(way: Way) {
    let Some(stage) = Stage::set(way).await else {
        return;
    };
    let asked = stage.connect("/").await;
    let silent = stage.connect("/").await;
    let ask = async |socket: &Socket, args: Value, timeout: u32| {
        let of = json!({ "namespace": "/", "id": socket.id() });
        let step = json!({ "do": "socket.emit-with-ack", "of": of, "event": "question", "args": args, "timeout": timeout });
        stage.server.script(&json!([step])).await[0].clone()
    };
    for (args, attachments) in [
        (json!([]), json!([])),
        (json!([null, "two", { "three": 3 }]), json!([])),
    ] {
        asked.answer("question", args.clone()).await;
        let got = ask(&asked, json!(["?"]), 5000).await["ok"].clone();
        assert_eq!((&got["args"], &got["attachments"]), (&args, &attachments));
        assert_eq!(asked.wait_event("question").await, json!(["?"]));
    }
    asked
        .answer("question", json!(["answer", { "bytes": binary(b"b") }]))
        .await;
    let got = ask(&asked, json!(["?"]), 5000).await["ok"].clone();
    let placeholder = json!({ "_placeholder": true, "num": 0 });
    assert_eq!(got["args"], json!(["answer", { "bytes": placeholder }]));
    assert_eq!(got["attachments"], json!(["b"]));

    let late = ask(&silent, json!([]), 200).await;
    assert_eq!(late["failed"]["code"], 504, "{late}");
    let id = silent.id().to_owned();
    silent.disconnect().await;
    let ids = async || stage.server.script(&json!([{ "do": "list-ids" }])).await[0]["ok"].clone();
    until("it is gone", SOON, async || {
        !ids().await.to_string().contains(&id)
    })
    .await;
    let gone = ask(&silent, json!([]), 200).await;
    assert_eq!(
        gone["failed"]["code"], 404,
        "the probe did not find it: {gone}"
    );
}

async fn c13_the_server_asks_many_clients_and_waits_for_the_slowest(way: Way) {
    let Some(stage) = Stage::set(way).await else {
        return;
    };
    let (ann, bob, silent) = three(&stage).await;
    ann.answer("question", json!(["ann"])).await;
    bob.answer("question", json!([binary(b"bob")])).await;
    let ask = |rooms: Value, timeout: u32| json!([{ "do": "emit-to-with-ack", "rooms": rooms, "event": "question", "args": ["all"], "timeout": timeout }]);
    let results = stage.server.script(&ask(json!([]), 500)).await;
    let acks = results[0]["ok"].as_array().expect("one for each").clone();
    let of = |socket: &Socket| {
        let entry = acks.iter().find(|entry| entry[0] == socket.id());
        entry.map(|entry| entry[1].clone()).unwrap_or_default()
    };
    assert_eq!(acks.len(), 3);
    assert_eq!(of(&ann)["ok"]["args"], json!(["ann"]));
    assert_eq!(of(&bob)["ok"]["attachments"], json!(["bob"]));
    assert_eq!(of(&silent)["failed"]["code"], 504);

    let some = ask(json!([ann.id(), bob.id()]), 5000);
    let results = stage.server.script(&some).await;
    assert_eq!(results[0]["ok"].as_array().map(Vec::len), Some(2));
    assert_eq!(silent.events("question").len(), 1, "once, not twice");
    let nobody = stage.server.script(&ask(json!(["nobody's"]), 5000)).await;
    assert_eq!(nobody[0]["ok"], json!([]), "nobody is not waited for");
}

async fn c13_a_listener_asks_its_own_client_before_it_acks(way: Way) {
    let Some(stage) = Stage::set(way).await else {
        return;
    };
    let socket = stage.connect("/").await;
    socket.answer("sure?", json!(["yes"])).await;
    let ask = json!([{ "do": "socket.emit-with-ack", "event": "sure?", "args": [] }]);
    let result = script(&socket, ask).await;
    assert_eq!(result[0]["ok"]["args"], json!(["yes"]));
}

async fn c13_a_client_that_goes_while_it_is_asked_is_not_waited_for(way: Way) {
    let Some(stage) = Stage::set(way).await else {
        return;
    };
    let leaver = stage.connect("/").await;
    let of = json!({ "namespace": "/", "id": leaver.id() });
    let ask = json!([{ "do": "socket.emit-with-ack", "of": of, "event": "question", "args": [], "timeout": 9000 }]);
    let leave = async {
        leaver.wait_event("question").await;
        leaver.disconnect().await;
    };
    let start = std::time::Instant::now();
    let (results, ()) = tokio::join!(stage.server.script(&ask), leave);
    assert_eq!(results[0]["failed"]["code"], 410, "{results}");
    assert!(start.elapsed().as_secs() < 8, "{:?}", start.elapsed());
}

/// Runs a script of the guest `probe` as this socket's listener.
async fn script(socket: &Socket, steps: Value) -> Value {
    socket.ask("script", json!([steps])).await[0].clone()
}

async fn three(stage: &Stage) -> (Socket, Socket, Socket) {
    let (one, two) = (stage.connect("/").await, stage.connect("/").await);
    (one, two, stage.connect("/").await)
}

fn sorted(list: &Value) -> Vec<String> {
    let mut texts: Vec<_> = list
        .as_array()
        .expect("a list")
        .iter()
        .map(Value::to_string)
        .collect();
    texts.sort_unstable();
    texts
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
