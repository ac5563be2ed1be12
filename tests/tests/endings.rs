//! The ends of connections, and the arguments of the disconnect hooks: C12 and C11. Each test uses the official client
//! if it can end a connection in that way, and a raw client otherwise. The watcher is always an official client.

use hitchy_tests::clauses::Way;
use hitchy_tests::raw::{RawClient, RawSocket};
use hitchy_tests::wait::SOON;
use hitchy_tests::{Server, Socket, Stage, clauses, guest};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::protocol::frame::coding::Data;

clauses! {
    event_websocket event_polling:
        c12_c11_client_namespace_disconnect
        c12_c11_transport_close
        c12_c11_server_namespace_disconnect
        c12_c11_ping_timeout
        c12_c11_transport_error
        c12_c11_parse_error
        c12_c11_server_shutting_down
        c12_a_handler_disconnects_one_namespace_or_the_whole_connection
        c12_one_client_leaves_one_of_its_namespaces;
    event_websocket:
        c12_c11_a_websocket_that_ends_without_goodbye;
}

/// Starts a server with these settings and connects a watcher.
async fn watched(way: Way, settings: &str) -> Option<(Stage, Socket)> {
    let plan = Server::prepare()
        .handler("probe.wasm", guest("probe"))
        .settings(settings);
    let stage = Stage::set_with(way, plan).await?;
    let watcher = stage.connect("/").await;
    Some((stage, watcher))
}

fn auth(user: &str) -> Value {
    json!({ "announce": true, "user": user, "room": "lobby" })
}

/// Connects an official client whose arrival and end the hooks report.
async fn join(stage: &Stage, watcher: &Socket, user: &str) -> Socket {
    let socket = stage.connect_as(auth(user)).await;
    assert_eq!(watcher.wait_event("joined").await, json!([user]));
    socket
}

/// Connects a raw client whose arrival and end the hooks report.
async fn join_raw(stage: &Stage, watcher: &Socket, user: &str) -> RawClient {
    let (transport, addr) = (stage.transport(), stage.server.addr());
    let client = RawClient::connect_with(transport, addr, "/", &auth(user).to_string()).await;
    assert_eq!(watcher.wait_event("joined").await, json!([user]));
    client
}

/// Waits for the report of the disconnect hook: user, id, reason, and rooms, which are still readable.
async fn told(watcher: &Socket, user: &str, id: &str, reasons: &[&str]) {
    let left = watcher.wait_event("left").await[0].clone();
    assert_eq!((&left["user"], &left["id"]), (&json!(user), &json!(id)));
    let reason = left["reason"].as_str().unwrap_or_default();
    assert!(reasons.contains(&reason), "{left}");
    let rooms = left["rooms"].as_array().expect("rooms");
    for room in ["lobby", id] {
        assert!(rooms.contains(&json!(room)), "{left}");
    }
}

async fn c12_c11_client_namespace_disconnect(way: Way) {
    let Some((stage, watcher)) = watched(way, "").await else {
        return;
    };
    // The test repeats this because the report can arrive before the client's own call returns.
    for _ in 0..5 {
        let ann = join(&stage, &watcher, "ann").await;
        ann.disconnect().await;
        let reasons = ["client namespace disconnect"];
        told(&watcher, "ann", ann.id(), &reasons).await;
    }
}

async fn c12_c11_transport_close(way: Way) {
    let Some((stage, watcher)) = watched(way, "").await else {
        return;
    };
    for _ in 0..5 {
        let bob = join(&stage, &watcher, "bob").await;
        bob.close_transport().await;
        told(&watcher, "bob", bob.id(), &["transport close"]).await;
    }
}

async fn c12_c11_server_namespace_disconnect(way: Way) {
    let Some((stage, watcher)) = watched(way, "").await else {
        return;
    };
    for close in [false, true, false, true] {
        let cyd = join(&stage, &watcher, "cyd").await;
        let of = json!({ "namespace": "/", "id": cyd.id() });
        let disconnect = json!([{ "do": "socket.disconnect", "of": of, "close": close }]);
        stage.server.script(&disconnect).await;
        assert_eq!(cyd.wait_disconnect().await, "io server disconnect");
        let reasons = ["server namespace disconnect"];
        told(&watcher, "cyd", cyd.id(), &reasons).await;
    }
}

async fn c12_c11_ping_timeout(way: Way) {
    let settings = "[socket]\nping-interval = \"300ms\"\nping-timeout = \"1s\"";
    let Some((mut stage, watcher)) = watched(way, settings).await else {
        return;
    };
    // The client answers no ping, because the test does not read its packets.
    let silent = join_raw(&stage, &watcher, "silent").await;
    told(&watcher, "silent", silent.sid(), &["ping timeout"]).await;
    // The official client answers the pings and stays connected.
    assert_eq!(watcher.ask("echo", json!([1])).await, json!([1]));
    stage.server.assert_unharmed();
}

async fn c12_c11_transport_error(way: Way) {
    let Some((stage, watcher)) = watched(way, "").await else {
        return;
    };
    let mut client = join_raw(&stage, &watcher, "dan").await;
    match &mut client {
        RawClient::Websocket(client) => {
            // Frames with this opcode do not exist in websockets.
            let sent = client.send_frame(Data::Reserved(3), b"?".to_vec(), true);
            sent.await.expect("sent");
        }
        RawClient::Polling(client) => {
            let refused = client.overlap().await.expect("an answer");
            assert_eq!(refused.status, 400, "{refused:?}");
        }
    }
    // The client stays alive until here, because a dropped client would end for another reason.
    told(&watcher, "dan", client.sid(), &["transport error"]).await;
}

async fn c12_c11_parse_error(way: Way) {
    let Some((stage, watcher)) = watched(way, "").await else {
        return;
    };
    let mut eve = join_raw(&stage, &watcher, "eve").await;
    // Over polling, the server may answer that this is not a packet.
    let _ = eve.send("4?").await;
    told(&watcher, "eve", eve.sid(), &["parse error"]).await;
}

/// Ends without a close frame, as in a network failure. Node and the library name different reasons.
async fn c12_c11_a_websocket_that_ends_without_goodbye(way: Way) {
    let Some((stage, watcher)) = watched(way, "").await else {
        return;
    };
    let mut client = RawSocket::open(stage.server.addr()).await.expect("opened");
    let entered = client.enter("/", &auth("fay").to_string()).await;
    entered.expect("let in");
    let id = client.sid().to_owned();
    assert_eq!(watcher.wait_event("joined").await, json!(["fay"]));
    drop(client.into_tcp());
    let reasons = ["transport close", "transport error"];
    told(&watcher, "fay", &id, &reasons).await;
}

async fn c12_c11_server_shutting_down(way: Way) {
    let Some((mut stage, watcher)) = watched(way, "").await else {
        return;
    };
    let gus = join(&stage, &watcher, "gus").await;
    stage.server.terminate();
    told(&watcher, "gus", gus.id(), &["server shutting down"]).await;
    for socket in [&watcher, &gus] {
        let reason = socket.wait_disconnect().await;
        let reasons = ["io server disconnect", "transport close", "transport error"];
        assert!(reasons.contains(&reason.as_str()), "{reason}");
    }
    assert_eq!(stage.server.wait_for_end(SOON).await.code(), Some(0));
}

async fn c12_a_handler_disconnects_one_namespace_or_the_whole_connection(way: Way) {
    let Some((stage, watcher)) = watched(way, "").await else {
        return;
    };
    let ann = stage.connect("/").await;
    let disconnect = |id: &str, close: bool| {
        let step = json!({ "do": "disconnect", "rooms": [id], "close": close });
        json!([step])
    };
    stage.server.script(&disconnect(ann.id(), false)).await;
    assert_eq!(ann.wait_disconnect().await, "io server disconnect");
    // A client in two namespaces leaves both.
    let (transport, addr) = (stage.transport(), stage.server.addr());
    let mut bob = RawClient::connect(transport, addr, "/").await;
    bob.enter("/chat", "").await.expect("let in");
    stage.server.script(&disconnect(bob.sid(), true)).await;
    let goodbyes = [bob.next().await, bob.next().await].map(|packet| format!("{packet:?}"));
    for goodbye in ["Ok(Text(\"41\"))", "Ok(Text(\"41/chat,\"))"] {
        assert!(goodbyes.contains(&goodbye.to_owned()), "{goodbyes:?}");
    }
    assert_eq!(watcher.ask("echo", json!([1])).await, json!([1]));
}

async fn c12_one_client_leaves_one_of_its_namespaces(way: Way) {
    let Some((stage, watcher)) = watched(way, "").await else {
        return;
    };
    let mut client = join_raw(&stage, &watcher, "hal").await;
    client.enter("/chat", "").await.expect("let in");
    client.send("41").await.expect("sent");
    let reasons = ["client namespace disconnect"];
    told(&watcher, "hal", client.sid(), &reasons).await;
    client.send(r#"42/chat,7["say"]"#).await.expect("sent");
    assert_eq!(client.ack("/chat,7").await.expect("an ack"), r#"["sent"]"#);
}
