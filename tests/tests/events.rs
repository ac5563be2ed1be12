//! Custom events of clients and their handling: C1 to C6, and the names of events, C10.

use hitchy_tests::clauses::Way;
use hitchy_tests::node::{Socket, binary};
use hitchy_tests::raw::RawClient;
use hitchy_tests::wait::SOON;
use hitchy_tests::{Server, Stage, clauses, expect, guest, official_client, scripted};
use serde_json::{Value, json};

clauses! {
    event_websocket event_polling:
        c01_an_event_is_acked_with_what_its_listener_returns
        c02_the_listener_runs_without_a_callback_and_knows_it
        c03_an_event_without_a_listener_is_ignored_and_its_ack_is_404
        c03_a_star_listens_to_what_has_no_listener_of_its_own
        c03_a_star_hears_what_only_other_files_listen_to
        c03_c04_several_files_listen_and_the_first_in_order_of_names_acks
        c04_a_failure_is_an_ack_with_code_message_id_and_data
        c04_a_failing_listener_does_not_keep_others_from_answering
        c04_whatever_a_guest_does_the_ack_comes
        c04_a_burst_beyond_the_bounds_is_answered_to_the_last
        c05_any_number_of_arguments_both_ways
        c05_binary_anywhere_both_ways
        c05_as_many_attachments_as_a_client_takes_and_no_more
        c05_json_passes_as_text_so_that_numbers_survive
        c05_an_ack_larger_than_what_clients_may_send
        c06_events_of_one_socket_are_handled_in_their_order
        c06_one_event_after_the_other
        c06_the_very_first_events_are_handled_too
        c06_sockets_do_not_wait_for_each_other
        c10_event_names_in_any_script_work_both_ways
        c10_a_name_that_json_must_escape_reaches_its_listener
        c10_a_name_that_json_must_escape_reaches_clients;
}

#[tokio::test]
async fn a_client_that_starts_with_polling_upgrades_to_websocket() {
    let Some(node) = official_client().await else {
        return;
    };
    let server = Server::with("probe.wasm", guest("probe")).await;
    let options = json!({ "transports": ["polling", "websocket"] });
    let socket = node.connect_with(&server, "/", options).await;
    let socket = socket.expect("let in");
    let upgraded = async || socket.transport().await == "websocket";
    hitchy_tests::wait::until("the upgrade", SOON, upgraded).await;
    assert_eq!(socket.ask("echo", json!([1])).await, json!([1]));
}

async fn c01_an_event_is_acked_with_what_its_listener_returns(way: Way) {
    let Some(stage) = Stage::set(way).await else {
        return;
    };
    let socket = stage.connect("/").await;
    let data = json!([{ "some": "data" }]);
    assert_eq!(socket.ask("echo", data.clone()).await, data);
    assert_eq!(socket.transport().await, way.transport());
}

async fn c02_the_listener_runs_without_a_callback_and_knows_it(way: Way) {
    let Some(stage) = Stage::set(way).await else {
        return;
    };
    let socket = stage.connect("/").await;
    socket.emit("ack-wanted", json!([])).await;
    assert_eq!(socket.wait_event("ack-was-wanted").await, json!([false]));
    assert_eq!(socket.ask("ack-wanted", json!([])).await, json!([true]));
}

async fn c03_an_event_without_a_listener_is_ignored_and_its_ack_is_404(way: Way) {
    let Some(stage) = Stage::set(way).await else {
        return;
    };
    let socket = stage.connect("/").await;
    socket.emit("nobody-listens", json!([1])).await;
    expect::failed_ack(&socket.ask("nobody-listens", json!([1])).await, 404);
    assert_eq!(socket.ask("echo", json!([])).await, json!([]));
}

async fn c03_a_star_listens_to_what_has_no_listener_of_its_own(way: Way) {
    let Some(stage) = Stage::set(way).await else {
        return;
    };
    let socket = stage.connect("/star").await;
    assert_eq!(socket.ask("known", json!([])).await, json!(["known"]));
    assert_eq!(
        socket.ask("whatever", json!([1, "b"])).await,
        json!(["star", "whatever", [1, "b"]])
    );
}

async fn c03_a_star_hears_what_only_other_files_listen_to(way: Way) {
    let plan = Server::prepare()
        .handler("named.wasm", scripted("name named\nlistener / known"))
        .handler("star.wasm", scripted("name star\nlistener / *"));
    let Some(stage) = Stage::set_with(way, plan).await else {
        return;
    };
    let socket = stage.connect("/").await;
    let ack = socket.ask("known", json!([])).await;
    assert_eq!(ack, json!(["named", 0, "known"]));
    for hears in ["named", "star"] {
        assert_eq!(socket.wait_event("heard").await, json!([hears, 0, "known"]));
    }
    let ack = socket.ask("other", json!([])).await;
    assert_eq!(ack, json!(["star", 0, "other"]));
}

async fn c03_c04_several_files_listen_and_the_first_in_order_of_names_acks(way: Way) {
    let a = scripted("name a\nlistener / other\nlistener / both");
    let plan = Server::prepare()
        .handler("b.wasm", scripted("name b\nlistener / both"))
        .handler("a.wasm", a);
    let Some(stage) = Stage::set_with(way, plan).await else {
        return;
    };
    let socket = stage.connect("/").await;
    assert_eq!(socket.ask("both", json!([])).await, json!(["a", 1, "both"]));
    assert_eq!(socket.wait_event("heard").await, json!(["a", 1, "both"]));
    let second = socket.wait_event("heard").await;
    assert_eq!(second, json!(["b", 0, "both"]), "all of them run");
}

async fn c04_a_failure_is_an_ack_with_code_message_id_and_data(way: Way) {
    let Some(stage) = Stage::set(way).await else {
        return;
    };
    let socket = stage.connect("/").await;
    let wish = json!([{ "code": 409, "message": "taken already", "data": r#"{"field":"name"}"# }]);
    let error = expect::failed_ack(&socket.ask("fail", wish).await, 409);
    assert_eq!(error["message"], "taken already");
    assert_eq!(error["data"], json!({ "field": "name" }));
    let id = |error: &Value| error["id"].as_str().unwrap_or_default().to_owned();
    assert!(!id(&error).is_empty(), "{error}");
    let error = expect::failed_ack(&socket.ask("panic", json!([])).await, 500);
    stage.server.wait_for_log(&["probe", &id(&error)]).await;
    stage.server.wait_for_log(&["the listener gave up"]).await;
}

/// Sends a burst of events. Over polling, all events may arrive in one POST, and no ack can be fetched while the server reads
/// it.
async fn c04_a_burst_beyond_the_bounds_is_answered_to_the_last(way: Way) {
    let Some(stage) = Stage::set(way).await else {
        return;
    };
    let socket = stage.connect("/").await;
    let calls: Vec<Value> = (0..5000).map(|number| json!(["echo", number])).collect();
    let acks = socket.ask_all(&calls).await;
    assert_eq!(acks.len(), calls.len());
    for ack in &acks {
        if ack["ack"] != json!([ack["index"]]) {
            expect::failed_ack(&ack["ack"], 429);
        }
    }
    assert_eq!(socket.ask("echo", json!(["on"])).await, json!(["on"]));
}

async fn c04_a_failing_listener_does_not_keep_others_from_answering(way: Way) {
    let failing =
        |name: &str, code| scripted(&format!("name {name}\nlistener / call\nfail {code}"));
    let plan = Server::prepare()
        .handler("a.wasm", failing("a", 418))
        .handler("b.wasm", failing("b", 409))
        .handler("c.wasm", scripted("name c\nlistener / call\nroute GET /c"));
    let Some(stage) = Stage::set_with(way, plan).await else {
        return;
    };
    let socket = stage.connect("/").await;
    let ack = socket.ask("call", json!([])).await;
    assert_eq!(ack, json!(["c", 0, "call"]));
    for name in ["a", "b", "c"] {
        let heard = socket.wait_event("heard").await;
        assert_eq!(heard, json!([name, 0, "call"]), "what was emitted stays");
    }
    stage.server.remove("c.wasm");
    stage.server.wait_for_status("/c", 404).await;
    let error = expect::failed_ack(&socket.ask("call", json!([])).await, 418);
    assert_eq!(error["message"], "a gave up", "the first failure");
}

async fn c04_whatever_a_guest_does_the_ack_comes(way: Way) {
    let plan = Server::prepare()
        .handler("faults.wasm", guest("faults"))
        .settings("[limits]\ncpu = \"200ms\"\ndeadline = \"400ms\"");
    let Some(mut stage) = Stage::set_with(way, plan).await else {
        return;
    };
    let socket = stage.connect("/").await;
    for (fault, code) in [
        (json!(["trap"]), 500),
        (json!(["panic"]), 500),
        (json!(["recurse", 1]), 500),
        (json!(["exit"]), 500),
        (json!(["loop"]), 504),
        (json!(["sleep", 20_000]), 504),
        (json!(["ack-no-json"]), 502),
        (json!(["ack-no-array"]), 502),
        (json!(["ack-deep", 129]), 502),
        (json!(["ack-placeholder"]), 502),
        (json!(["ack-attachments", 11]), 502),
        (json!(["ack-large", 5_000_000]), 502),
    ] {
        let ack = socket.ask("fault", fault.clone()).await;
        assert_eq!(ack[0]["error"]["code"], code, "{fault}: {ack}");
        expect::failed_ack(&ack, code);
    }
    assert_eq!(
        socket.ask("fault", json!(["memory", 1])).await,
        json!(["1"])
    );
    stage.server.assert_unharmed();
}

async fn c05_any_number_of_arguments_both_ways(way: Way) {
    let Some(stage) = Stage::set(way).await else {
        return;
    };
    let socket = stage.connect("/").await;
    let many: Vec<Value> = (0..200).map(|number| json!(number)).collect();
    for args in [
        json!([]),
        json!([null]),
        json!([1, "two", [3], { "four": 4 }, true, null, 1.5e300, -0.25]),
        json!(["grüße 🎉 \u{2028} \"quoted\" \\ \n"]),
        json!(many),
    ] {
        assert_eq!(socket.ask("echo", args.clone()).await, args);
        let emit = json!([[{ "do": "socket.emit", "event": "back", "args": args }]]);
        socket.ask("script", emit).await;
        assert_eq!(socket.wait_event("back").await, args);
    }
    let none = socket.ask("none", json!([1])).await;
    assert_eq!(none, json!([]), "no payload is an empty ack");
}

async fn c05_binary_anywhere_both_ways(way: Way) {
    let Some(stage) = Stage::set(way).await else {
        return;
    };
    let socket = stage.connect("/").await;
    let every_byte: Vec<u8> = (0..=255).collect();
    let file = json!({ "file": binary(b"\x00\x01\xff"), "name": "a" });
    for args in [
        json!([binary(&every_byte)]),
        json!([binary(b""), "text", binary(b"two")]),
        json!([{ "list": [1, file], "other": binary(b"") }, binary(b"two")]),
        json!([[[[{ "deep": [binary(b"in it")] }]]]]),
    ] {
        assert_eq!(socket.ask("echo", args.clone()).await, args);
    }
    let emit = json!([[{
        "do": "emit",
        "event": "bytes",
        "json": r#"[{"b":{"_placeholder":true,"num":1}},{"_placeholder":true,"num":0}]"#,
        "attachments": ["zero", "one"],
    }]]);
    assert_eq!(socket.ask("script", emit).await, json!([[{ "ok": null }]]));
    assert_eq!(
        socket.wait_event("bytes").await,
        json!([{ "b": binary(b"one") }, binary(b"zero")])
    );
}

async fn c05_as_many_attachments_as_a_client_takes_and_no_more(way: Way) {
    let Some(stage) = Stage::set(way).await else {
        return;
    };
    let socket = stage.connect("/").await;
    let ten: Vec<Value> = (0..10).map(|number| binary(&[number])).collect();
    assert_eq!(socket.ask("echo", json!(ten)).await, json!(ten));
    let eleven = vec!["x"; 11];
    let placeholders = (0..11).map(|number| json!({ "_placeholder": true, "num": number }));
    let args = placeholders.collect::<Value>().to_string();
    let emit = json!([[{ "do": "emit", "event": "bytes", "json": args, "attachments": eleven }]]);
    let refused = socket.ask("script", emit).await;
    assert_eq!(refused[0][0]["failed"]["code"], 400, "{refused}");
}

async fn c05_json_passes_as_text_so_that_numbers_survive(way: Way) {
    let server = Server::with("probe.wasm", guest("probe")).await;
    let mut client = RawClient::connect(way.transport(), server.addr(), "/").await;
    let args = r#"[9007199254740993,{"b":1.10,"a":1e2},-0.0,123456789012345678901234567890]"#;
    let packet = format!(r#"["echo",{}"#, &args[1..]);
    assert_eq!(client.ask("1", &packet).await.expect("an ack"), args);
}

async fn c05_an_ack_larger_than_what_clients_may_send(way: Way) {
    let plan = Server::prepare().handler("faults.wasm", guest("faults"));
    let Some(stage) = Stage::set_with(way, plan).await else {
        return;
    };
    let socket = stage.connect("/").await;
    let size = 2 << 20;
    let ack = socket.ask("fault", json!(["ack-large", size])).await;
    assert_eq!(ack[0].as_str().map(str::len), Some(size));
    // Later events do not wait for the large ack.
    assert_eq!(
        socket.ask("fault", json!(["memory", 1])).await,
        json!(["1"])
    );
}

async fn c06_events_of_one_socket_are_handled_in_their_order(way: Way) {
    let Some(stage) = Stage::set(way).await else {
        return;
    };
    let socket = stage.connect("/").await;
    let calls: Vec<Value> = (0..200).map(|number| json!(["note", number])).collect();
    let came = socket.ask_all(&calls).await;
    let order: Vec<_> = came.iter().map(|ack| ack["index"].as_u64()).collect();
    assert_eq!(order, (0..200).map(Some).collect::<Vec<_>>());
    let noted = came[199]["ack"][0].as_str().expect("the notes");
    let expected: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    assert_eq!(noted, expected.join(","), "none lost, none twice");
}

async fn c06_one_event_after_the_other(way: Way) {
    let Some(stage) = Stage::set(way).await else {
        return;
    };
    let socket = stage.connect("/").await;
    let calls = [json!(["slow", 300, "first"]), json!(["echo", "second"])];
    let came = socket.ask_all(&calls).await;
    let order: Vec<_> = came.iter().map(|ack| &ack["index"]).collect();
    assert_eq!(order, [0, 1], "the second waits for the first");
}

async fn c06_the_very_first_events_are_handled_too(way: Way) {
    let Some(stage) = Stage::set(way).await else {
        return;
    };
    let greeting: Vec<Value> = (0..10).map(|number| json!(["note", number])).collect();
    for _ in 0..20 {
        let socket = stage.connect_and_greet("/", json!({}), &greeting).await;
        let socket = socket.expect("let in");
        let mut last = Value::Null;
        for _ in 0..10 {
            last = socket.wait_greeting_ack().await;
        }
        assert_eq!(last, json!(["0,1,2,3,4,5,6,7,8,9"]));
    }
}

async fn c06_sockets_do_not_wait_for_each_other(way: Way) {
    let Some(stage) = Stage::set(way).await else {
        return;
    };
    let slow = stage.connect("/").await;
    let quick = stage.connect("/").await;
    slow.emit("slow", json!([1500])).await;
    let (place, ack) = quick.ask_at("echo", json!(["quick"])).await;
    assert_eq!(ack, json!(["quick"]));
    let done = slow.wait_event_at("slow-event-done").await;
    assert!(place < done.place, "the quick one did not wait");
}

async fn c10_event_names_in_any_script_work_both_ways(way: Way) {
    let Some(stage) = Stage::set(way).await else {
        return;
    };
    let socket = stage.connect("/").await;
    assert_eq!(socket.ask("grüße 🎉", json!(["ü"])).await, json!(["ü"]));
    let star = stage.connect("/star").await;
    for name in ["привет 🎈", "日本語", "שלום", "👩‍👩‍👧", "a b", "'", ""]
    {
        let emit = json!([[{ "do": "socket.emit", "event": name, "args": [name] }]]);
        socket.ask("script", emit).await;
        assert_eq!(socket.wait_event(name).await, json!([name]));
        let heard = star.ask(name, json!([1])).await;
        assert_eq!(heard, json!(["star", name, [1]]));
    }
}

/// Event names that JSON must write with an escape.
const ESCAPED: [&str; 4] = ["say \"hi\"", "back\\slash", "two\nlines", "bell\u{7}"];

async fn c10_a_name_that_json_must_escape_reaches_its_listener(way: Way) {
    let Some(mut stage) = Stage::set(way).await else {
        return;
    };
    let socket = stage.connect("/star").await;
    for name in ESCAPED {
        let answer = socket.ask(name, json!([1, "x"])).await;
        assert_eq!(answer, json!(["star", name, [1, "x"]]));
    }
    assert_eq!(disconnects(&socket), 0);
    stage.server.assert_unharmed();
}

async fn c10_a_name_that_json_must_escape_reaches_clients(way: Way) {
    let Some(stage) = Stage::set(way).await else {
        return;
    };
    let socket = stage.connect("/").await;
    for name in ESCAPED {
        let emit = json!([[{ "do": "socket.emit", "event": name, "args": [1] }]]);
        socket.ask("script", emit).await;
        assert_eq!(socket.wait_event(name).await, json!([1]));
    }
    assert_eq!(disconnects(&socket), 0);
}

fn disconnects(socket: &Socket) -> usize {
    let all = socket.happened();
    let ends = all.iter().filter(|it| it.what["what"] == "disconnect");
    ends.count()
}
