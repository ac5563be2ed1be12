//! Instances that are kept, as operators meet them: reloads, memory, bounds, settings, metrics and the console.
//! Environment variables that begin with `HITCHY_LIVES_` set the sizes of some tests.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use hitchy_tests::clauses::Way;
use hitchy_tests::console::{find, page};
use hitchy_tests::guests::stamped;
use hitchy_tests::living::{LivingClient, ended, living, plan, post, size, wait_for_living};
use hitchy_tests::wait::{SOON, eventually, until};
use hitchy_tests::{Server, guest};
use serde_json::{Value, json};

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
                    let mut client = LivingClient::connect(Way::EventWebsocket, addr).await;
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
                let mut client = LivingClient::connect(Way::EventWebsocket, addr).await;
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
            let mut client = LivingClient::connect(Way::EventWebsocket, addr).await;
            for _ in 0..10 {
                let told = client.nothing().await;
                assert_eq!(told["seen"], 1, "{told}");
                assert_eq!(told["overlapped"], false, "{told}");
            }
            client
        })
    });
    let done = join_all(tasks).await;
    let clients: Vec<LivingClient> = done
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
        clients.push(LivingClient::connect(Way::EventWebsocket, server.addr()).await);
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
        let mut client = LivingClient::connect(Way::EventWebsocket, server.addr()).await;
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
    let mut client = LivingClient::connect(Way::EventWebsocket, server.addr()).await;
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
async fn i13_3_the_counters_stay_when_no_instance_is_kept_any_more() {
    let server = plan("instances = \"shared\"\nmax-instances = 1")
        .start()
        .await;
    post(&server, json!({ "do": "nothing" })).await;
    for life in ["call", "shared", "call"] {
        let sidecar = format!("instances = \"{life}\"");
        server.drop_in("living.toml", sidecar);
        until("the settings hold", SOON, async || {
            post(&server, json!({ "do": "nothing" })).await["life"] == life
        })
        .await;
        // The sweeper ends the old instance soon.
        until("the instance has ended", SOON, async || {
            ended(&server.metrics().await, "reload") >= 1.0
        })
        .await;
    }
    until("both instances are counted", SOON, async || {
        ended(&server.metrics().await, "reload") == 2.0
    })
    .await;
    let list = page(&server, "/api/handlers").await;
    let handler = find(&list["handlers"], "name", "living.wasm").expect("served");
    assert_eq!(handler["instances"]["ended"]["reload"], 2);
    assert_eq!(handler["instances"]["living"], 0);
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
