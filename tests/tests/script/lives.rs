//! Scripts with each life of instances, and how their common code is prepared.

use futures_util::future::join_all;
use hitchy_tests::raw::RawClient;
use hitchy_tests::wait::{SOON, until};
use hitchy_tests::{Server, official_client};
use serde_json::{Value, json};

const COUNTING: &str = r#"
let all = 0;
io.on("connection", socket => {
    let own = 0;
    const { name } = socket.handshake.auth;
    socket.emit("welcome", name);
    socket.data.visits = (socket.data.visits ?? 0) + 1;
    socket.on("count", () => ({ name, own: ++own, all: ++all, visits: socket.data.visits }));
    socket.on("loop", () => { for (;;); });
    socket.on("disconnect", () => io.emit("left", name, own));
});
app.get("/count", () => `${++all}`);
"#;

async fn serve(life: &str) -> Server {
    let sidecar = format!(
        "instances = \"{life}\"\ncpu = \"200ms\"\n{}",
        if life == "shared" {
            "max-instances = 1\n"
        } else {
            ""
        }
    );
    let plan = Server::prepare().handler("c.js", COUNTING);
    plan.handler("c.toml", sidecar).start().await
}

#[tokio::test]
async fn d02_variables_of_the_connection_callback_count_for_each_client() {
    let Some(node) = official_client().await else {
        return;
    };
    let server = serve("socket").await;
    let enter = async |name: &str| {
        let auth = json!({ "auth": { "name": name } });
        node.connect_with(&server, "/", auth).await.expect("let in")
    };
    let (ada, bob) = (enter("Ada").await, enter("Bob").await);
    for n in 1..=3 {
        let wanted = |name, n| json!([{ "name": name, "own": n, "all": n, "visits": 1 }]);
        assert_eq!(ada.ask("count", json!([])).await, wanted("Ada", n));
        assert_eq!(bob.ask("count", json!([])).await, wanted("Bob", n));
    }
    // After a fault another instance begins anew, with the same client, and nothing is done twice.
    ada.ask("loop", json!([])).await;
    let again = json!([{ "name": "Ada", "own": 1, "all": 1, "visits": 1 }]);
    assert_eq!(ada.ask("count", json!([])).await, again);
    assert_eq!(ada.events("welcome"), [json!(["Ada"])]);
    bob.disconnect().await;
    assert_eq!(ada.wait_event("left").await, json!(["Bob", 3]));
}

#[tokio::test]
async fn d01_a_listener_sees_its_own_client_and_no_earlier_call() {
    let Some(node) = official_client().await else {
        return;
    };
    let server = serve("call").await;
    let auth = json!({ "auth": { "name": "Ada" } });
    let ada = node.connect_with(&server, "/", auth).await.expect("let in");
    for _ in 0..2 {
        let wanted = json!([{ "name": "Ada", "own": 1, "all": 1, "visits": 1 }]);
        assert_eq!(ada.ask("count", json!([])).await, wanted);
    }
    assert_eq!(ada.events("welcome"), [json!(["Ada"])]);
    assert_eq!(server.get("/count").await.text(), "1");
    assert_eq!(server.get("/count").await.text(), "1");
}

#[tokio::test]
async fn d03_shared_instances_keep_what_is_at_the_top_and_nothing_of_a_client() {
    let Some(node) = official_client().await else {
        return;
    };
    let server = serve("shared").await;
    let enter = async |name: &str| {
        let auth = json!({ "auth": { "name": name } });
        node.connect_with(&server, "/", auth).await.expect("let in")
    };
    let (ada, bob) = (enter("Ada").await, enter("Bob").await);
    assert_eq!(
        ada.ask("count", json!([])).await,
        json!([{ "name": "Ada", "own": 1, "all": 1, "visits": 1 }])
    );
    assert_eq!(
        bob.ask("count", json!([])).await,
        json!([{ "name": "Bob", "own": 1, "all": 2, "visits": 1 }])
    );
    assert_eq!(server.get("/count").await.text(), "3");
    assert_eq!(ada.events("welcome"), [json!(["Ada"])]);
}

#[tokio::test]
async fn i14_1_a_second_start_compiles_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let dir = folder.path().join("cache");
    let start = async || {
        let plan = Server::prepare().env("HITCHY_CACHE__DIR", dir.to_str().expect("UTF-8"));
        let plan = plan
            .handler("a.js", "app.get('/a', () => 'a');")
            .handler("b.js", "app.get('/b', () => 'b');");
        plan.console().start().await
    };
    for compiled in [1, 0] {
        let server = start().await;
        assert_eq!(server.get("/a").await.text(), "a");
        assert_eq!(server.get("/b").await.text(), "b");
        let counted = server
            .metrics()
            .await
            .value("hitchy_compile_duration_seconds_count");
        assert_eq!(counted, f64::from(compiled));
        let is_code = |entry: std::io::Result<std::fs::DirEntry>| {
            entry.is_ok_and(|entry| entry.path().extension() == Some("code".as_ref()))
        };
        let is_kept = async || std::fs::read_dir(&dir).is_ok_and(|mut all| all.any(is_code));
        until("the code of the runner is in the cache", SOON, is_kept).await;
    }
}

#[tokio::test]
async fn i14_1_the_first_script_holds_up_no_other_file() {
    let server = Server::prepare().start().await;
    server.drop_in("a.js", "app.get('/a', () => 'a');");
    server.drop_in("version.wasm", hitchy_tests::guest("version_one"));
    server.wait_for_log(&["version.wasm: loaded"]).await;
    server.wait_for_body("/a", "a").await;
    server.wait_for_log(&["a.js: loaded"]).await;
    let all = server.log().all();
    let place = |words: &str| all.iter().position(|line| line.contains(words));
    assert!(
        place("version.wasm: loaded") < place("a.js: loaded"),
        "{all:?}"
    );
}

const FORGETTING: &str = r#"
let calls = 0;
const kept = new Map();
const told = () => {
    kept.set(`${calls++}`, "x".repeat(1000));
    globalThis.visits = (globalThis.visits ?? 0) + 1;
    Array.prototype.last ??= `${calls}`;
    return [calls, kept.size, visits, Array.prototype.last].join(" ");
};
app.get("/told", () => told());
app.get("/grow", () => `${new Uint8Array(4 << 20).fill(7).length} ${told()}`);
app.get("/throw", () => { told(); throw new Error("on purpose"); });
app.get("/loop", () => { told(); for (;;); });
app.get("/late", () => { told(); setTimeout(() => told(), 5); return "early"; });
io.on("connection", socket => socket.on("told", () => told()));
"#;

/// The number of the instances of a handler that ended for a reason.
async fn ended(server: &Server, handler: &str, reason: &str) -> f64 {
    let name = format!("hitchy_instances_ended_total{{handler=\"{handler}\",reason=\"{reason}\"}}");
    server.metrics().await.value(&name)
}

#[tokio::test]
async fn d01_an_instance_of_a_script_is_used_again_and_remembers_nothing() {
    for life in ["call", "socket"] {
        let plan = Server::prepare().handler("c.js", FORGETTING);
        let sidecar = format!("instances = \"{life}\"\ncpu = \"200ms\"");
        let server = plan.handler("c.toml", sidecar).console().start().await;
        let told = async |target: &str| server.get(target).await.text();
        for _ in 0..50 {
            assert_eq!(told("/told").await, "1 1 1 1");
        }
        let at_once = join_all((0..20).map(|_| told("/told"))).await;
        assert!(at_once.iter().all(|one| one == "1 1 1 1"), "{at_once:?}");
        let living = format!("hitchy_instances{{handler=\"c.js\",life=\"{life}\"}}");
        let living = server.metrics().await.value(&living);
        assert!((1.0..=20.0).contains(&living), "{living}");
        assert_eq!(ended(&server, "c.js", "grown").await, 0.0);
        assert_eq!(told("/grow").await, "4194304 1 1 1 1");
        assert_eq!(ended(&server, "c.js", "grown").await, 1.0);
        assert_eq!(told("/told").await, "1 1 1 1");
        assert_eq!(server.get("/throw").await.status, 500);
        assert_eq!(told("/told").await, "1 1 1 1");
        assert_eq!(server.get("/loop").await.status, 504);
        assert_eq!(told("/told").await, "1 1 1 1");
        assert_eq!(told("/late").await, "early");
        assert_eq!(told("/told").await, "1 1 1 1");
    }
}

/// Scripts of several sizes, so that the end of their memory lies elsewhere in each.
#[tokio::test]
async fn d01_an_ordinary_call_lets_no_memory_grow() {
    let mut plan = Server::prepare().console();
    for size in 0..8 {
        let script = format!(
            "const padding = new Uint8Array({size} * 8192).fill(1);\n\
             app.get('/{size}/bytes', () => `${{new Uint8Array(48 << 10).fill(7).length}}`);\n\
             app.get('/{size}/objects', () => `${{Array.from({{ length: 200 }}, (_, i) => ({{ i, s: `x${{i}}` }})).length}}`);"
        );
        plan = plan.handler(&format!("p{size}.js"), script);
    }
    let server = plan.start().await;
    for size in 0..8 {
        let handler = format!("p{size}.js");
        for (target, wanted) in [("bytes", "49152"), ("objects", "200")] {
            let target = format!("/{size}/{target}");
            assert_eq!(server.get(&target).await.text(), wanted);
            assert_eq!(ended(&server, &handler, "grown").await, 0.0, "{target}");
        }
    }
}

const KEEPING: &str = r#"
app.get("/set", ({ socket, data }) => { socket.data.secret = "of ada"; data.large = "x".repeat(1e6); });
app.get("/read", ({ socket }) => ({ secret: socket.data.secret ?? null }));
"#;

#[tokio::test]
async fn d03_a_call_whose_context_is_too_large_leaves_nothing_for_another_client() {
    let server = Server::prepare()
        .handler("k.js", KEEPING)
        .handler("k.toml", "instances = \"shared\"\nmax-instances = 1")
        .start()
        .await;
    let ask = async |client: &mut RawClient, path: &str| {
        let request = json!(["request", { "url": path }]);
        let packet = format!("42/hitchy,1{request}");
        client.send(packet).await.expect("sent");
        let answer = client.ack("/hitchy,1").await.expect("an answer");
        serde_json::from_str::<Value>(&answer).expect("JSON")
    };
    let mut ada = RawClient::connect("websocket", server.addr(), "/hitchy").await;
    let mut bob = RawClient::connect("websocket", server.addr(), "/hitchy").await;
    assert_eq!(ask(&mut ada, "/set").await[0]["statusCode"], 413);
    for _ in 0..2 {
        let answer = ask(&mut bob, "/read").await;
        assert_eq!(answer[0]["body"], json!({ "secret": null }), "{answer}");
    }
}

const KEEPING_SOCKETS: &str = r#"
const kept = [];
app.get("/keep", ({ socket }) => { kept.push(socket); return socket.id; });
app.get("/use", ({ socket }) => {
    try {
        kept[0].emit("secret", "for somebody else");
        return "sent";
    } catch (error) {
        return { id: kept[0].id, error: error.message };
    }
});
"#;

#[tokio::test]
async fn d03_a_socket_that_a_script_keeps_stands_for_nobody_in_the_next_call() {
    let Some(node) = official_client().await else {
        return;
    };
    let server = Server::prepare()
        .handler("k.js", KEEPING_SOCKETS)
        .handler("k.toml", "instances = \"shared\"\nmax-instances = 1")
        .start()
        .await;
    let ada = node.connect(&server, "/hitchy").await;
    let bob = node.connect(&server, "/hitchy").await;
    let keep = ada.ask("request", json!([{ "url": "/keep" }])).await;
    assert_eq!(keep[0]["statusCode"], 200, "{keep}");
    let used = bob.ask("request", json!([{ "url": "/use" }])).await;
    let error = "this socket belongs to a call that has ended";
    assert_eq!(used[0]["body"], json!({ "id": "", "error": error }));
}

/// As many instances of sockets as may be kept, and calls of another script at the same time.
#[tokio::test]
async fn d02_calls_with_fresh_instances_end_no_instance_of_a_socket() {
    let Some(node) = official_client().await else {
        return;
    };
    let server = Server::prepare()
        .handler("c.js", COUNTING)
        .handler("c.toml", "instances = \"socket\"")
        .handler("h.js", "app.get('/hi', () => 'hi');")
        .env("HITCHY_LIMITS__KEPT_INSTANCES", "4")
        .console()
        .start()
        .await;
    let mut clients = Vec::new();
    for name in ["Ada", "Bob", "Cy", "Di"] {
        let auth = json!({ "auth": { "name": name } });
        let client = node.connect_with(&server, "/", auth).await.expect("let in");
        client.ask("count", json!([])).await;
        clients.push(client);
    }
    for _ in 0..20 {
        join_all((0..20).map(|_| server.get("/hi"))).await;
    }
    for client in &clients {
        let answer = client.ask("count", json!([])).await;
        assert_eq!(answer[0]["own"], 2, "{answer}");
    }
    assert_eq!(ended(&server, "c.js", "places").await, 0.0);
}
