//! Key-value storage as handlers see it: their bucket, grants, limits and atomic operations.

use hitchy_tests::clauses::Way;
use hitchy_tests::covered::{Part, covers};
use hitchy_tests::server::Signal;
use hitchy_tests::wait::SOON;
use hitchy_tests::{Server, clauses, storing};
use serde_json::{Value, json};

clauses! {
    http:
        d05_what_was_set_is_there_after_a_kill
        d05_increments_and_swaps_of_many_calls_lose_nothing
        d06_a_handler_has_its_own_bucket_and_no_other
        d06_other_buckets_are_granted_to_read_or_to_write;
}

/// Runs steps in the handler below `prefix`, and returns their results.
async fn run(server: &Server, prefix: &str, steps: Value) -> Vec<Value> {
    let answer = server.post(&format!("{prefix}/kv"), &steps).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let results = answer.json();
    results.as_array().expect("a list").clone()
}

/// Runs steps after opening the handler's own bucket, and returns the result of the last one.
async fn own(server: &Server, prefix: &str, steps: &[Value]) -> Value {
    let steps = [&[json!(["open", ""])], steps].concat();
    let results = run(server, prefix, Value::from(steps)).await;
    results.last().expect("a result").clone()
}

fn ok(value: Value) -> Value {
    json!({ "ok": value })
}

/// Returns the sentence of a failed step.
fn error(result: &Value) -> &str {
    result["error"]
        .as_str()
        .unwrap_or_else(|| panic!("no error: {result}"))
}

async fn d05_what_was_set_is_there_after_a_kill(_: Way) {
    let mut server = Server::with("a.wasm", storing("")).await;
    assert!(
        !server.dir().join("data").exists(),
        "nothing is made before it is needed"
    );
    assert_eq!(
        own(&server, "", &[json!(["get", "k"])]).await,
        ok(json!(null))
    );
    assert!(
        !server.dir().join("data").exists(),
        "reading makes no folder"
    );
    let set = own(&server, "", &[json!(["set", "k", "kept"])]).await;
    assert_eq!(set, ok(json!(null)));
    server.signal(Signal::KILL);
    server.wait_for_end(SOON).await;
    let again = Server::prepare()
        .handler("a.wasm", storing(""))
        .env(
            "HITCHY_KV__PATH",
            server.dir().join("data").to_str().expect("UTF-8"),
        )
        .start()
        .await;
    assert_eq!(
        own(&again, "", &[json!(["get", "k"])]).await,
        ok(json!("kept"))
    );
    covers("rust", &[Part::KeyValue]);
}

async fn d05_increments_and_swaps_of_many_calls_lose_nothing(_: Way) {
    let server = Server::prepare()
        .handler("a.wasm", storing("/a"))
        .handler("b.wasm", storing("/b"))
        .file("handlers/a.toml", "bucket = \"shared\"")
        .file("handlers/b.toml", "bucket = \"shared\"")
        .start()
        .await;
    let calls = (0..64).map(|index| {
        let prefix = ["/a", "/b"][index % 2];
        run(
            &server,
            prefix,
            json!([
                ["open", ""],
                ["increment", "n", 2],
                ["increment", "n", -1],
                ["draft-open", ""],
                ["draft-increment", "n", 1],
            ]),
        )
    });
    futures_util::future::join_all(calls).await;
    assert_eq!(
        own(&server, "/a", &[json!(["get", "n"])]).await,
        ok(json!("128"))
    );
    swaps_lose_nothing(&server).await;
    let text = own(
        &server,
        "/b",
        &[json!(["set", "k", "x"]), json!(["increment", "k", 1])],
    )
    .await;
    assert!(error(&text).contains("not a number"), "{text}");
}

/// Checks that a swap succeeds only if the value is as it was, and that the next try may succeed.
async fn swaps_lose_nothing(server: &Server) {
    let changed = own(
        server,
        "/b",
        &[
            json!(["set", "k", "one"]),
            json!(["cas", "k"]),
            json!(["set", "k", "two"]),
            json!(["swap", "three"]),
        ],
    )
    .await;
    assert_eq!(changed, ok(json!({ "changed": "two" })));
    let again = own(
        server,
        "/b",
        &[
            json!(["cas", "k"]),
            json!(["set", "k", "x"]),
            json!(["swap", "three"]),
            json!(["swap", "four"]),
            json!(["get", "k"]),
        ],
    )
    .await;
    assert_eq!(again, ok(json!("four")));
    let fresh = own(
        server,
        "/b",
        &[
            json!(["cas", "new"]),
            json!(["swap", "1"]),
            json!(["get", "new"]),
        ],
    )
    .await;
    assert_eq!(fresh, ok(json!("1")));
}

async fn d06_a_handler_has_its_own_bucket_and_no_other(_: Way) {
    let server = Server::prepare()
        .handler("a.wasm", storing("/a"))
        .handler("api/b.wasm", storing("/b"))
        .start()
        .await;
    for prefix in ["/a", "/b"] {
        own(&server, prefix, &[json!(["set", "k", prefix])]).await;
    }
    for name in ["", "default", "a"] {
        let results = run(&server, "/a", json!([["open", name], ["get", "k"]])).await;
        assert_eq!(results[1], ok(json!("/a")), "{name}");
    }
    let results = run(&server, "/b", json!([["open", "api/b"], ["get", "k"]])).await;
    assert_eq!(results[1], ok(json!("/b")));
    for other in ["api/b", "b", "../a", "a\u{0}", "shared", "api/b.wasm"] {
        for word in ["open", "draft-open"] {
            let results = run(&server, "/a", json!([[word, other]])).await;
            assert_eq!(results[0]["error"], "access-denied", "{other}");
        }
    }
    let line = server
        .wait_for_log(&["a.wasm", "access denied", "api/b"])
        .await;
    assert!(
        line.contains("buckets = ") && line.contains("a.toml"),
        "{line}"
    );
    // Keys that look like the names of others stay in the bucket.
    let keys = ["api/b", "../api/b/k", "\u{0}", "k\u{0}", ""];
    for key in keys {
        let result = own(
            &server,
            "/a",
            &[json!(["set", key, "mine"]), json!(["get", key])],
        )
        .await;
        assert_eq!(result, ok(json!("mine")));
    }
    assert_eq!(
        own(&server, "/b", &[json!(["list"])]).await["ok"]["keys"],
        json!(["k"])
    );
}

async fn d06_other_buckets_are_granted_to_read_or_to_write(_: Way) {
    let server = Server::prepare()
        .handler("a.wasm", storing("/a"))
        .handler("b.wasm", storing("/b"))
        .settings("[handler.a]\nbuckets = { shared = \"read-write\", b = \"read\" }\n[handler.b]\nbuckets = { shared = \"read\" }")
        .start()
        .await;
    own(&server, "/b", &[json!(["set", "k", "of b"])]).await;
    one_is_written_and_the_other_read(&server).await;
    let results = run(
        &server,
        "/b",
        json!([["open", "shared"], ["get", "k"], ["set", "k", "x"]]),
    )
    .await;
    assert_eq!(results[1], ok(json!("2")));
    assert_eq!(results[2]["error"], "access-denied");
    // A grant that is taken back ends with a reload.
    let settings = server.dir().join("hitchy.toml");
    std::fs::write(settings, "[handler.a]\nbucket = \"shared\"").expect("written");
    hitchy_tests::wait::until("the grant has ended", SOON * 2, async || {
        run(&server, "/b", json!([["open", "shared"]])).await[0]["error"] == "access-denied"
    })
    .await;
}

/// Checks that the handler of `/a` may write to `shared` and only read `b`.
async fn one_is_written_and_the_other_read(server: &Server) {
    let results = run(
        server,
        "/a",
        json!([
            ["open", "shared"],
            ["set", "k", "1"],
            ["increment", "k", 1],
            ["get", "k"],
            ["open", "b"],
            ["get", "k"],
            ["exists", "k"],
            ["list"],
            ["get-many", ["k"]],
            ["cas", "k"],
            ["set", "k", "x"],
            ["delete", "k"],
            ["increment", "n", 1],
            ["swap", "x"],
            ["set-many", ["k"], "x"],
            ["delete-many", ["k"]],
        ]),
    );
    let results = results.await;
    assert_eq!(results[3], ok(json!("2")));
    assert_eq!(results[5], ok(json!("of b")));
    assert!(
        results[..10]
            .iter()
            .all(|result| result.get("ok").is_some()),
        "{results:?}"
    );
    assert!(
        results[10..]
            .iter()
            .all(|result| result["error"] == "access-denied"),
        "{results:?}"
    );
    server
        .wait_for_log(&["a.wasm", "may only read", "read-write"])
        .await;
}

#[tokio::test]
async fn i12_1_both_drafts_work_on_the_same_bucket() {
    let server = Server::with("a.wasm", storing("")).await;
    let results = run(
        &server,
        "",
        json!([
            ["open", ""],
            ["set", "a", "1"],
            ["draft-open", "default"],
            ["draft-get", "a"],
            ["draft-set", "b", "2"],
            ["draft-exists", "b"],
            ["draft-increment", "b", 5],
            ["draft-get-many", ["a", "none", "b"]],
            ["draft-set-many", ["c", "d"], "x"],
            ["draft-delete-many", ["c", "none"]],
            ["draft-delete", "d"],
            ["draft-list"],
            ["get-many", ["a", "none", "b"]],
            ["set-many", ["e", "f"], "y"],
            ["delete-many", ["e"]],
            ["exists", "e"],
            ["exists", "f"],
            ["list"],
        ]),
    );
    let results: Vec<Value> = results
        .await
        .into_iter()
        .map(|mut result| result["ok"].take())
        .collect();
    assert_eq!(results[3], json!("1"));
    assert_eq!(results[6], json!(7));
    assert_eq!(results[7], json!(["a", null, "b"]));
    assert_eq!(results[11], json!({ "keys": ["a", "b"], "cursor": null }));
    assert_eq!(results[12], json!([["a", "1"], null, ["b", "7"]]));
    assert_eq!(results[15..17], [json!(false), json!(true)]);
    assert_eq!(results[17]["keys"], json!(["a", "b", "f"]));
}

#[tokio::test]
async fn i12_1_a_list_has_pages_and_a_cursor_of_neither_draft_is_refused() {
    let server = Server::prepare()
        .handler("a.wasm", storing(""))
        .settings("[limits]\nkv-ops-per-call = 5000")
        .start()
        .await;
    own(&server, "", &[json!(["many", "k", 1001])]).await;
    let first = own(&server, "", &[json!(["list"])]).await;
    assert_eq!(first["ok"]["keys"].as_array().map(Vec::len), Some(1000));
    let cursor = &first["ok"]["cursor"];
    // The cursor of the newer draft holds in later calls too.
    let second = own(&server, "", &[json!(["list", cursor])]).await;
    assert_eq!(second["ok"], json!({ "keys": ["k999"], "cursor": null }));
    let results = run(
        &server,
        "",
        json!([
            ["draft-open", ""],
            ["draft-list"],
            ["draft-next"],
            ["draft-list", 2]
        ]),
    )
    .await;
    let cursor = &results[1]["ok"]["cursor"];
    assert!(cursor.is_u64(), "{results:?}");
    assert_eq!(
        results[2]["ok"],
        json!({ "keys": ["k999"], "cursor": null })
    );
    assert!(error(&results[3]).contains("cursor"), "{results:?}");
    for wrong in ["", "k5", "\u{0}", &format!(">{}", "k".repeat(2000))] {
        let result = own(&server, "", &[json!(["list", wrong])]).await;
        assert!(error(&result).contains("cursor"), "{result}");
    }
}

#[tokio::test]
async fn d04_a_cursor_of_the_older_draft_lasts_for_one_call() {
    let server = Server::prepare()
        .handler("a.wasm", storing(""))
        .settings("[limits]\nkv-ops-per-call = 5000")
        .start()
        .await;
    own(&server, "", &[json!(["many", "k", 1001])]).await;
    let pages = json!([["draft-open", ""], ["draft-list"]]);
    let first = run(&server, "", pages).await;
    let cursor = &first[1]["ok"]["cursor"];
    // The second call has a page of its own, which the cursor of the first must not stand for.
    let pages = json!([["draft-open", ""], ["draft-list"], ["draft-list", cursor]]);
    let second = run(&server, "", pages).await;
    assert!(error(&second[2]).contains("cursor"), "{second:?}");
}

#[tokio::test]
async fn g22_sizes_and_quotas_are_errors_and_leave_nothing() {
    let server = Server::prepare()
        .handler("a.wasm", storing(""))
        .settings("[kv]\nmax-keys = 100\nmax-bytes = \"2MiB\"")
        .start()
        .await;
    let key = "k".repeat(1024);
    let fits = own(
        &server,
        "",
        &[json!(["set", key, "v"]), json!(["get", key])],
    )
    .await;
    assert_eq!(fits, ok(json!("v")));
    let long = own(&server, "", &[json!(["set", format!("{key}k"), "v"])]).await;
    assert!(error(&long).contains("1024"), "{long}");
    let fits = own(
        &server,
        "",
        &[json!(["set-size", "v", 1 << 20]), json!(["size", "v"])],
    )
    .await;
    assert_eq!(fits, ok(json!(1 << 20)));
    let large = own(&server, "", &[json!(["set-size", "w", (1 << 20) + 1])]).await;
    assert!(error(&large).contains("1048576"), "{large}");
    let full = own(&server, "", &[json!(["set-size", "w", 1 << 20])]).await;
    assert!(error(&full).contains("kv.max-bytes"), "{full}");
    let many = own(&server, "", &[json!(["many", "m", 200])]).await;
    assert!(error(&many).contains("kv.max-keys"), "{many}");
    assert_eq!(
        own(&server, "", &[json!(["exists", "w"])]).await,
        ok(json!(false))
    );
    for (size, steps) in [
        (10_000_000, vec![json!(["set-size", "w", 10_000_000])]),
        (31_000_000, vec![json!(["set-size", "w", 31_000_000])]),
        (
            10_000_000,
            vec![json!(["cas", "w"]), json!(["swap-size", 10_000_000])],
        ),
        (10_000_000, vec![json!(["set-many-size", "w", 10_000_000])]),
        (10_000_000, vec![json!(["get-long", 10_000_000])]),
    ] {
        let large = own(&server, "", &steps).await;
        assert!(error(&large).contains(&size.to_string()), "{large}");
    }
    // A value beyond what is taken from a guest at once ends the call, and nothing else.
    let huge = server
        .post("/kv", &json!([["open", ""], ["set-size", "w", 40 << 20]]))
        .await;
    assert_eq!(huge.status, 502, "{huge:?}");
    server.wait_for_log(&["a.wasm", "pass it in parts"]).await;
    assert_eq!(
        own(&server, "", &[json!(["exists", "w"])]).await,
        ok(json!(false))
    );
    let mut server = server;
    server.assert_unharmed();
}

#[tokio::test]
async fn g22_operations_of_a_call_are_bounded() {
    let server = Server::prepare()
        .handler("a.wasm", storing(""))
        .settings("[handler.a]\nkv-ops-per-call = 5")
        .start()
        .await;
    let results = run(
        &server,
        "",
        json!([
            ["open", ""],
            ["get", "a"],
            ["get-many", ["a", "b", "c"]],
            ["get", "a"],
            ["set", "a", "x"],
            ["open", ""],
        ]),
    );
    let results = results.await;
    assert!(
        results[..3].iter().all(|result| result.get("ok").is_some()),
        "{results:?}"
    );
    for result in &results[3..] {
        assert!(error(result).contains("limits.kv-ops-per-call"), "{result}");
    }
    // The next call counts from the beginning.
    assert_eq!(
        own(&server, "", &[json!(["exists", "a"])]).await,
        ok(json!(false))
    );
}

#[tokio::test]
async fn i12_1_describe_cannot_use_a_bucket() {
    let server = Server::with("a.wasm", storing("")).await;
    // The guest declares a route by what it got in describe.
    assert_eq!(server.get("/describe/refused").await.status, 200);
    assert_eq!(server.get("/describe/granted").await.status, 404);
}
