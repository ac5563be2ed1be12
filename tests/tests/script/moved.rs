//! What code meets that was written for other servers, and what a script that fails says.

use hitchy_tests::{Server, official_client};
use serde_json::json;

const MOVED: &str = r#"
io.use((socket, next) => {
    if (socket.handshake.auth.broken) throw new Error("the guard gave up");
    socket.user = "Ada";
    next();
});
io.on("connection", socket => {
    socket.count = 0;
    socket.on("ask", () => new Promise(resolve => socket.emit("question", (...answers) => resolve(answers))));
    socket.on("ask in time", () => new Promise(resolve => socket.timeout(5000).emit("question", (error, ...answers) => resolve([error, answers]))));
    socket.on("add user", name => void (socket.username = name));
    socket.on("map", () => new Map());
    socket.on("quiet", () => void AbortSignal.timeout(60_000));
    socket.on("long name", ack => socket.join("x".repeat(5000)));
});
app.get("/express", (req, res) => res.json({ hello: "you" }));
app.get("/big", () => ({ n: 1n }));
app.get("/deep", () => ({ toJSON() { throw new Error("deep inside") } }));
app.get("/taken", () => ({ toJSON() { throw new Failure(409, "taken") } }));
app.get("/error", () => Response.error());
app.get("/long", () => io.to("x".repeat(5000)).emit("e"));
app.get("/in-time", async () => {
    const signal = AbortSignal.timeout(60_000);
    return { aborted: signal.aborted };
});
app.get("/deadline", async context => {
    const before = context.deadline;
    await new Promise(resolve => setTimeout(resolve, 20));
    return { is_live: context.deadline < before };
});
io.on("connection", socket => {
    socket.handshake.session = { visits: [] };
    socket.handshake.session.visits.push(1);
    socket.on("later", () => ({ then(done) { setTimeout(() => done("late"), 5); } }));
    socket.on("inner", () => ({ then(done) { done(Promise.resolve("inner")); } }));
    socket.on("refused", () => ({ then(done, failed) { failed(new Failure(409, "taken")); } }));
    socket.on("at once", () => ({ then(done) { done("at once"); return 5; } }));
});
"#;

async fn serve() -> Server {
    Server::with("moved.js", MOVED).await
}

#[tokio::test]
async fn i14_2_a_callback_gets_every_argument_of_an_ack() {
    let Some(node) = official_client().await else {
        return;
    };
    let server = serve().await;
    let ada = node.connect(&server, "/").await;
    ada.answer("question", json!([1, "two"])).await;
    assert_eq!(ada.ask("ask", json!([])).await, json!([[1, "two"]]));
    let in_time = ada.ask("ask in time", json!([])).await;
    assert_eq!(in_time, json!([[null, [1, "two"]]]));
}

/// Builders of queries are such objects: their `then` need not return anything.
#[tokio::test]
async fn i14_2_a_listener_may_return_any_object_with_then() {
    let Some(node) = official_client().await else {
        return;
    };
    let server = serve().await;
    let ada = node.connect(&server, "/").await;
    for (event, wanted) in [
        ("later", json!(["late"])),
        ("inner", json!(["inner"])),
        ("at once", json!(["at once"])),
    ] {
        assert_eq!(ada.ask(event, json!([])).await, wanted, "{event}");
    }
    let refused = ada.ask("refused", json!([])).await;
    assert_eq!(refused[0]["error"]["code"], 409, "{refused}");
}

#[tokio::test]
async fn i14_2_properties_that_are_lost_with_the_call_are_told_at_load_and_once() {
    let Some(node) = official_client().await else {
        return;
    };
    let server = serve().await;
    server
        .wait_for_log(&[
            "socket.user, socket.username: the socket is another object",
            "is kept as socket.data.user",
        ])
        .await;
    let (ada, bob) = (
        node.connect(&server, "/").await,
        node.connect(&server, "/").await,
    );
    ada.ask("quiet", json!([])).await;
    bob.emit("add user", json!(["Bob"])).await;
    assert_eq!(server.get("/big").await.status, 500);
    server.wait_for_log(&["GET /big"]).await;
    let told = server.log().all();
    let told = told.iter().filter(|line| line.contains("another object"));
    assert_eq!(told.count(), 1);
}

/// In an instance for all clients, a callback that waits registers its listeners on one socket, which every call gets.
#[tokio::test]
async fn d03_what_a_call_sets_on_a_shared_socket_is_not_for_the_next_client() {
    let Some(node) = official_client().await else {
        return;
    };
    let script = r#"
        io.on("connection", async socket => {
            socket.visits = 0;
            socket.on("login", name => { socket.user = name; return ++socket.visits });
            socket.on("who am I", () => [socket.user ?? "nobody", socket.visits]);
        });
    "#;
    let plan = Server::prepare().handler("login.js", script);
    let plan = plan.handler("login.toml", "instances = \"shared\"\nmax-instances = 1\n");
    let server = plan.start().await;
    let (ada, bob) = (
        node.connect(&server, "/").await,
        node.connect(&server, "/").await,
    );
    assert_eq!(ada.ask("login", json!(["Ada"])).await, json!([1]));
    assert_eq!(bob.ask("who am I", json!([])).await, json!([["nobody", 0]]));
}

#[tokio::test]
async fn i14_6_a_guard_that_throws_refuses_with_an_id_that_the_log_has() {
    let Some(node) = official_client().await else {
        return;
    };
    let server = serve().await;
    let refused = node
        .connect_with(&server, "/", json!({ "auth": { "broken": true } }))
        .await;
    let message = refused.err().expect("refused").message;
    let id = message
        .strip_prefix("internal server error (id ")
        .and_then(|rest| rest.strip_suffix(')'))
        .unwrap_or_else(|| panic!("{message}"));
    server
        .wait_for_log(&[id, "moved.js:3:", "Error: the guard gave up"])
        .await;
}

#[tokio::test]
async fn i14_6_a_failed_answer_names_the_route_or_the_event() {
    let Some(node) = official_client().await else {
        return;
    };
    let server = serve().await;
    server
        .wait_for_log(&[
            r#"app.get("/express")"#,
            "takes 2 arguments and gets one, the context; it answers with what it returns",
        ])
        .await;
    for (path, words) in [
        ("/big", "the answer of GET /big cannot be sent; caused by"),
        ("/deep", "cannot be sent; caused by moved.js:18:"),
        ("/error", "Response.error() is no answer"),
        ("/express", "moved.js:16:"),
    ] {
        let from = server.log().len();
        assert_eq!(server.get(path).await.status, 500, "{path}");
        server.wait_for_log_from(from, &[words]).await;
    }
    assert_eq!(server.get("/taken").await.status, 409);
    let ada = node.connect(&server, "/").await;
    let failed = ada.ask("map", json!([])).await;
    assert_eq!(failed[0]["error"]["code"], 500);
    server
        .wait_for_log(&[r#"the ack of "map" cannot be sent"#, "JSON has no Map"])
        .await;
}

#[tokio::test]
async fn i14_6_what_the_server_refuses_is_for_the_client_and_for_an_author_who_looks() {
    let plan = Server::prepare().handler("moved.js", MOVED);
    let server = plan.env("HITCHY_LOG__LEVEL", "debug").start().await;
    let answer = server.get("/long").await;
    assert!((400..500).contains(&answer.status), "{answer:?}");
    server.wait_for_log(&["moved.js:21:", "Failure: "]).await;
}

#[tokio::test]
async fn i14_2_times_are_those_of_the_call() {
    let server = serve().await;
    let answer = server.get("/deadline").await;
    assert_eq!(answer.json(), json!({ "is_live": true }));
    let from = server.log().len();
    assert_eq!(
        server.get("/in-time").await.json(),
        json!({ "aborted": false })
    );
    // Nor does such a timer hold up a call.
    if let Some(node) = official_client().await {
        let ada = node.connect(&server, "/").await;
        assert_eq!(ada.ask("quiet", json!([])).await, json!([]));
    }
    // The next line shows that the one before would have been there.
    assert_eq!(server.get("/big").await.status, 500);
    server.wait_for_log_from(from, &["GET /big"]).await;
    let log = server.log().all()[from..].join("\n");
    assert!(!log.contains("timer"), "{log}");
}
