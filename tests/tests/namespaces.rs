//! Namespaces appear and disappear with the handlers that declare them (A4 and A5), and misbehaving connection hooks do
//! not harm them.

use hitchy_tests::clauses::Way;
use hitchy_tests::commands::{folder, hitchy, out};
use hitchy_tests::{Server, Stage, clauses, scripted};
use serde_json::json;

clauses! {
    event_websocket event_polling:
        a05_a_namespace_that_nobody_declared_is_invalid
        a05_a_namespace_comes_and_goes_with_its_handler_and_its_sockets_stay
        a04_listeners_in_hitchy_are_refused_at_load_and_hooks_are_allowed
        c12_a_failure_that_nobody_waits_for_goes_to_the_log_and_harms_nothing
        c06_r15_events_of_a_client_that_went_away_still_run_and_then_its_hook;
}

async fn a05_a_namespace_that_nobody_declared_is_invalid(way: Way) {
    let Some(stage) = Stage::set(way).await else {
        return;
    };
    for namespace in ["/nobody", "/chat/below", "/Chat", "/hitchy/below"] {
        let refused = stage.connect_with(namespace, json!({})).await;
        let message = refused.err().expect("refused").message;
        assert_eq!(message, "Invalid namespace", "{namespace}");
    }
}

async fn a05_a_namespace_comes_and_goes_with_its_handler_and_its_sockets_stay(way: Way) {
    let Some(stage) = Stage::set_with(way, Server::prepare()).await else {
        return;
    };
    let root = stage.connect("/").await;
    let invalid = async || {
        let refused = stage.connect_with("/late", json!({})).await;
        assert_eq!(refused.err().expect("refused").message, "Invalid namespace");
    };
    invalid().await;
    let late = |name: &str| {
        scripted(&format!(
            "name {name}\nlistener /late call\nroute GET /late"
        ))
    };
    stage.server.drop_in("late.wasm", late("late"));
    stage.server.wait_for_status("/late", 200).await;
    let socket = stage.connect("/late").await;
    let ack = socket.ask("call", json!([])).await;
    assert_eq!(ack, json!(["late", 0, "call"]));

    stage.server.remove("late.wasm");
    stage.server.wait_for_status("/late", 404).await;
    invalid().await;
    let ack = socket.ask("call", json!([])).await;
    assert_eq!(ack[0]["error"]["code"], 404, "its socket stays");

    stage.server.drop_in("late.wasm", late("again"));
    stage.server.wait_for_body("/late", "again").await;
    let newcomer = stage.connect("/late").await;
    for socket in [&socket, &newcomer] {
        let ack = socket.ask("call", json!([])).await;
        assert_eq!(ack, json!(["again", 0, "call"]));
    }
    let all = root.happened().into_iter().chain(socket.happened());
    let ends = all.filter(|it| it.what["what"] == "disconnect");
    assert_eq!(ends.count(), 0);
}

async fn a04_listeners_in_hitchy_are_refused_at_load_and_hooks_are_allowed(way: Way) {
    let bad = "name bad\nlistener /hitchy request\nroute GET /bad";
    let below = "name below\nlistener /hitchy/below x";
    let good = "name good\nconnection /hitchy\nset user known\nroute GET /good";
    let plan = Server::prepare()
        .handler("bad.wasm", scripted(bad))
        .handler("below.wasm", scripted(below))
        .handler("good.wasm", scripted(good));
    let Some(stage) = Stage::set_with(way, plan).await else {
        return;
    };
    for file in ["bad.wasm", "below.wasm"] {
        let refused = format!("{file}: refused");
        let line = stage.server.wait_for_log(&[&refused, "/hitchy"]).await;
        assert!(line.contains("not served"), "{line}");
    }
    assert_eq!(stage.server.get("/bad").await.status, 404);
    let socket = stage.connect("/hitchy").await;
    let ack = socket.ask("request", json!([{ "url": "/good" }])).await;
    assert_eq!(ack[0]["body"]["user"], "known");
}

async fn c12_a_failure_that_nobody_waits_for_goes_to_the_log_and_harms_nothing(way: Way) {
    let script = "name grumpy\nconnection /\nafter * /\nroute GET /grumpy\nlistener / call\ncomplain so it goes";
    let plan = Server::prepare().handler("grumpy.wasm", scripted(script));
    let Some(stage) = Stage::set_with(way, plan).await else {
        return;
    };
    let server = &stage.server;
    let told = async |from: usize| {
        let words = ["so it goes", "grumpy"];
        server.wait_for_log_from(from, &words).await
    };
    assert_eq!(server.get("/grumpy").await.status, 200);
    told(0).await;
    let from = server.log().len();
    let socket = stage.connect("/").await;
    told(from).await;
    let ack = socket.ask("call", json!([])).await;
    assert_eq!(ack, json!(["grumpy", 0, "call"]));
    let from = server.log().len();
    socket.disconnect().await;
    told(from).await;
}

async fn c06_r15_events_of_a_client_that_went_away_still_run_and_then_its_hook(way: Way) {
    let Some(stage) = Stage::set(way).await else {
        return;
    };
    let watcher = stage.connect("/").await;
    let auth = json!({ "announce": true, "user": "ann" });
    let leaver = stage.connect_as(auth).await;
    for number in 0..3 {
        leaver.emit("slow", json!([150, number])).await;
    }
    // The events arrive before the end of the connection.
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

#[tokio::test]
async fn i11_23_a_namespace_written_as_a_pattern_loads_with_a_warning() {
    let server = Server::prepare().start().await;
    for namespace in ["/tenant-*", "/:tenant", "/^\\/dyn-\\d+$", "/<tenant>"] {
        for declaration in ["listener {} say", "connection {}"] {
            let from = server.log().len();
            let script = declaration.replace("{}", namespace);
            server.drop_in("shop.wasm", scripted(&format!("name shop\n{script}")));
            let words = ["WARN", "shop.wasm", namespace, "taken literally", "room"];
            server.wait_for_log_from(from, &words).await;
        }
    }
    for namespace in ["/{tenant}", "/^\\/dyn-\\d+$/"] {
        let from = server.log().len();
        let script = format!("name shop\nlistener {namespace} say");
        server.drop_in("shop.wasm", scripted(&script));
        let words = ["shop.wasm", "refused", namespace, "use a room"];
        server.wait_for_log_from(from, &words).await;
    }
}

#[test]
fn i11_23_inspect_shows_the_warning() {
    let folder = folder();
    let script = "name shop\nlistener /tenant-* say\nlistener /tenant-* hear\nroute GET /x/:id";
    std::fs::write(folder.path().join("shop.wasm"), scripted(script)).expect("written");
    let text = out(&hitchy(folder.path(), &["inspect", "shop.wasm"]));
    assert_eq!(
        text.matches("hint: the namespace /tenant-*").count(),
        1,
        "{text}"
    );
    assert!(text.contains("hint: the route /x/:id"), "{text}");
}
