//! The socket.io server and the handlers: the existing namespaces, the right to declare them, and the behaviour before
//! and without handlers.

use hitchy_tests::clauses::Way;
use hitchy_tests::node::Socket;
use hitchy_tests::raw::{Packet, RawSocket};
use hitchy_tests::server::Plan;
use hitchy_tests::wait::{SOON, within};
use hitchy_tests::{Client, Node, Server, clauses, expect, guest, official_client, scripted};
use serde_json::{Value, json};

clauses! {
    http:
        a01_socket_io_answers_on_the_port_of_http_without_any_handler
        a06_until_the_folder_was_read_everything_is_503
        a06_an_empty_folder_is_a_404;
    request_websocket request_polling:
        a01_requests_are_answered_without_any_handler
        a03_hitchy_outlives_every_handler
        a04_a_connection_hook_of_hitchy_gives_requests_their_context
        a06_requests_come_through_once_the_folder_was_read;
    event_websocket event_polling:
        a01_events_are_answered_without_any_handler
        a02_a_listener_reaches_the_socket_io_server
        a03_request_elsewhere_is_an_ordinary_event
        a04_nothing_below_hitchy_is_a_namespace
        a06_events_come_through_once_the_folder_was_read;
    http request_websocket request_polling:
        a02_a_route_reaches_the_socket_io_server
        a04_a_listener_in_hitchy_is_refused_at_load_by_name;
}

const OPEN_SESSION: &str = "/socket.io/?EIO=4&transport=polling";

/// Connects the official client in this way.
async fn connect(node: &Node, server: &Server, namespace: &str, way: Way) -> Socket {
    let options = json!({ "transports": [way.transport()] });
    let socket = node.connect_with(server, namespace, options).await;
    socket.expect("the server lets the client in")
}

/// Returns the message with which a client is refused.
async fn refusal(node: &Node, server: &Server, namespace: &str, way: Way) -> String {
    let options = json!({ "transports": [way.transport()] });
    let refused = node.connect_with(server, namespace, options).await;
    refused.err().expect("the client is refused").message
}

async fn a01_socket_io_answers_on_the_port_of_http_without_any_handler(_: Way) {
    let server = Server::prepare().start().await;
    let answer = server.get(OPEN_SESSION).await;
    assert_eq!(answer.status, 200);
    assert!(answer.text().starts_with("0{\"sid\":"), "{}", answer.text());
}

async fn a01_requests_are_answered_without_any_handler(way: Way) {
    let server = Server::prepare().start().await;
    let Some(client) = Client::open(way, &server).await else {
        return;
    };
    expect::refusal(&client.get("/").await, 404);
}

async fn a01_events_are_answered_without_any_handler(way: Way) {
    let Some(node) = official_client().await else {
        return;
    };
    let server = Server::prepare().start().await;
    let socket = connect(&node, &server, "/", way).await;
    expect::failed_ack(&socket.ask("anything", json!([])).await, 404);
}

/// Returns a script that emits to `/` and lists its sockets.
fn reach() -> Value {
    json!([
        { "do": "emit", "event": "reached", "args": ["all of /"] },
        { "do": "list-ids", "namespace": "/" },
    ])
}

/// Asserts that the socket in `/` with this id was reached and listed.
async fn assert_reached(mut listener: RawSocket, results: &Value) {
    assert_eq!(results[0], json!({ "ok": null }), "{results}");
    let listed = results[1]["ok"].as_array().map(Vec::len);
    assert!(listed.is_some_and(|listed| listed >= 1), "{results}");
    let heard = within("the event", SOON, listener.next()).await;
    let expected = Packet::Text(r#"42["reached","all of /"]"#.into());
    assert_eq!(heard.expect("open"), expected);
}

async fn a02_a_route_reaches_the_socket_io_server(way: Way) {
    let server = Server::with("probe.wasm", guest("probe")).await;
    let Some(client) = Client::open(way, &server).await else {
        return;
    };
    let listener = RawSocket::connect(server.addr(), "/").await;
    let answer = client.post("/script", reach()).await;
    assert_reached(listener.expect("let in"), &answer.body).await;
    let ids = answer.body[1]["ok"].as_array().map(Vec::len);
    assert_eq!(ids, Some(1), "whoever asks is in /hitchy");
}

async fn a02_a_listener_reaches_the_socket_io_server(way: Way) {
    let Some(node) = official_client().await else {
        return;
    };
    let server = Server::with("probe.wasm", guest("probe")).await;
    let listener = RawSocket::connect(server.addr(), "/").await;
    let socket = connect(&node, &server, "/", way).await;
    let ack = socket.ask("script", json!([reach()])).await;
    assert_reached(listener.expect("let in"), &ack[0]).await;
    let ids = ack[0][1]["ok"].as_array().cloned().unwrap_or_default();
    assert_eq!(ids.len(), 2);
    assert!(ids.contains(&json!(socket.id())), "{ids:?}");
}

async fn a03_hitchy_outlives_every_handler(way: Way) {
    let server = Server::prepare().start().await;
    let Some(client) = Client::open(way, &server).await else {
        return;
    };
    server.drop_in("late.wasm", scripted("name late\nroute GET /late"));
    server.wait_for_status("/late", 200).await;
    assert_eq!(client.get("/late").await.body["name"], "late");
    server.remove("late.wasm");
    server.wait_for_status("/late", 404).await;
    expect::refusal(&client.get("/late").await, 404);
    let happened = client.socket().happened();
    let left = happened.iter().find(|it| it.what["what"] == "disconnect");
    assert!(left.is_none(), "{left:?}");
}

async fn a03_request_elsewhere_is_an_ordinary_event(way: Way) {
    let Some(node) = official_client().await else {
        return;
    };
    let server = Server::with("probe.wasm", guest("probe")).await;
    let request = json!([{ "url": "/hello/x" }]);
    let root = connect(&node, &server, "/", way).await;
    let ack = root.ask("request", request.clone()).await;
    assert_eq!(ack, json!(["custom", request]), "the probe listens to it");
    let chat = connect(&node, &server, "/chat", way).await;
    expect::failed_ack(&chat.ask("request", request).await, 404);
}

/// Returns the plan of a server with handlers that declare listeners in reserved namespaces, and one that only has
/// hooks there.
fn reserved() -> Plan {
    let listener = "name bad\nlistener /hitchy request\nroute GET /bad";
    let below = "name below\nlistener /hitchy/below x\nroute GET /below";
    let hook = "name good\nconnection /hitchy\nset user known\nroute GET /good";
    Server::prepare()
        .handler("bad.wasm", scripted(listener))
        .handler("below.wasm", scripted(below))
        .handler("good.wasm", scripted(hook))
}

async fn a04_a_listener_in_hitchy_is_refused_at_load_by_name(way: Way) {
    let server = reserved().start().await;
    for file in ["bad.wasm", "below.wasm"] {
        let refused = format!("{file}: refused");
        let line = server.wait_for_log(&[&refused, "/hitchy"]).await;
        assert!(line.contains("not served"), "{line}");
    }
    let Some(client) = Client::open(way, &server).await else {
        return;
    };
    for route in ["/bad", "/below"] {
        expect::refusal(&client.get(route).await, 404);
    }
    assert_eq!(client.get("/good").await.status, 200);
}

async fn a04_a_connection_hook_of_hitchy_gives_requests_their_context(way: Way) {
    let server = reserved().start().await;
    let Some(client) = Client::open(way, &server).await else {
        return;
    };
    assert_eq!(client.get("/good").await.body["user"], "known");
}

async fn a04_nothing_below_hitchy_is_a_namespace(way: Way) {
    let Some(node) = official_client().await else {
        return;
    };
    let server = reserved().start().await;
    let refused = refusal(&node, &server, "/hitchy/below", way).await;
    assert_eq!(refused, "Invalid namespace");
}

/// Returns the plan of a server whose handlers are slow to describe.
fn slow_to_start() -> Plan {
    let names = ["a", "b", "c", "d"].into_iter();
    names.fold(Server::prepare(), |plan, name| {
        let script = format!("name {name}\nsleep 600\nroute GET /{name}\nlistener / call");
        plan.handler(&format!("{name}.wasm"), scripted(&script))
    })
}

async fn a06_until_the_folder_was_read_everything_is_503(_: Way) {
    let server = slow_to_start().start_at_once().await;
    let targets = ["/a", "/nobody", OPEN_SESSION];
    let mut refused = 0;
    for target in targets.iter().cycle() {
        let answer = server.get(target).await;
        if answer.status != 503 {
            assert_eq!(server.get("/d").await.status, 200, "too early: {answer:?}");
            break;
        }
        expect::error(&answer, 503);
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
        refused += 1;
    }
    assert!(refused >= targets.len(), "{refused} were refused");
    expect::error(&server.get("/nobody").await, 404);
}

async fn a06_an_empty_folder_is_a_404(_: Way) {
    let server = Server::prepare().start().await;
    expect::error(&server.get("/").await, 404);
    expect::error(&server.get("/anything?q=1").await, 404);
}

/// Connects while the server starts. The client tries again until the server accepts it.
async fn connect_early(namespace: &str, way: Way) -> Option<(Server, Node, Socket)> {
    let node = official_client().await?;
    // Node is running when it has printed something.
    let other = Server::prepare().start().await;
    node.connect(&other, "/").await;
    let server = slow_to_start().start_at_once().await;
    let options =
        json!({ "transports": [way.transport()], "reconnection": true, "reconnectionDelay": 50 });
    let socket = node.connect_with(&server, namespace, options).await;
    let socket = socket.expect("let in at last");
    let happened = socket.happened();
    let first = happened.first().map(|it| it.what["what"].clone());
    assert_eq!(first, Some(json!("connect_error")), "not at once");
    Some((server, node, socket))
}

async fn a06_requests_come_through_once_the_folder_was_read(way: Way) {
    let Some((_server, _node, socket)) = connect_early("/hitchy", way).await else {
        return;
    };
    let ack = socket.ask("request", json!([{ "url": "/b" }])).await;
    assert_eq!(ack[0]["statusCode"], 200, "{ack}");
}

async fn a06_events_come_through_once_the_folder_was_read(way: Way) {
    let Some((_server, _node, socket)) = connect_early("/", way).await else {
        return;
    };
    assert_eq!(socket.ask("call", json!([])).await[0], "a");
}
