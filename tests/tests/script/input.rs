//! What scripts return to clients that cannot be sent, or not as it is, and files that cannot be served.

use hitchy_tests::{Server, official_client};
use serde_json::{Value, json};

const ODD: &str = r#"
io.on("connection", socket => {
    const odd = {
        circular() { const a = {}; a.a = a; return a },
        bigint: () => 1n,
        nothing: () => undefined,
        nan: () => [NaN, Infinity],
        date: () => new Date(0),
        map: () => new Map([[1, 2]]),
        inner: () => ({ set: new Set([1]) }),
        surrogate: () => "a\ud800b",
        key: () => ({ "\udc00": 1 }),
        function: () => () => 1,
        symbol: () => Symbol("s"),
        never: () => new Promise(() => {}),
        ask: () => new Promise((_, reject) => reject(new Error("inner"))),
    };
    for (const [name, run] of Object.entries(odd)) socket.on(name, run);
    socket.on("forgotten", ack => {});
    socket.on("forgotten later", async ack => { await undefined });
    socket.on("emit surrogate", () => { socket.emit("e\ud800", "\udfff"); return true });
    socket.on("emit circular", () => { const a = []; a.push(a); socket.emit("e", a) });
    socket.on("good", () => "good");
});
"#;

#[tokio::test]
async fn i14_7_what_a_listener_returns_that_has_no_json() {
    let Some(node) = official_client().await else {
        return;
    };
    let server = Server::with("odd.js", ODD).await;
    let ada = node.connect(&server, "/").await;
    for (event, wanted) in [
        ("nothing", json!([])),
        ("nan", json!([[null, null]])),
        ("date", json!(["1970-01-01T00:00:00.000Z"])),
        ("surrogate", json!(["a\u{fffd}b"])),
        ("key", json!([{ "\u{fffd}": 1 }])),
        ("forgotten", json!([])),
        ("forgotten later", json!([])),
        ("emit surrogate", json!([true])),
    ] {
        assert_eq!(ada.ask(event, json!([])).await, wanted, "{event}");
    }
    assert_eq!(ada.wait_event("e\u{fffd}").await, json!(["\u{fffd}"]));
    for (event, words) in [
        ("circular", "circular"),
        ("bigint", "BigInt"),
        ("map", "JSON has no Map"),
        ("inner", "JSON has no Set"),
        ("never", "a promise that nothing settles"),
        ("ask", "Error: inner"),
        ("emit circular", "circular"),
    ] {
        let from = server.log().len();
        let ack: Value = ada.ask(event, json!([])).await;
        assert_eq!(ack[0]["error"]["code"], json!(500), "{event}: {ack}");
        server.wait_for_log_from(from, &["odd.js", words]).await;
    }
    assert_eq!(ada.ask("good", json!([])).await, json!(["good"]));
}

#[tokio::test]
async fn i14_7_two_scripts_with_one_route_are_told_apart_by_who_was_first() {
    let server = Server::with("a.js", "app.get('/v', () => 'a');").await;
    server.drop_in(
        "b.mjs",
        "app.get('/v', () => 'b'); app.get('/w', () => 'w');",
    );
    let words = [
        "b.mjs",
        "route GET /v is already served by a.js",
        "remove one of the files",
    ];
    server.wait_for_log(&words).await;
    assert_eq!(server.get("/v").await.text(), "a");
    assert_eq!(server.get("/w").await.status, 404);
    server.remove("a.js");
    server.wait_for_body("/v", "b").await;
}

#[tokio::test]
async fn i14_7_ten_megabytes_of_source_are_not_even_read() {
    let server = Server::with("v.js", "app.get('/v', () => 'one');").await;
    server.drop_in("v.js", "x".repeat(10 << 20));
    let words = [
        "v.js",
        "has 10485760 bytes",
        "a script may have 1048576",
        "still serving generation 1",
    ];
    server.wait_for_log(&words).await;
    assert_eq!(server.get("/v").await.text(), "one");
}

#[tokio::test]
async fn i14_7_a_handler_that_never_answers_is_ended_at_its_deadline() {
    let script = "app.get('/wait', () => new Promise(resolve => setTimeout(resolve, 60000)));\napp.get('/v', () => 'v');";
    let plan = Server::prepare().handler("w.js", script);
    let server = plan
        .handler("w.toml", "deadline = \"300ms\"\n")
        .start()
        .await;
    assert_eq!(server.get("/wait").await.status, 504);
    assert_eq!(server.get("/v").await.text(), "v");
}

#[tokio::test]
async fn i14_7_a_deep_source_is_an_error_and_no_end_of_the_server() {
    let server = Server::with("v.js", "app.get('/v', () => 'one');").await;
    server.drop_in("v.js", "(".repeat(20_000));
    server
        .wait_for_log(&["v.js", "still serving generation 1"])
        .await;
    assert_eq!(server.get("/v").await.text(), "one");
}
