//! Connections, rooms and acks: what `io` and `socket` do.

use hitchy_tests::covered::{Part, covers};
use hitchy_tests::{Server, official_client};
use serde_json::{Value, json};

const ROOMS: &str = r#"
io.use((socket, next) => {
    const { name } = socket.handshake.auth;
    if (!name) return next(new Error("who are you?"));
    socket.data.name = name;
    socket.data.seen = [];
    next();
});

io.on("connection", socket => {
    socket.emit("welcome", socket.data.name);
    socket.broadcast.emit("joined", socket.data.name);
    socket.join("all");

    socket.on("see", (what, ack) => {
        socket.data.seen.push(what);
        ack(socket.data.seen);
    });
    socket.on("room", (room, text) => {
        socket.join(room);
        return [...socket.rooms].filter(name => name !== socket.id).sort();
    });
    socket.on("tell", (room, text) => {
        io.to(room).except("deaf").emit("told", text);
        socket.to(room).emit("told others", text);
    });
    socket.on("who", async () => (await io.in("all").fetchSockets()).map(one => one.data.name).sort());
    socket.on("question", async () => {
        const answer = await socket.timeout(5000).emitWithAck("ask", 1);
        return { answer };
    });
    socket.on("twice", ack => {
        ack(1);
        ack(2);
    });
    socket.on("later", async (ms, ack) => {
        await new Promise(resolve => setTimeout(resolve, ms));
        ack("later");
    });
    socket.on("callback", ack => void setTimeout(() => ack("from a timer"), 5));
    socket.on("nothing", () => {});
    socket.on("fails", () => {
        throw new Failure(422, "no", { field: "x" });
    });
    socket.on("bytes", (one, { two }) => ({ sum: one[0] + two[0], all: new Uint8Array([one[0], two[0]]) }));
    socket.on("out", () => socket.disconnect());
    socket.onAny((name, ...args) => {
        if (name === "anything") io.emit("any", name, args.length);
    });
    socket.on("disconnect", reason => io.emit("left", socket.data.name, reason));
});

io.of("/admin").on("connection", socket => {
    socket.on("where", () => socket.nsp.name);
});
"#;

#[tokio::test]
async fn i14_2_middleware_lets_in_and_refuses() {
    let Some(node) = official_client().await else {
        return;
    };
    let server = Server::with("rooms.js", ROOMS).await;
    let refused = node.connect_with(&server, "/", json!({})).await;
    assert_eq!(refused.err().expect("refused").message, "who are you?");
    let ada = node
        .connect_with(&server, "/", json!({ "auth": { "name": "Ada" } }))
        .await
        .expect("let in");
    assert_eq!(ada.wait_event("welcome").await, json!(["Ada"]));
    assert_eq!(ada.ask("see", json!([1])).await, json!([[1]]));
    assert_eq!(ada.ask("see", json!(["b"])).await, json!([[1, "b"]]));
    // What the host keeps for the connection lasts through reloads.
    server.drop_in("rooms.js", format!("{ROOMS}\n// changed"));
    server.wait_for_log(&["rooms.js: reloaded"]).await;
    assert_eq!(ada.ask("see", json!([3])).await, json!([[1, "b", 3]]));
    let admin = node.connect(&server, "/admin").await;
    assert_eq!(admin.ask("where", json!([])).await, json!(["/admin"]));
    covers("js", &[Part::Hooks]);
}

#[tokio::test]
async fn i14_2_rooms_broadcasts_and_disconnects() {
    let Some(node) = official_client().await else {
        return;
    };
    let server = Server::with("rooms.js", ROOMS).await;
    let enter = async |name: &str| {
        let auth = json!({ "auth": { "name": name } });
        let socket = node.connect_with(&server, "/", auth).await.expect("let in");
        socket.wait_event("welcome").await;
        socket
    };
    let (ada, bob) = (enter("Ada").await, enter("Bob").await);
    assert_eq!(ada.wait_event("joined").await, json!(["Bob"]));
    assert_eq!(
        ada.ask("room", json!(["tea"])).await,
        json!([["all", "tea"]])
    );
    assert_eq!(
        bob.ask("room", json!(["tea"])).await,
        json!([["all", "tea"]])
    );
    bob.ask("room", json!(["deaf"])).await;
    bob.emit("tell", json!(["tea", "hi"])).await;
    assert_eq!(ada.wait_event("told").await, json!(["hi"]));
    assert_eq!(ada.wait_event("told others").await, json!(["hi"]));
    assert_eq!(ada.ask("who", json!([])).await, json!([["Ada", "Bob"]]));
    assert_eq!(bob.events("told"), Vec::<Value>::new());
    bob.emit("anything", json!([1, 2])).await;
    assert_eq!(ada.wait_event("any").await, json!(["anything", 2]));
    bob.disconnect().await;
    let left = json!(["Bob", "client namespace disconnect"]);
    assert_eq!(ada.wait_event("left").await, left);
    ada.emit("out", json!([])).await;
    assert_eq!(ada.wait_disconnect().await, "io server disconnect");
}

#[tokio::test]
async fn i14_2_acks_by_callback_promise_and_return() {
    let Some(node) = official_client().await else {
        return;
    };
    let server = Server::with("rooms.js", ROOMS).await;
    let auth = json!({ "auth": { "name": "Ada" } });
    let ada = node.connect_with(&server, "/", auth).await.expect("let in");
    assert_eq!(ada.ask("twice", json!([])).await, json!([1]));
    server
        .wait_for_log(&["ack of \"twice\" was called again"])
        .await;
    assert_eq!(ada.ask("later", json!([10])).await, json!(["later"]));
    assert_eq!(
        ada.ask("callback", json!([])).await,
        json!(["from a timer"])
    );
    assert_eq!(ada.ask("nothing", json!([])).await, json!([]));
    let failed = ada.ask("fails", json!([])).await;
    let error = &failed[0]["error"];
    assert_eq!(
        (&error["code"], &error["message"]),
        (&json!(422), &json!("no"))
    );
    ada.answer("ask", json!([{ "life": 42 }])).await;
    let answer = ada.ask("question", json!([])).await;
    assert_eq!(answer, json!([{ "answer": { "life": 42 } }]));
    let sent =
        json!([hitchy_tests::node::binary(&[3]), { "two": hitchy_tests::node::binary(&[4]) }]);
    let back = ada.ask("bytes", sent).await;
    assert_eq!(back[0]["sum"], json!(7));
    assert_eq!(hitchy_tests::node::bytes(&back[0]["all"]), [3, 4]);
}
