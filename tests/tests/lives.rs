//! How long instances live, and what they may keep: D1 to D4, through real sockets. Some tests have a size that an
//! environment variable raises.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use hitchy_tests::clauses::Way;
use hitchy_tests::console::{find, page};
use hitchy_tests::guests::stamped;
use hitchy_tests::http::{Connection, request};
use hitchy_tests::raw::{RawClient, RawSocket};
use hitchy_tests::scrape::Scrape;
use hitchy_tests::server::Plan;
use hitchy_tests::wait::{SOON, eventually, until, within};
use hitchy_tests::{Server, clauses, guest};
use serde_json::{Value, json};

clauses! {
    event_websocket event_polling:
        d01_with_call_nothing_is_left_for_another_call
        d02_an_instance_lives_from_on_connect_to_on_disconnect
        d02_an_idle_instance_ends_and_the_next_event_begins_another
        d02_a_fault_ends_the_instance_and_harms_no_other
        d02_a_reload_ends_the_old_instances_and_calls_under_way_end_in_them
        d03_calls_of_all_clients_share_the_instances_of_a_pool
        d04_a_handle_of_an_earlier_call_gives_an_error_and_reaches_nobody;
    http:
        d01_a_request_finds_nothing_of_an_earlier_one
        d03_calls_of_an_instance_never_overlap_and_wait_for_a_free_one
        d04_what_belongs_to_a_call_begins_anew_with_each;
}

/// A server with the guest `living`, whose sidecar has these lines.
fn plan(sidecar: &str) -> Plan {
    Server::prepare()
        .handler("living.wasm", guest("living"))
        .handler("living.toml", sidecar)
        .console()
}

/// A size of a test, which the environment variable `name` replaces.
fn size(name: &str, usual: usize) -> usize {
    let given = std::env::var(name).ok();
    given.map_or(usual, |text| text.parse().expect("a number"))
}

/// A client of `/`.
struct Client {
    raw: RawClient,
    asked: u64,
}

impl Client {
    async fn connect(way: Way, addr: SocketAddr) -> Self {
        let connected = RawClient::connect(way.transport(), addr, "/");
        Self {
            raw: within("CONNECT", SOON * 6, connected).await,
            asked: 0,
        }
    }

    /// Sends a deed as the event `do` and returns its ack.
    async fn ask(&mut self, deed: Value) -> Value {
        self.asked += 1;
        let (id, packet) = (self.asked.to_string(), json!(["do", deed]).to_string());
        let ack = self.raw.ask(&id, &packet).await.expect("an ack");
        let ack: Value = serde_json::from_str(&ack).expect("JSON");
        ack[0].clone()
    }

    async fn nothing(&mut self) -> Value {
        self.ask(json!({ "do": "nothing" })).await
    }
}

/// Sends a deed over HTTP and returns the body of the answer.
async fn post(server: &Server, deed: Value) -> Value {
    server.post("/do", &deed).await.json()
}

fn living(metrics: &Scrape, life: &str) -> f64 {
    metrics.value(&format!(
        "hitchy_instances{{handler=\"living.wasm\",life=\"{life}\"}}"
    ))
}

fn ended(metrics: &Scrape, reason: &str) -> f64 {
    metrics.value(&format!(
        "hitchy_instances_ended_total{{handler=\"living.wasm\",reason=\"{reason}\"}}"
    ))
}

async fn wait_for_living(server: &Server, life: &str, wanted: f64) {
    let what = format!("{wanted} instances live");
    until(&what, SOON * 3, async || {
        living(&server.metrics().await, life) == wanted
    })
    .await;
}

async fn d01_with_call_nothing_is_left_for_another_call(way: Way) {
    let mut server = plan("").start().await;
    let mut clients = [
        Client::connect(way, server.addr()).await,
        Client::connect(way, server.addr()).await,
    ];
    for _ in 0..3 {
        for client in &mut clients {
            let told = client.nothing().await;
            assert_eq!(
                (&told["count"], &told["calls"], &told["life"]),
                (&json!(1), &json!(0), &json!("call"))
            );
        }
    }
    server.assert_unharmed();
}

async fn d01_a_request_finds_nothing_of_an_earlier_one(_: Way) {
    let mut server = plan("").start().await;
    for _ in 0..5 {
        let told = post(&server, json!({ "do": "nothing" })).await;
        assert_eq!((&told["count"], &told["life"]), (&json!(1), &json!("call")));
    }
    server.assert_unharmed();
}

async fn d02_an_instance_lives_from_on_connect_to_on_disconnect(way: Way) {
    let mut server = plan("instances = \"socket\"").start().await;
    let mut one = Client::connect(way, server.addr()).await;
    let mut two = Client::connect(way, server.addr()).await;
    for number in 0..3 {
        for client in [&mut one, &mut two] {
            // on-connect and on-connected were the first two calls.
            let told = client.nothing().await;
            assert_eq!(told["count"], number + 3, "{told}");
            assert_eq!(told["calls"], number + 2, "{told}");
            assert_eq!(
                (&told["seen"], &told["life"]),
                (&json!(1), &json!("socket"))
            );
        }
    }
    for _ in 0..2 {
        let told = post(&server, json!({ "do": "nothing" })).await;
        assert_eq!(
            (&told["count"], &told["life"]),
            (&json!(1), &json!("call")),
            "requests stay fresh"
        );
    }
    let id = one.raw.sid().to_owned();
    one.raw.send("41").await.expect("sent");
    let line = server.wait_for_log(&["gone", &id]).await;
    assert!(
        line.contains("\\\"count\\\":6") || line.contains("\"count\":6"),
        "{line}"
    );
    wait_for_living(&server, "socket", 1.0).await;
    assert_eq!(ended(&server.metrics().await, "disconnect"), 1.0);
    assert_eq!(two.nothing().await["count"], 6);
    server.assert_unharmed();
}

#[tokio::test]
async fn d02_a_refused_client_leaves_no_instance() {
    let server = plan("instances = \"socket\"").start().await;
    let mut socket = RawSocket::open(server.addr()).await.expect("a session");
    assert!(socket.enter("/", r#"{"why":"refuse me"}"#).await.is_err());
    wait_for_living(&server, "socket", 0.0).await;
    assert_eq!(ended(&server.metrics().await, "disconnect"), 1.0);
}

#[tokio::test]
async fn d02_a_client_without_hooks_leaves_no_instance_either() {
    let server = Server::prepare()
        .handler("v.wasm", guest("version_one"))
        .handler("v.toml", "instances = \"socket\"")
        .console()
        .start()
        .await;
    let metric = r#"hitchy_instances{handler="v.wasm",life="socket"}"#;
    let mut socket = RawSocket::connect(server.addr(), "/")
        .await
        .expect("let in");
    assert_eq!(
        server.metrics().await.value(metric),
        0.0,
        "no call, no instance"
    );
    socket.ask("version", &[]).await.expect("an ack");
    assert_eq!(server.metrics().await.value(metric), 1.0);
    drop(socket);
    until("the instance ends", SOON, async || {
        server.metrics().await.value(metric) == 0.0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d02_each_instance_sees_one_client_only() {
    let (clients, events) = (
        size("HITCHY_LIVES_CLIENTS", 100),
        size("HITCHY_LIVES_EVENTS", 10_000),
    );
    let mut server = plan("instances = \"socket\"").start().await;
    let addr = server.addr();
    let tasks = (0..clients).map(|_| {
        tokio::spawn(async move {
            let mut client = Client::connect(Way::EventWebsocket, addr).await;
            for number in 0..events / clients {
                let told = client.nothing().await;
                assert_eq!(told["seen"], 1, "{told}");
                assert_eq!(told["count"], number + 3, "{told}");
                assert_eq!(told["overlapped"], false, "{told}");
            }
            client
        })
    });
    let done = join_all(tasks).await;
    let clients: Vec<Client> = done
        .into_iter()
        .map(|task| task.expect("no assertion failed"))
        .collect();
    assert_eq!(
        living(&server.metrics().await, "socket"),
        clients.len() as f64
    );
    drop(clients);
    wait_for_living(&server, "socket", 0.0).await;
    server.assert_unharmed();
}

#[tokio::test]
async fn d02_calls_of_an_instance_never_overlap() {
    let mut server = plan("instances = \"socket\"").start().await;
    let mut socket = RawSocket::connect(server.addr(), "/")
        .await
        .expect("let in");
    let deed = [json!({ "do": "sleep", "millis": 3 })];
    let good = |ack: &str| ack.contains("\"overlapped\":false");
    socket
        .ask_many(50, "do", &deed, good)
        .await
        .expect("none overlaps");
    server.assert_unharmed();
}

async fn d02_an_idle_instance_ends_and_the_next_event_begins_another(way: Way) {
    let server = plan("instances = \"socket\"\nidle = \"50ms\"")
        .start()
        .await;
    let mut client = Client::connect(way, server.addr()).await;
    client.nothing().await;
    wait_for_living(&server, "socket", 0.0).await;
    assert!(ended(&server.metrics().await, "idle") >= 1.0);
    let told = client.nothing().await;
    assert_eq!((&told["count"], &told["calls"]), (&json!(1), &json!(0)));
}

#[tokio::test]
async fn d02_an_instance_has_as_many_calls_as_it_may() {
    let server = plan("instances = \"socket\"\nmax-calls = 5").start().await;
    let mut client = Client::connect(Way::EventWebsocket, server.addr()).await;
    let mut counts = Vec::new();
    for _ in 0..9 {
        counts.push(client.nothing().await["count"].as_u64().expect("a number"));
    }
    assert_eq!(counts, [3, 4, 5, 1, 2, 3, 4, 5, 1]);
    assert_eq!(ended(&server.metrics().await, "max_calls"), 2.0);
}

async fn d02_a_fault_ends_the_instance_and_harms_no_other(way: Way) {
    let sidecar =
        "instances = \"socket\"\ncpu = \"100ms\"\ndeadline = \"300ms\"\nmemory = \"8MiB\"";
    let mut server = plan(sidecar).start().await;
    let mut faulty = Client::connect(way, server.addr()).await;
    let mut other = Client::connect(way, server.addr()).await;
    for (deed, code) in [
        (json!({ "do": "trap" }), 500),
        (json!({ "do": "spin" }), 504),
        (json!({ "do": "sleep", "millis": 5000 }), 504),
        (json!({ "do": "grow", "kib": 20_000 }), 500),
    ] {
        let ack = faulty.ask(deed.clone()).await;
        assert_eq!(ack["error"]["code"], code, "{deed}: {ack}");
        assert_eq!(faulty.nothing().await["count"], 1, "{deed}");
    }
    assert_eq!(other.nothing().await["count"], 3);
    assert_eq!(ended(&server.metrics().await, "fault"), 4.0);
    server.assert_unharmed();
}

async fn d02_a_reload_ends_the_old_instances_and_calls_under_way_end_in_them(way: Way) {
    let mut server = plan("instances = \"socket\"").start().await;
    let mut client = Client::connect(way, server.addr()).await;
    let mut slow = Client::connect(way, server.addr()).await;
    assert_eq!(client.nothing().await["count"], 3);
    let under_way = slow.ask(json!({ "do": "sleep", "millis": 2000 }));
    let reload = async {
        server.drop_in("living.wasm", stamped(&guest("living"), "newer"));
        server.wait_for_log(&["living.wasm: reloaded"]).await;
        client.nothing().await
    };
    let (old, new) = tokio::join!(under_way, reload);
    assert_eq!((&old["count"], &new["count"]), (&json!(3), &json!(1)));
    assert_eq!(slow.nothing().await["count"], 1);
    assert_eq!(client.nothing().await["count"], 2);
    until("the old instances are gone", SOON, async || {
        let metrics = server.metrics().await;
        (living(&metrics, "socket"), ended(&metrics, "reload")) == (2.0, 2.0)
    })
    .await;
    server.assert_unharmed();
}

async fn d03_calls_of_all_clients_share_the_instances_of_a_pool(way: Way) {
    let mut server = plan("instances = \"shared\"\nmax-instances = 1")
        .start()
        .await;
    let mut one = Client::connect(way, server.addr()).await;
    let mut two = Client::connect(way, server.addr()).await;
    until("both hooks ran", SOON, async || {
        post(&server, json!({ "do": "nothing" })).await["count"].as_u64() >= Some(5)
    })
    .await;
    let told = one.nothing().await;
    let before = told["count"].as_u64().expect("a number");
    assert_eq!(told["life"], "shared");
    let told = two.nothing().await;
    assert_eq!(
        (told["count"].as_u64(), &told["seen"]),
        (Some(before + 1), &json!(2))
    );
    let told = post(&server, json!({ "do": "nothing" })).await;
    assert_eq!(told["count"].as_u64(), Some(before + 2));
    drop((one, two));
    assert_eq!(living(&server.metrics().await, "shared"), 1.0);
    server.assert_unharmed();
}

async fn d03_calls_of_an_instance_never_overlap_and_wait_for_a_free_one(_: Way) {
    let mut server = plan("instances = \"shared\"\nmax-instances = 2")
        .start()
        .await;
    let deed = json!({ "do": "sleep", "millis": 5 });
    let calls = (0..40).map(|_| post(&server, deed.clone()));
    for told in join_all(calls).await {
        assert_eq!(told["overlapped"], false, "{told}");
    }
    let metrics = server.metrics().await;
    assert!(living(&metrics, "shared") <= 2.0);
    server.assert_unharmed();
}

#[tokio::test]
async fn d03_a_call_that_gets_no_instance_is_refused_as_any_call_that_waits_too_long() {
    let server = plan("instances = \"shared\"\nmax-instances = 1")
        .start()
        .await;
    let deed = json!({ "do": "sleep", "millis": 800 });
    let calls = (0..4).map(|_| server.post("/do", &deed));
    let mut statuses: Vec<_> = join_all(calls)
        .await
        .iter()
        .map(|answer| answer.status)
        .collect();
    statuses.sort_unstable();
    // The second waits for `limits.queue-wait` at the gate, and holds no permit of others meanwhile.
    assert_eq!((statuses[0], statuses[3]), (200, 503), "{statuses:?}");
}

/// Begins a call that runs for a minute, unless the connection is dropped before. Returns once the call runs.
async fn begin_long_call(server: &Server) -> Connection {
    let deed = json!({ "do": "sleep", "millis": 60_000 }).to_string();
    let mut connection = Connection::open(server.addr()).await;
    let sent = connection.send(request("POST", "/do", &[], deed.as_bytes()));
    sent.await.expect("sent");
    until("the call runs", SOON, async || {
        server.metrics().await.value("hitchy_gate_running") == 1.0
    })
    .await;
    connection
}

fn calls(metrics: &Scrape, outcome: &str) -> f64 {
    metrics.value(&format!(
        "hitchy_calls_total{{handler=\"living.wasm\",kind=\"request\",outcome=\"{outcome}\"}}"
    ))
}

#[tokio::test]
async fn d03_a_busy_pool_is_an_overload_and_no_fault_of_its_guest() {
    let mut server = plan("instances = \"shared\"\nmax-instances = 1\ndeadline = \"60s\"")
        .settings("[limits]\nqueue-wait = \"50ms\"")
        .start()
        .await;
    let long = begin_long_call(&server).await;
    let answer = server.post("/do", &json!({ "do": "nothing" })).await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.header("retry-after").is_some());
    let words = ["living.wasm", "all 1 of the pool", "max-instances"];
    server.wait_for_log(&words).await;
    let metrics = server.metrics().await;
    let counts = ["busy", "overloaded", "deadline"].map(|outcome| calls(&metrics, outcome));
    assert_eq!(counts, [1.0, 0.0, 0.0]);
    let list = page(&server, "/api/handlers").await;
    let handler = find(&list["handlers"], "name", "living.wasm").expect("served");
    assert_eq!(handler["calls"]["failed"], 0, "{}", handler["calls"]);
    drop(long);
    server.assert_unharmed();
}

#[tokio::test]
async fn d03_an_overload_of_all_handlers_says_nothing_of_a_pool() {
    let mut server = plan("instances = \"shared\"\nmax-instances = 1\ndeadline = \"60s\"")
        .settings("[limits]\nconcurrency = 1\nqueue-wait = \"50ms\"")
        .start()
        .await;
    let long = begin_long_call(&server).await;
    let answer = server.post("/do", &json!({ "do": "nothing" })).await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    let metrics = server.metrics().await;
    assert_eq!(
        ["busy", "overloaded"].map(|outcome| calls(&metrics, outcome)),
        [0.0, 1.0]
    );
    drop(long);
    server.assert_unharmed();
}

#[tokio::test]
async fn d03_a_handler_that_calls_itself_does_not_wait_for_itself() {
    let mut server = plan("instances = \"shared\"\nmax-instances = 1")
        .start()
        .await;
    let deed = json!({ "do": "dispatch", "url": "/nothing" });
    let calls = (0..8).map(|_| post(&server, deed.clone()));
    for told in within("all calls", SOON * 3, join_all(calls)).await {
        assert_eq!(told["result"]["count"], 1, "{told}");
        assert_eq!(told["result"]["life"], "call", "{told}");
    }
    assert_eq!(living(&server.metrics().await, "shared"), 1.0);
    server.assert_unharmed();
}

#[tokio::test]
async fn d03_a_component_of_wasi_http_has_shared_instances_until_its_bodies_have_ended() {
    let mut server = Server::prepare()
        .handler("shop.wasm", guest("proxy"))
        .handler(
            "shop.toml",
            "instances = \"shared\"\nmax-instances = 1\ndeadline = \"2s\"",
        )
        .console()
        .start()
        .await;
    let kept = |metrics: &Scrape| {
        let of = |name: &str| {
            metrics.value(&format!(
                "{name}{{handler=\"shop.wasm\",{}}}",
                "life=\"shared\""
            ))
        };
        of("hitchy_instances")
    };
    for _ in 0..20 {
        assert_eq!(server.get("/shop/big?300000").await.body.len(), 300_000);
        let body = vec![b'x'; 200_000];
        let echoed = server.request("POST", "/shop/echo", &[], &body).await;
        assert_eq!(echoed.body, body);
        // Nothing reads this upload, and nothing finishes this answer.
        let answer = server.request("POST", "/shop/leaked", &[], &body).await;
        assert_eq!(answer.text(), "begun");
        assert_eq!(server.get("/shop/status?204").await.status, 204);
    }
    let metrics = server.metrics().await;
    assert_eq!(kept(&metrics), 1.0);
    let faults = r#"hitchy_instances_ended_total{handler="shop.wasm",reason="fault"}"#;
    assert_eq!(metrics.value(faults), 0.0);
    // The instance is in use until the events have been written, and the next call waits for it.
    let (events, next) = tokio::join!(server.get("/shop/events?10"), server.get("/shop/head"));
    assert_eq!((events.status, next.status), (200, 200));
    assert_eq!(kept(&server.metrics().await), 1.0);
    server.assert_unharmed();
}

#[tokio::test]
async fn d04_a_request_of_wasi_http_that_a_guest_keeps_is_not_there_in_a_later_call() {
    let mut server = Server::prepare()
        .handler("shop.wasm", guest("proxy"))
        .handler("shop.toml", "instances = \"shared\"\nmax-instances = 1")
        .console()
        .start()
        .await;
    for _ in 0..3 {
        let kept = server.request("POST", "/shop/keep", &[], b"secret").await;
        assert_eq!(kept.text(), "kept");
        let later = server.get("/shop/kept").await;
        assert_eq!(later.text(), "nothing is kept");
    }
    let metrics = server.metrics().await;
    let ended = r#"hitchy_instances_ended_total{handler="shop.wasm",reason="handles"}"#;
    assert_eq!(metrics.value(ended), 3.0);
    server.assert_unharmed();
}

async fn d04_what_belongs_to_a_call_begins_anew_with_each(_: Way) {
    let server = plan("instances = \"shared\"\nmax-instances = 1\ndeadline = \"700ms\"\ncpu = \"300ms\"\nemits-per-call = 3")
        .start()
        .await;
    for _ in 0..4 {
        // Each call has all of its emits, and most of its deadline.
        assert_eq!(
            post(&server, json!({ "do": "emit", "times": 5 })).await["result"],
            3
        );
        let slept = post(&server, json!({ "do": "sleep", "millis": 400 })).await;
        assert!(slept["count"].is_u64(), "{slept}");
    }
    let from = server.log().len();
    for text in ["first", "second"] {
        let answer = server
            .post("/do", &json!({ "do": "print", "text": text }))
            .await;
        let id = answer.header("x-request-id").expect("an id").to_owned();
        for line in [text.to_owned(), format!("unfinished {text}")] {
            server
                .wait_for_log_from(from, &["living.wasm", &id, &line])
                .await;
        }
    }
}

async fn d04_a_handle_of_an_earlier_call_gives_an_error_and_reaches_nobody(way: Way) {
    let mut server = plan("instances = \"shared\"\nmax-instances = 1")
        .start()
        .await;
    let mut victim = Client::connect(way, server.addr()).await;
    victim.ask(json!({ "do": "keep" })).await;
    let mut other = Client::connect(way, server.addr()).await;
    let told = other.ask(json!({ "do": "use-kept" })).await;
    for function in ["emit", "set", "join"] {
        let error = &told["result"][function];
        assert_eq!(error["code"], 410, "{function}: {told}");
        let message = error["message"].as_str().expect("a sentence");
        assert!(message.contains("a handle lasts for one call"), "{message}");
    }
    let bucket = told["result"]["bucket"].to_string();
    assert!(bucket.contains("a bucket of an earlier call"), "{bucket}");

    post(&server, json!({ "do": "keep" })).await;
    let told = post(&server, json!({ "do": "use-kept" })).await;
    assert_eq!(told["result"]["header"]["code"], 410, "{told}");

    // A function without an error ends the call, and with it the instance.
    let answer = server.post("/do", &json!({ "do": "read-kept" })).await;
    assert_eq!(answer.status, 500);
    server
        .wait_for_log(&[
            "living.wasm",
            "a socket of an earlier call",
            "find it by its id",
        ])
        .await;

    // To drop such a handle is no error.
    let before = post(&server, json!({ "do": "keep" })).await["count"].as_u64();
    victim.ask(json!({ "do": "keep" })).await;
    let told = other.ask(json!({ "do": "drop-kept" })).await;
    assert_eq!(
        told["count"].as_u64(),
        before.map(|count| count + 2),
        "{told}"
    );
    server.assert_unharmed();
}

#[tokio::test]
async fn d04_a_guest_that_leaks_handles_fails_no_call() {
    let mut server = plan("instances = \"socket\"").start().await;
    let mut client = Client::connect(Way::EventWebsocket, server.addr()).await;
    for _ in 0..60 {
        let told = client.ask(json!({ "do": "hoard", "times": 100 })).await;
        assert!(told["count"].is_u64(), "{told}");
    }
    assert!(ended(&server.metrics().await, "handles") >= 4.0);
    server.assert_unharmed();
}

#[tokio::test]
async fn g14_a_guest_that_takes_too_many_handles_is_told_so() {
    for life in ["call", "socket"] {
        let mut server = plan(&format!("instances = \"{life}\"")).start().await;
        let mut client = Client::connect(Way::EventWebsocket, server.addr()).await;
        let ack = client.ask(json!({ "do": "hoard", "times": 5000 })).await;
        assert_eq!(ack["error"]["code"], 500, "{ack}");
        let words = ["living.wasm", "more than 2000 handles", "drop"];
        let line = server.wait_for_log(&words).await;
        assert!(!line.contains("unusable answer"), "{line}");
        assert_eq!(client.nothing().await["count"], 1);
        server.assert_unharmed();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d04_ten_thousand_calls_wear_no_instance_out() {
    let mut server = plan("instances = \"socket\"").start().await;
    let mut socket = RawSocket::connect(server.addr(), "/")
        .await
        .expect("let in");
    let deed = [json!({ "do": "nothing" })];
    for _ in 0..100 {
        socket
            .ask_many(100, "do", &deed, |ack| ack.contains("\"life\":\"socket\""))
            .await
            .expect("all are answered");
    }
    let last = socket.ask("do", &deed).await.expect("an ack");
    assert!(last.contains("\"count\":10003"), "{last}");
    server.assert_unharmed();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i13_1_reloads_under_load_lose_nothing_with_any_life() {
    let reloads = size("HITCHY_LIVES_RELOADS", 10);
    for life in ["call", "socket", "shared"] {
        let mut server = plan(&format!("instances = \"{life}\"")).start().await;
        let addr = server.addr();
        let stop = hitchy_tests::load::Stop::default();
        let clients: Vec<_> = (0..10)
            .map(|_| {
                let stop = stop.clone();
                tokio::spawn(async move {
                    let mut client = Client::connect(Way::EventWebsocket, addr).await;
                    let mut events = 0;
                    while !stop.asked() {
                        let told = client.nothing().await;
                        assert_eq!(told["overlapped"], false, "{told}");
                        assert!(life == "shared" || told["seen"] == 1, "{told}");
                        events += 1;
                    }
                    events
                })
            })
            .collect();
        for number in 0..reloads {
            let from = server.log().len();
            server.drop_in(
                "living.wasm",
                stamped(&guest("living"), &number.to_string()),
            );
            server
                .wait_for_log_from(from, &["living.wasm: reloaded"])
                .await;
        }
        stop.now();
        for task in join_all(clients).await {
            assert!(task.expect("no assertion failed") > reloads, "{life}");
        }
        if life == "socket" {
            wait_for_living(&server, "socket", 0.0).await;
        }
        server.assert_unharmed();
    }
}

/// Returns the bytes of memory that the process has in use.
async fn resident(server: &Server) -> f64 {
    server
        .metrics()
        .await
        .value("process_resident_memory_bytes")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i13_1_connections_that_come_and_go_leave_no_memory_behind() {
    let connections = size("HITCHY_LIVES_CONNECTIONS", 1000);
    let mut server = plan("instances = \"socket\"").start().await;
    let addr = server.addr();
    let round = async |count: usize| {
        for _ in 0..count / 50 {
            join_all((0..50).map(|_| async {
                let mut client = Client::connect(Way::EventWebsocket, addr).await;
                assert_eq!(client.nothing().await["seen"], 1);
            }))
            .await;
        }
        wait_for_living(&server, "socket", 0.0).await;
    };
    round(connections / 2).await;
    let before = resident(&server).await;
    round(connections).await;
    let after = resident(&server).await;
    assert!(
        after <= before * 1.1 + f64::from(16 << 20),
        "{before} and then {after}"
    );
    server.assert_unharmed();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i13_1_instances_give_way_when_memory_is_used_up_and_every_event_is_answered() {
    let clients = size("HITCHY_LIVES_CROWD", 300);
    // A tenth of the clients have room at the same time, each with its memory of about 200 KiB.
    let budget = (clients * 24).max(4096);
    let mut server = plan("instances = \"socket\"\nmemory = \"4MiB\"")
        .settings(&format!(
            "[limits]\nmemory = \"4MiB\"\nmemory-budget = \"{budget}KiB\""
        ))
        .start()
        .await;
    let addr = server.addr();
    let tasks = (0..clients).map(|_| {
        tokio::spawn(async move {
            let mut client = Client::connect(Way::EventWebsocket, addr).await;
            for _ in 0..10 {
                let told = client.nothing().await;
                assert_eq!(told["seen"], 1, "{told}");
                assert_eq!(told["overlapped"], false, "{told}");
            }
            client
        })
    });
    let done = join_all(tasks).await;
    let clients: Vec<Client> = done
        .into_iter()
        .map(|task| task.expect("every event was answered"))
        .collect();
    let metrics = server.metrics().await;
    assert!(ended(&metrics, "memory") > 0.0);
    let memory =
        metrics.value(r#"hitchy_instances_memory_bytes{handler="living.wasm",life="socket"}"#);
    assert!(memory > 0.0 && memory <= (budget << 10) as f64, "{memory}");
    server
        .wait_for_log(&["instances that handlers keep", "limits.memory-budget"])
        .await;
    drop(clients);
    server.assert_unharmed();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i13_1_instances_give_way_when_as_many_are_kept_as_may_be() {
    let mut server = plan("instances = \"socket\"")
        .settings("[limits]\nkept-instances = 5")
        .start()
        .await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(Client::connect(Way::EventWebsocket, server.addr()).await);
    }
    for client in &mut clients {
        assert_eq!(client.nothing().await["seen"], 1);
    }
    let metrics = server.metrics().await;
    assert!(living(&metrics, "socket") <= 5.0);
    assert!(ended(&metrics, "places") >= 15.0);
    server
        .wait_for_log(&["instances that handlers keep", "limits.kept-instances"])
        .await;
    server.assert_unharmed();
}

#[tokio::test]
async fn i13_1_nothing_is_kept_if_nothing_may_be() {
    for life in ["socket", "shared"] {
        let mut server = plan(&format!("instances = \"{life}\""))
            .settings("[limits]\nkept-instances = 0")
            .start()
            .await;
        let mut client = Client::connect(Way::EventWebsocket, server.addr()).await;
        for _ in 0..5 {
            let told = client.nothing().await;
            assert_eq!(
                (&told["count"], &told["calls"], &told["life"]),
                (&json!(1), &json!(0), &json!(life))
            );
        }
        wait_for_living(&server, life, 0.0).await;
        assert_eq!(ended(&server.metrics().await, "places"), 7.0);
        server.assert_unharmed();
    }
}

#[tokio::test]
async fn i13_3_operators_see_what_lives() {
    let server = plan("instances = \"socket\"\nmax-calls = 100")
        .start()
        .await;
    let mut client = Client::connect(Way::EventWebsocket, server.addr()).await;
    client.nothing().await;
    let list = page(&server, "/api/handlers").await;
    let handler = find(&list["handlers"], "name", "living.wasm").expect("served");
    let instances = &handler["instances"];
    assert_eq!(
        (&instances["life"], &instances["living"]),
        (&json!("socket"), &json!(1))
    );
    assert_eq!(instances["calls"], 3, "{instances}");
    assert!(instances["memory"].as_u64() >= Some(65_536), "{instances}");
    assert!(instances["oldestMs"].is_u64(), "{instances}");
    assert_eq!(instances["ended"]["idle"], 0);
    drop(client);
    wait_for_living(&server, "socket", 0.0).await;
    let list = page(&server, "/api/handlers").await;
    let handler = find(&list["handlers"], "name", "living.wasm").expect("served");
    assert_eq!(handler["instances"]["oldestMs"], Value::Null);
    assert_eq!(handler["instances"]["ended"]["disconnect"], 1);
}

#[tokio::test]
async fn i13_1_settings_that_fit_nothing_are_said() {
    for (sidecar, words) in [
        (
            "instances = \"sockets\"",
            [
                "living.wasm: refused",
                "instances",
                "write for example \"socket\"",
            ],
        ),
        (
            "instances = \"socket\"\nmax-instances = 3",
            ["living.wasm", "max-instances", "has no effect"],
        ),
        (
            "max-calls = 3",
            ["living.wasm", "max-calls", "has no effect"],
        ),
    ] {
        let server = plan(sidecar).start().await;
        server.wait_for_log(&words).await;
    }
}

#[tokio::test]
async fn i13_1_a_command_has_no_life_but_a_call() {
    let server = Server::prepare()
        .handler("report.wasm", guest("report"))
        .handler("report.toml", "serve = \"cgi\"\ninstances = \"shared\"")
        .start()
        .await;
    let words = [
        "report.wasm: refused",
        "instances = \"shared\"",
        "remove `instances`",
    ];
    server.wait_for_log(&words).await;
}

#[tokio::test]
async fn i13_1_a_kept_instance_is_ended_with_its_handler() {
    let server = plan("instances = \"shared\"").start().await;
    let began = Instant::now();
    assert_eq!(post(&server, json!({ "do": "nothing" })).await["count"], 1);
    server.remove("living.wasm");
    server.wait_for_status("/nothing", 404).await;
    server.drop_in("living.wasm", guest("living"));
    let told = eventually("it is back", SOON * 2, async || {
        let answer = server.get("/nothing").await;
        (answer.status == 200).then(|| answer.json())
    })
    .await;
    assert_eq!(told["count"], 1, "after {:?}", began.elapsed());
    // The second call is one of the same instance.
    assert!(post(&server, json!({ "do": "nothing" })).await["count"].as_u64() >= Some(2));
    assert!(began.elapsed() < Duration::from_secs(300));
}
