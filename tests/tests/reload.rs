//! C14: reloads disconnect no client and lose no call. The benchmark `reload` is the full measurement.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hitchy_tests::clauses::Way;
use hitchy_tests::guests::stamped;
use hitchy_tests::load::{self, Plan, Stop};
use hitchy_tests::probe::file_name;
use hitchy_tests::wait::{SOON, within};
use hitchy_tests::{Server, Socket, Stage, clauses, guest, scripted};
use serde_json::{Value, json};

clauses! {
    event_websocket event_polling:
        c14_no_event_fails_and_nobody_is_disconnected_while_the_code_is_replaced
        c14_context_and_rooms_survive_a_reload
        c14_an_event_under_way_ends_on_the_old_code_and_none_is_lost
        c14_a_new_version_that_is_bad_changes_nothing
        c14_a_handler_that_goes_and_comes_back_disconnects_nobody
        c14_who_connects_while_the_code_is_replaced_gets_in_and_is_heard;
    event_websocket:
        c14_no_call_fails_under_load_while_the_code_is_replaced;
}

const SOCKETS: usize = 20;
const RELOADS: usize = 20;

/// Replaces the code again and again, and returns when all versions have been served.
async fn reload(server: &Server, mut after_each: impl AsyncFnMut(&str)) {
    let versions = [guest("version_two"), guest("version_one")];
    for number in 0..RELOADS {
        let name = if number % 2 == 0 { "two" } else { "one" };
        server.drop_in("v.wasm", &versions[number % 2]);
        server.wait_for_body("/version", name).await;
        after_each(name).await;
    }
}

async fn c14_no_event_fails_and_nobody_is_disconnected_while_the_code_is_replaced(way: Way) {
    let plan = Server::prepare().handler("v.wasm", guest("version_one"));
    let Some(mut stage) = Stage::set_with(way, plan).await else {
        return;
    };
    let (busy, asked) = (stage.connect("/").await, stage.connect("/").await);
    let stop = Stop::default();
    let events = async {
        let (mut sent, mut seen) = (0, BTreeSet::new());
        while !stop.asked() {
            for ack in busy.ask_all(&vec![json!(["version"]); 10]).await {
                sent += 1;
                seen.insert(ack["ack"].to_string());
            }
        }
        (sent, seen)
    };
    let reloads = async {
        reload(&stage.server, async |name| {
            let version = asked.ask("version", json!([])).await;
            assert_eq!(version, json!([name]), "every door has the new version");
        })
        .await;
        stop.now();
    };
    let ((sent, seen), ()) = tokio::join!(events, reloads);
    assert!(sent > RELOADS, "{sent} events were sent meanwhile");
    let both = [r#"["one"]"#.to_owned(), r#"["two"]"#.to_owned()];
    assert_eq!(seen, BTreeSet::from(both), "of {sent} acks");
    assert_stayed(&[&busy, &asked]);
    stage.server.assert_unharmed();
    let last = format!("generation {}", RELOADS + 1);
    stage.server.wait_for_log(&[&last]).await;
}

async fn c14_no_call_fails_under_load_while_the_code_is_replaced(way: Way) {
    let plan = Server::prepare().handler("v.wasm", guest("version_one"));
    let Some(mut stage) = Stage::set_with(way, plan).await else {
        return;
    };
    let official = stage.connect("/").await;
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
    let acks = load::acks(stage.server.addr(), "version", &[], plan, good);
    let plan = Plan {
        stop: stop.clone(),
        ..Plan::gentle(4, Duration::from_secs(120), Duration::from_millis(2))
    };
    let http = load::http(stage.server.addr(), "/version", plan, |answer| {
        matches!(answer.text().as_str(), "one" | "two")
    });
    let reloads = async {
        reload(&stage.server, async |_| {}).await;
        stop.now();
    };
    let (acks, http, ()) = tokio::join!(acks, http, reloads);
    for (errors, times) in [(&acks.errors, &acks.times), (&http.errors, &http.times)] {
        assert_eq!(errors, &Vec::<String>::new(), "of {}", times.count());
    }
    let longest = acks.times.max();
    assert!(longest < Duration::from_secs(5), "an ack took {longest:?}");
    let both = BTreeSet::from([r#"["one"]"#.to_owned(), r#"["two"]"#.to_owned()]);
    for seen in seen.lock().expect("nobody panics while noting").iter() {
        assert_eq!(*seen, both, "every socket saw both versions");
    }
    assert_stayed(&[&official]);
    assert_eq!(official.ask("version", json!([])).await, json!(["one"]));
    stage.server.assert_unharmed();
}

async fn c14_context_and_rooms_survive_a_reload(way: Way) {
    let Some(stage) = Stage::set(way).await else {
        return;
    };
    let auth = json!({ "user": "ann", "room": "lobby" });
    let socket = stage.connect_as(auth).await;
    socket.ask("note", json!([1])).await;
    let reloaded = format!("{}: reloaded", file_name());
    let words = [reloaded.as_str(), "generation 2"];
    stage
        .server
        .drop_in("probe.wasm", stamped(&guest("probe"), "newer"));
    stage.server.wait_for_log(&words).await;
    let who = socket.ask("who", json!([])).await[0].clone();
    assert_eq!(who["user"], "ann");
    let rooms = who["rooms"].as_array().expect("rooms");
    assert!(rooms.contains(&json!("lobby")), "{who}");
    assert_eq!(socket.ask("note", json!([2])).await, json!(["1,2"]));
    let emit = json!([{ "do": "emit-to", "rooms": ["lobby"], "event": "still", "args": [1] }]);
    stage.server.script(&emit).await;
    assert_eq!(socket.wait_event("still").await, json!([1]));
    assert_stayed(&[&socket]);
}

async fn c14_an_event_under_way_ends_on_the_old_code_and_none_is_lost(way: Way) {
    let Some(stage) = Stage::set(way).await else {
        return;
    };
    let socket = stage.connect("/").await;
    let calls: Vec<Value> = (0..20).map(|number| json!(["slow", 50, number])).collect();
    let events = socket.ask_all(&calls);
    let reloads = async {
        for number in 0..3 {
            let from = stage.server.log().len();
            let newer = stamped(&guest("probe"), &number.to_string());
            stage.server.drop_in("probe.wasm", newer);
            let words = [&*format!("{}: reloaded", file_name())];
            stage.server.wait_for_log_from(from, &words).await;
        }
    };
    let both = async { tokio::join!(events, reloads) };
    let (came, ()) = within("all acks", SOON * 3, both).await;
    let order: Vec<_> = came.iter().map(|ack| ack["ack"][1].as_u64()).collect();
    assert_eq!(order, (0..20).map(Some).collect::<Vec<_>>());
}

async fn c14_a_new_version_that_is_bad_changes_nothing(way: Way) {
    let plan = Server::prepare().handler("v.wasm", guest("version_one"));
    let Some(stage) = Stage::set_with(way, plan).await else {
        return;
    };
    let socket = stage.connect("/").await;
    for bad in [scripted("panic"), b"no wasm at all".to_vec()] {
        let from = stage.server.log().len();
        stage.server.drop_in("v.wasm", bad);
        let words = ["v.wasm: refused", "still serving generation 1"];
        stage.server.wait_for_log_from(from, &words).await;
        let version = socket.ask("version", json!([])).await;
        assert_eq!(version, json!(["one"]));
    }
    assert_stayed(&[&socket]);
}

async fn c14_a_handler_that_goes_and_comes_back_disconnects_nobody(way: Way) {
    let plan = Server::prepare().handler("v.wasm", guest("version_one"));
    let Some(stage) = Stage::set_with(way, plan).await else {
        return;
    };
    let socket = stage.connect("/").await;
    stage.server.remove("v.wasm");
    stage.server.wait_for_status("/version", 404).await;
    let ack = socket.ask("version", json!([])).await;
    assert_eq!(ack[0]["error"]["code"], 404, "answered, not lost");
    stage.server.drop_in("v.wasm", guest("version_two"));
    stage.server.wait_for_body("/version", "two").await;
    let version = socket.ask("version", json!([])).await;
    assert_eq!(version, json!(["two"]));
    assert_stayed(&[&socket]);
}

async fn c14_who_connects_while_the_code_is_replaced_gets_in_and_is_heard(way: Way) {
    let Some(stage) = Stage::set(way).await else {
        return;
    };
    let stop = Stop::default();
    let newcomers = async {
        let mut count = 0;
        while !stop.asked() {
            let auth = json!({ "user": count, "greet": count });
            let socket = stage.connect_as(auth).await;
            assert_eq!(socket.wait_event("greeting").await, json!([count]));
            let who = socket.ask("who", json!([])).await;
            assert_eq!(who[0]["user"], count.to_string(), "what its hook set");
            count += 1;
        }
        count
    };
    let reloads = async {
        for number in 0..5 {
            let from = stage.server.log().len();
            let newer = stamped(&guest("probe"), &number.to_string());
            stage.server.drop_in("probe.wasm", newer);
            let words = [&*format!("{}: reloaded", file_name())];
            stage.server.wait_for_log_from(from, &words).await;
        }
        stop.now();
    };
    let (count, ()) = tokio::join!(newcomers, reloads);
    assert!(count > 5, "{count} clients connected meanwhile");
}

fn assert_stayed(sockets: &[&Socket]) {
    for socket in sockets {
        let all = socket.happened();
        let end = all.iter().find(|it| it.what["what"] == "disconnect");
        assert!(end.is_none(), "{end:?}");
    }
}
