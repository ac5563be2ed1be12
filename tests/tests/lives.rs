//! How long instances live that have no other client: those of one call and those of one connection, D1 and D2.
//! `HITCHY_LIVES_CLIENTS` and `HITCHY_LIVES_EVENTS` set the size of one test.

use futures_util::future::join_all;
use hitchy_tests::clauses::Way;
use hitchy_tests::guests::stamped;
use hitchy_tests::living::{LivingClient, ended, living, plan, post, size, wait_for_living};
use hitchy_tests::raw::RawSocket;
use hitchy_tests::wait::{SOON, until};
use hitchy_tests::{Server, clauses, guest};
use serde_json::json;

clauses! {
    event_websocket event_polling:
        d01_with_call_nothing_is_left_for_another_call
        d02_an_instance_lives_from_on_connect_to_on_disconnect
        d02_an_idle_instance_ends_and_the_next_event_begins_another
        d02_a_fault_ends_the_instance_and_harms_no_other
        d02_a_reload_ends_the_old_instances_and_calls_under_way_end_in_them;
    http:
        d01_a_request_finds_nothing_of_an_earlier_one;
}

async fn d01_with_call_nothing_is_left_for_another_call(way: Way) {
    let mut server = plan("").start().await;
    let mut clients = [
        LivingClient::connect(way, server.addr()).await,
        LivingClient::connect(way, server.addr()).await,
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
    let mut one = LivingClient::connect(way, server.addr()).await;
    let mut two = LivingClient::connect(way, server.addr()).await;
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
            let mut client = LivingClient::connect(Way::EventWebsocket, addr).await;
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
    let clients: Vec<LivingClient> = done
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
    let mut client = LivingClient::connect(way, server.addr()).await;
    client.nothing().await;
    wait_for_living(&server, "socket", 0.0).await;
    assert!(ended(&server.metrics().await, "idle") >= 1.0);
    let told = client.nothing().await;
    assert_eq!((&told["count"], &told["calls"]), (&json!(1), &json!(0)));
}

#[tokio::test]
async fn d02_an_instance_has_as_many_calls_as_it_may() {
    let server = plan("instances = \"socket\"\nmax-calls = 5").start().await;
    let mut client = LivingClient::connect(Way::EventWebsocket, server.addr()).await;
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
    let mut faulty = LivingClient::connect(way, server.addr()).await;
    let mut other = LivingClient::connect(way, server.addr()).await;
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
    let mut client = LivingClient::connect(way, server.addr()).await;
    let mut slow = LivingClient::connect(way, server.addr()).await;
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
