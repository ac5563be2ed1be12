//! Reloads under load. The measurement at full length is the benchmark `reload`.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hitchy_tests::load::{self, Plan};
use hitchy_tests::wait::SOON;
use hitchy_tests::{Server, guest, official_client};
use serde_json::json;

const SOCKETS: usize = 20;
const RELOADS: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c14_no_call_fails_and_nobody_is_disconnected_while_the_code_is_replaced() {
    let node = official_client().await;
    let mut server = Server::with("v.wasm", guest("version_one")).await;
    let official = match &node {
        Some(node) => {
            let polling = json!({ "transports": ["polling"] });
            vec![
                node.connect(&server, "/").await,
                node.connect_with(&server, "/", polling)
                    .await
                    .expect("let in"),
            ]
        }
        None => Vec::new(),
    };
    let seen: Arc<Mutex<Vec<BTreeSet<String>>>> =
        Arc::new(Mutex::new(vec![BTreeSet::new(); SOCKETS]));
    let good = {
        let seen = Arc::clone(&seen);
        Arc::new(move |client: usize, ack: &str| {
            seen.lock().expect("nobody panics while noting")[client].insert(ack.into());
            matches!(ack, r#"["one"]"# | r#"["two"]"#)
        })
    };
    let plan = Plan::gentle(SOCKETS, Duration::from_secs(120), Duration::from_millis(5));
    let stop = plan.stop.clone();
    let acks = load::acks(server.addr(), "version", &[], plan, good);
    let plan = Plan {
        stop: stop.clone(),
        ..Plan::gentle(4, Duration::from_secs(120), Duration::from_millis(2))
    };
    let http = load::http(server.addr(), "/version", plan, |answer| {
        matches!(answer.text().as_str(), "one" | "two")
    });
    let reloads = async {
        let versions = [guest("version_two"), guest("version_one")];
        for number in 0..RELOADS {
            let name = if number % 2 == 0 { "two" } else { "one" };
            server.drop_in("v.wasm", &versions[number % 2]);
            server.wait_for_body("/version", name).await;
            for socket in &official {
                assert_eq!(
                    socket.ask("version", json!([])).await,
                    json!([name]),
                    "every door has the new version"
                );
            }
        }
        stop.now();
    };
    let (acks, http, ()) = tokio::join!(acks, http, reloads);
    assert_eq!(
        acks.errors,
        Vec::<String>::new(),
        "of {} acks",
        acks.times.count()
    );
    assert_eq!(
        http.errors,
        Vec::<String>::new(),
        "of {} requests",
        http.times.count()
    );
    assert!(
        acks.times.max() < Duration::from_secs(5),
        "an ack took {:?}",
        acks.times.max()
    );
    let both = BTreeSet::from([r#"["one"]"#.to_string(), r#"["two"]"#.to_string()]);
    for seen in seen.lock().expect("nobody panics while noting").iter() {
        assert_eq!(*seen, both, "every socket saw both versions");
    }
    for socket in &official {
        assert!(
            socket
                .happened()
                .iter()
                .all(|it| it.what["what"] != "disconnect")
        );
        assert_eq!(socket.ask("version", json!([])).await, json!(["one"]));
    }
    server.assert_unharmed();
    server
        .wait_for_log(&[&format!("generation {}", RELOADS + 1)])
        .await;
}

#[tokio::test]
async fn c14_context_and_rooms_survive_a_reload() {
    let Some(node) = official_client().await else {
        return;
    };
    let server = Server::with("probe.wasm", guest("probe")).await;
    let auth = json!({ "auth": { "user": "ann", "room": "lobby" } });
    let socket = node.connect_with(&server, "/", auth).await.expect("let in");
    socket.ask("note", json!([1])).await;
    let from = server.log().len();
    server.drop_in(
        "probe.wasm",
        hitchy_tests::guests::stamped(&guest("probe"), "newer"),
    );
    server
        .wait_for_log_from(from, &["probe.wasm: reloaded", "generation 2"])
        .await;
    let who = socket.ask("who", json!([])).await;
    assert_eq!(who[0]["user"], "ann");
    assert!(
        who[0]["rooms"]
            .as_array()
            .is_some_and(|rooms| rooms.contains(&json!("lobby"))),
        "{who}"
    );
    assert_eq!(socket.ask("note", json!([2])).await, json!(["1,2"]));
}

#[tokio::test]
async fn c14_an_event_under_way_ends_on_the_old_code_and_none_is_lost() {
    let Some(node) = official_client().await else {
        return;
    };
    let server = Server::with("probe.wasm", guest("probe")).await;
    let socket = node.connect(&server, "/").await;
    let calls: Vec<_> = (0..20).map(|number| json!(["slow", 50, number])).collect();
    let events = socket.ask_all(&calls);
    let reload = async {
        for number in 0..3 {
            let from = server.log().len();
            server.drop_in(
                "probe.wasm",
                hitchy_tests::guests::stamped(&guest("probe"), &number.to_string()),
            );
            server
                .wait_for_log_from(from, &["probe.wasm: reloaded"])
                .await;
        }
    };
    let (came, ()) = tokio::time::timeout(SOON * 3, async { tokio::join!(events, reload) })
        .await
        .expect("all acks");
    let order: Vec<_> = came.iter().map(|ack| ack["ack"][1].as_u64()).collect();
    assert_eq!(order, (0..20).map(Some).collect::<Vec<_>>());
}
