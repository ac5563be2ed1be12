//! Handlers in JavaScript, D10: a `.js` file in the folder answers through every door.

#[path = "script/answers.rs"]
mod answers;
#[path = "script/bounds.rs"]
mod bounds;
#[path = "script/connections.rs"]
mod connections;
#[path = "script/development.rs"]
mod development;
#[path = "script/files.rs"]
mod files;
#[path = "script/input.rs"]
mod input;
#[path = "script/lives.rs"]
mod lives;
#[path = "script/load.rs"]
mod load;
#[path = "script/modules.rs"]
mod modules;
#[path = "script/moved.rs"]
mod moved;
#[path = "script/services.rs"]
mod services;
#[path = "script/typescript.rs"]
mod typescript;
#[path = "script/web.rs"]
mod web;

use hitchy_tests::clauses::Way;
use hitchy_tests::{Client, Server, clauses, official_client};
use serde_json::{Value, json};

clauses! {
    http request_websocket request_polling:
        d10_a_script_answers_requests_through_both_doors;
    event_websocket event_polling:
        d10_a_script_answers_events_and_broadcasts;
}

/// A handler for all doors.
const CHAT: &str = r#"
import { app, io } from "hitchy";

app.get("/api/hello/:name", ({ params, query }) => ({ hello: params.name, times: query.times ?? null }));
app.post("/api/say", ({ json }) => {
    io.emit("said", json());
    return "sent";
});

io.on("connection", socket => {
    socket.on("add", (a, b, ack) => ack(a + b));
    socket.on("say", message => {
        socket.broadcast.emit("said", message);
        return { id: socket.id };
    });
});
"#;

async fn d10_a_script_answers_requests_through_both_doors(way: Way) {
    let server = Server::with("chat.js", CHAT).await;
    let Some(client) = Client::open(way, &server).await else {
        return;
    };
    let answer = client.get("/api/hello/Ada%20L?times=3").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.body, json!({ "hello": "Ada L", "times": "3" }));
}

async fn d10_a_script_answers_events_and_broadcasts(way: Way) {
    let Some(node) = official_client().await else {
        return;
    };
    let server = Server::with("chat.js", CHAT).await;
    let options = json!({ "transports": [way.transport()] });
    let one = node
        .connect_with(&server, "/", options.clone())
        .await
        .expect("let in");
    let two = node
        .connect_with(&server, "/", options)
        .await
        .expect("let in");
    assert_eq!(one.ask("add", json!([1, 2])).await, json!([3]));
    let ack = one.ask("say", json!([{ "text": "hi" }])).await;
    assert_eq!(ack, json!([{ "id": one.id() }]));
    assert_eq!(two.wait_event("said").await, json!([{ "text": "hi" }]));
    assert_eq!(one.events("said"), Vec::<Value>::new());
    let answer = server.post("/api/say", &json!({ "n": 1 })).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "sent"));
    assert_eq!(one.wait_event("said").await, json!([{ "n": 1 }]));
}
