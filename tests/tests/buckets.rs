//! Key-value storage as handlers in Rust use it: the SDK on the server's store, and buckets that are granted.

use futures_util::future::join_all;
use hitchy_tests::clauses;
use hitchy_tests::clauses::Way;
use hitchy_tests::console::{find, page};
use hitchy_tests::guests::example;
use hitchy_tests::raw::RawSocket;
use hitchy_tests::server::Plan;
use hitchy_tests::stage::Stage;
use hitchy_tests::wait::{SOON, until};
use hitchy_tests::{Server, Socket, guest, scripted};
use serde_json::{Value, json};

clauses! {
    http request_websocket request_polling event_websocket event_polling:
        d06_a_handler_uses_its_own_bucket_and_others_as_granted;
}

/// Prepares a server with the guest `keeper`, which may read one bucket of others and write another.
fn keeper() -> Plan {
    let grants = "buckets = { prices = \"read\", shared = \"read-write\" }\n";
    Server::prepare()
        .handler("keeper.wasm", guest("keeper"))
        .handler("keeper.toml", grants)
}

/// Has the keeper do something over HTTP.
async fn ask(server: &Server, deed: Value) -> Value {
    let answer = server.post("/keeper", &deed).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// Has the keeper do something through the door of the test.
async fn ask_through(stage: &Stage, socket: Option<&Socket>, deed: Value) -> Value {
    match (socket, stage.way) {
        (None, _) => ask(&stage.server, deed).await,
        (Some(socket), Way::EventWebsocket | Way::EventPolling) => {
            socket.ask("keeper", json!([deed])).await[0].clone()
        }
        (Some(socket), _) => {
            let request = json!([{ "method": "POST", "url": "/keeper", "body": deed }]);
            socket.ask("request", request).await[0]["body"].clone()
        }
    }
}

async fn d06_a_handler_uses_its_own_bucket_and_others_as_granted(way: Way) {
    let plan = keeper().handler("other.wasm", scripted("route GET /other"));
    let Some(stage) = Stage::set_with(way, plan).await else {
        return;
    };
    let socket = match way {
        Way::Http => None,
        Way::RequestWebsocket | Way::RequestPolling => Some(stage.connect("/hitchy").await),
        Way::EventWebsocket | Way::EventPolling => Some(stage.connect("/").await),
    };
    let socket = socket.as_ref();
    let deed = |bucket: &str, what: &str, key: &str| json!({ "bucket": bucket, "do": what, "key": key, "value": 1 });
    for bucket in ["default", "keeper", "shared"] {
        assert_eq!(
            ask_through(&stage, socket, deed(bucket, "set", "a")).await,
            Value::Null
        );
        assert_eq!(
            ask_through(&stage, socket, deed(bucket, "get", "a")).await,
            1,
            "{bucket}"
        );
    }
    assert_eq!(
        ask_through(&stage, socket, deed("prices", "get", "a")).await,
        Value::Null
    );
    for (bucket, what) in [
        ("prices", "set"),
        ("prices", "delete"),
        ("other", "get"),
        ("nobodys", "get"),
    ] {
        let denied = ask_through(&stage, socket, deed(bucket, what, "a")).await;
        let error = denied["error"].as_str().unwrap_or_default();
        assert!(
            error.contains(&format!("`{bucket}`")),
            "{bucket} {what}: {denied}"
        );
    }
    let denied = ["access denied", "other", "buckets = {", "keeper.toml"];
    stage.server.wait_for_log(&denied).await;
    // Keys of one bucket are not those of another.
    assert_eq!(
        ask_through(&stage, socket, deed("shared", "delete", "a")).await,
        Value::Null
    );
    assert_eq!(
        ask_through(&stage, socket, deed("keeper", "get", "a")).await,
        1
    );
}

#[tokio::test]
async fn i12_1_the_sdk_reads_and_writes_values_on_the_servers_store() {
    let server = keeper().start().await;
    let pairs = json!([["n:1", { "a": [1, "ü"] }], ["n:2", null], ["o", 2]]);
    assert_eq!(
        ask(&server, json!({ "do": "set-many", "pairs": pairs })).await,
        Value::Null
    );
    let many = json!({ "do": "get-many", "keys": ["o", "none", "n:1"] });
    assert_eq!(
        ask(&server, many).await,
        json!([2, null, { "a": [1, "ü"] }])
    );
    assert_eq!(
        ask(&server, json!({ "do": "keys", "prefix": "n:" })).await,
        json!(["n:1", "n:2"])
    );
    assert_eq!(
        ask(&server, json!({ "do": "exists", "key": "n:2" })).await,
        true
    );
    let gone = json!({ "do": "delete-many", "keys": ["n:1", "n:2"] });
    assert_eq!(ask(&server, gone).await, Value::Null);
    assert_eq!(
        ask(&server, json!({ "do": "keys", "prefix": "" })).await,
        json!(["o"])
    );

    let increment = |by: i64| json!({ "do": "increment", "key": "o", "by": by });
    assert_eq!(ask(&server, increment(5)).await, 7);
    assert_eq!(ask(&server, json!({ "do": "get", "key": "o" })).await, 7);
    let reserve = json!({ "do": "reserve", "key": "seat", "value": "Ada" });
    assert_eq!(ask(&server, reserve.clone()).await, "Ada");
    assert_eq!(
        ask(&server, reserve).await["error"],
        "taken by \"Ada\" (409)"
    );

    let spaces = |length: u32| json!({ "do": "set-spaces", "key": "big", "length": length });
    assert_eq!(ask(&server, spaces(1 << 20)).await, Value::Null);
    let refused = ask(&server, spaces((1 << 20) + 1)).await;
    assert!(
        refused["error"]
            .as_str()
            .is_some_and(|it| it.contains("store failed")),
        "{refused}"
    );
    let unreadable = ask(&server, json!({ "do": "get", "key": "big" })).await;
    assert!(
        unreadable["error"]
            .as_str()
            .is_some_and(|it| it.contains("`big` does not fit")),
        "{unreadable}"
    );
}

#[tokio::test]
async fn i12_1_updates_at_the_same_time_do_not_undo_each_other() {
    let server = keeper().start().await;
    let push = async |item: u32| {
        let deed = json!({ "do": "push", "key": "list", "item": item, "max": 1000 });
        ask(&server, deed).await
    };
    join_all((0..64).map(push)).await;
    let list = ask(&server, json!({ "do": "get", "key": "list" })).await;
    let mut items: Vec<u64> = serde_json::from_value(list).expect("a list");
    items.sort_unstable();
    assert_eq!(items, (0..64).collect::<Vec<_>>());

    let many: Vec<_> = (0..500)
        .map(|number| json!([format!("key:{number:03}"), number]))
        .collect();
    ask(&server, json!({ "do": "set-many", "pairs": many })).await;
    let keys = ask(&server, json!({ "do": "keys", "prefix": "key:" })).await;
    assert_eq!(keys.as_array().map(Vec::len), Some(500));
    assert_eq!(
        (&keys[0], &keys[499]),
        (&json!("key:000"), &json!("key:499"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i13_1_of_a_thousand_clients_that_came_and_went_no_claim_is_left() {
    let mut server = Server::prepare()
        .handler("chat.wasm", example("chat"))
        .console()
        .start()
        .await;
    let addr = server.addr();
    for round in 0..20 {
        let clients = (0..50).map(|number| async move {
            let mut socket = RawSocket::open(addr).await.expect("a session");
            let auth = json!({ "name": format!("client {round} {number}"), "key": "k" });
            let entered = socket.enter("/", &auth.to_string()).await;
            entered.expect("the name is free");
        });
        join_all(clients).await;
    }
    // A claim has 60 bytes or more. What is left are the keys that claims share.
    let is_empty = async || {
        let list = page(&server, "/api/buckets").await;
        let bucket = find(&list["buckets"], "name", "chat").expect("it is used");
        bucket["keys"] == 32 && bucket["bytes"].as_u64() < Some(1500)
    };
    until("no claim is left", SOON * 3, is_empty).await;
    server.assert_unharmed();
}
