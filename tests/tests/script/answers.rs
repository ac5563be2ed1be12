//! What a route may return, and what becomes of what it may not.

use hitchy_tests::Server;
use serde_json::json;

const ROUTES: &str = r#"
const routes = {
    object: () => ({ a: [1, "zwei", null, true] }),
    string: () => "grüße",
    bytes: () => new Uint8Array([0, 255]),
    buffer: () => new Uint8Array([1, 2]).buffer,
    nothing: () => undefined,
    nil: () => null,
    number: () => 7,
    promise: async () => ({ later: true }),
    response: () => new Response("made", { status: 201, headers: { "x-made": "yes" } }),
    json: () => Response.json({ a: 1 }, { status: 202 }),
    redirect: () => Response.redirect("/elsewhere", 303),
    date: () => ({ at: new Date(0) }),
    nan: () => ({ n: NaN }),
    surrogate: () => "a\ud800b",
    circular() { const a = {}; a.a = a; return a },
    bigint: () => ({ n: 1n }),
    map: () => ({ inner: new Map([[1, 2]]) }),
    set: () => new Set([1]),
    forgotten: () => ({ value: Promise.resolve(1) }),
    inner: () => ({ bytes: new Uint8Array(2) }),
    function: () => () => 1,
    failure() { throw new Failure(409, "taken", { by: "Ada" }) },
    error() { throw new Error("secret") },
    thrown() { throw "plain" },
    async rejected() { throw new Failure(418, "short and stout") },
    never: () => new Promise(() => {}),
    slow: () => new Promise(resolve => setTimeout(() => resolve("slow"), 20)),
    both: () => Promise.all([30, 20, 10].map(ms => new Promise(resolve => setTimeout(resolve, ms, ms)))),
    recursion() { const deeper = n => deeper(n + 1) + 1; return deeper(0) },
    deep() { let a = []; for (let n = 0; n < 1e6; n++) a = [a]; return a },
    loop() { for (;;); },
    memory() { const all = []; for (;;) all.push(new Uint8Array(1 << 20)) },
    unhandled() { Promise.reject(new Error("nobody")); return "done" },
    handled() { const promise = Promise.reject(new Error("somebody")); return promise.catch(error => error.message) },
    left() { setTimeout(() => {}, 5000); return "left" },
};
for (const [name, run] of Object.entries(routes)) app.get(`/${name}`, run);
"#;

async fn serve() -> Server {
    let plan = Server::prepare().handler("r.js", ROUTES);
    plan.settings("[limits]\ncpu = \"300ms\"\n").start().await
}

#[tokio::test]
async fn i14_2_what_a_route_returns_becomes_a_response() {
    let server = serve().await;
    for (path, status, kind, body) in [
        (
            "/object",
            200,
            "application/json; charset=utf-8",
            r#"{"a":[1,"zwei",null,true]}"#,
        ),
        ("/string", 200, "text/plain; charset=utf-8", "grüße"),
        ("/number", 200, "application/json; charset=utf-8", "7"),
        (
            "/promise",
            200,
            "application/json; charset=utf-8",
            r#"{"later":true}"#,
        ),
        ("/response", 201, "text/plain;charset=UTF-8", "made"),
        ("/json", 202, "application/json", r#"{"a":1}"#),
        (
            "/date",
            200,
            "application/json; charset=utf-8",
            r#"{"at":"1970-01-01T00:00:00.000Z"}"#,
        ),
        (
            "/nan",
            200,
            "application/json; charset=utf-8",
            r#"{"n":null}"#,
        ),
        ("/surrogate", 200, "text/plain; charset=utf-8", "a\u{fffd}b"),
        ("/slow", 200, "text/plain; charset=utf-8", "slow"),
        (
            "/both",
            200,
            "application/json; charset=utf-8",
            "[30,20,10]",
        ),
    ] {
        let answer = server.get(path).await;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        assert_eq!(answer.header("content-type"), Some(kind), "{path}");
        assert_eq!(answer.text(), body, "{path}");
    }
    assert_eq!(server.get("/bytes").await.body.as_ref(), [0, 255]);
    assert_eq!(server.get("/buffer").await.body.as_ref(), [1, 2]);
    assert_eq!(server.get("/nothing").await.status, 204);
    assert_eq!(server.get("/nil").await.status, 204);
    let answer = server.get("/redirect").await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, Some("/elsewhere"))
    );
    assert_eq!(server.get("/response").await.header("x-made"), Some("yes"));
}

#[tokio::test]
async fn i14_6_what_cannot_be_sent_is_an_error_with_its_place() {
    let server = serve().await;
    for (path, words) in [
        ("/circular", "circular"),
        ("/bigint", "BigInt"),
        ("/map", "JSON has no Map: use Object.fromEntries"),
        ("/set", "JSON has no Set"),
        ("/forgotten", "await it"),
        ("/inner", "JSON has no bytes"),
        ("/function", "a function is no answer"),
        ("/thrown", "thrown: plain"),
        ("/never", "a promise that nothing settles"),
        ("/recursion", "call stack"),
    ] {
        let from = server.log().len();
        let answer = server.get(path).await;
        assert_eq!(answer.status, 500, "{path}: {answer:?}");
        server.wait_for_log_from(from, &["r.js", words]).await;
    }
    let answer = server.get("/error").await;
    assert!(!answer.text().contains("secret"), "{answer:?}");
    let line = server.wait_for_log(&["Error: secret"]).await;
    assert!(line.contains("r.js:25:"), "{line}");
    assert!(
        line.contains(r#"error() { throw new Error("secret") },"#),
        "{line}"
    );
    assert_eq!(server.get("/object").await.status, 200);
}

#[tokio::test]
async fn i14_2_a_failure_is_for_the_client() {
    let server = serve().await;
    let answer = server.get("/failure").await;
    assert_eq!(answer.status, 409);
    let body = answer.json();
    assert_eq!(
        (&body["error"], &body["data"]),
        (&json!("taken"), &json!({ "by": "Ada" }))
    );
    let answer = server.get("/rejected").await;
    assert_eq!(
        (answer.status, &answer.json()["error"]),
        (418, &json!("short and stout"))
    );
}

#[tokio::test]
async fn i14_6_loops_memory_and_depth_end_their_call_alone() {
    let server = serve().await;
    for path in ["/loop", "/memory", "/deep"] {
        let status = server.get(path).await.status;
        assert!((500..600).contains(&status), "{path}: {status}");
        assert_eq!(server.get("/object").await.status, 200, "after {path}");
    }
}

#[tokio::test]
async fn i14_6_a_rejection_that_nothing_handles_is_logged() {
    let server = serve().await;
    assert_eq!(server.get("/handled").await.text(), "somebody");
    assert_eq!(server.get("/unhandled").await.text(), "done");
    let line = server
        .wait_for_log(&["nothing handles it", "Error: nobody"])
        .await;
    assert!(line.contains("r.js:"), "{line}");
    let all = server.log().all();
    assert!(!all.iter().any(|line| line.contains("somebody")), "{all:?}");
}

#[tokio::test]
async fn i14_3_what_goes_on_after_the_answer_ends_with_one_warning() {
    let server = serve().await;
    assert_eq!(server.get("/left").await.text(), "left");
    server
        .wait_for_log(&["r.js", "the call has ended, and with it 1 timer"])
        .await;
}
