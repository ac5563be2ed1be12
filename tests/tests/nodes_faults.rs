//! Several nodes when Redis or the network fails, and when somebody else publishes in Redis.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use hitchy_tests::Server;
use hitchy_tests::nodes::{BACK, Nodes, PREFIX, counter, emit, emit_many, members, plan};
use hitchy_tests::raw::{Packet, RawSocket};
use hitchy_tests::redis::{Connection, Reply};
use hitchy_tests::server::Signal;
use hitchy_tests::tcp_proxy::Mode;
use hitchy_tests::wait::{SOON, eventually, until, within};
use serde_json::json;
use tokio::task::JoinSet;

/// The longest time that one emit may take while Redis does not answer.
const EMIT: Duration = Duration::from_secs(1);

/// Returns the channel of the nodes.
fn channel() -> String {
    format!("{PREFIX}:all")
}

async fn client(server: &Server) -> RawSocket {
    let client = RawSocket::connect(server.addr(), "/").await;
    client.expect("the server lets the client in")
}

/// Reads the numbers of the event `n` until the event `end` with this number comes.
async fn numbers_until(client: &mut RawSocket, end: usize) -> Vec<usize> {
    let end = format!("42[\"end\",{end}]");
    let mut numbers = Vec::new();
    let read = async {
        loop {
            let Packet::Text(text) = client.next().await.expect("it goes on") else {
                panic!("nothing binary was sent");
            };
            if text == end {
                return;
            }
            if let Some(rest) = text.strip_prefix("42[\"n\",") {
                let number = rest.trim_end_matches(']');
                numbers.push(number.parse().expect("a number"));
            }
        }
    };
    within("the end", SOON * 6, read).await;
    numbers
}

/// Emits events `ping` from a node until `client` of another node gets one. Returns how long it took.
async fn reached_again(from: &Server, client: &mut RawSocket) -> Duration {
    let start = Instant::now();
    let emits = async {
        loop {
            emit(from, "ping", json!([])).await;
        }
    };
    let comes = async {
        loop {
            let packet = client.next().await.expect("it goes on");
            if matches!(&packet, Packet::Text(text) if text == "42[\"ping\"]") {
                return;
            }
        }
    };
    let reached = async {
        tokio::select! {
            () = emits => {}
            () = comes => {}
        }
    };
    within("an event reaches the other node again", SOON, reached).await;
    start.elapsed()
}

async fn refused(server: &Server, cause: &str) -> f64 {
    let series = format!("hitchy_cluster_refused_total{{cause=\"{cause}\"}}");
    counter(server, &series).await
}

async fn refused_in_all(server: &Server) -> f64 {
    let scrape = server.metrics().await;
    let series = |cause| format!("hitchy_cluster_refused_total{{cause=\"{cause}\"}}");
    let causes = ["size", "form", "version", "code", "repeated", "content"];
    causes
        .iter()
        .map(|cause| scrape.value(&series(cause)))
        .sum()
}

async fn dropped(server: &Server, direction: &str) -> f64 {
    let series = format!("hitchy_cluster_dropped_total{{direction=\"{direction}\"}}");
    counter(server, &series).await
}

/// Waits until a node has noticed that Redis is away.
async fn notices_an_outage(server: &Server) {
    until("the outage is noticed", SOON, async || {
        counter(server, "hitchy_cluster_up{link=\"publish\"}").await == 0.0
            && counter(server, "hitchy_cluster_up{link=\"subscribe\"}").await == 0.0
    })
    .await;
}

#[tokio::test]
async fn r11_local_events_go_on_while_redis_is_killed_and_remote_ones_come_back() {
    let Some(mut nodes) = Nodes::start(2).await else {
        return;
    };
    let mut here = client(nodes.server(0)).await;
    let mut there = client(nodes.server(1)).await;
    emit_many(nodes.server(0), "n", 0, 10).await;
    nodes.redis.kill();
    let mut slowest = Duration::ZERO;
    for number in 10..510 {
        let start = Instant::now();
        emit_many(nodes.server(0), "n", number, 1).await;
        slowest = slowest.max(start.elapsed());
    }
    assert!(slowest < EMIT, "{slowest:?}");
    emit(nodes.server(0), "end", json!([1])).await;
    let local = numbers_until(&mut here, 1).await;
    assert!(
        local == (0..510).collect::<Vec<_>>(),
        "each once, in order: {local:?}"
    );
    notices_an_outage(nodes.server(0)).await;
    nodes.redis.start_again().await;
    let time = reached_again(nodes.server(0), &mut there).await;
    assert!(time < BACK, "{time:?}");
    nodes.know_each_other().await;
    let time = reached_again(nodes.server(1), &mut here).await;
    assert!(time < BACK, "{time:?}");
}

#[tokio::test]
async fn r12_a_hung_redis_delays_no_emit_and_the_oldest_are_dropped() {
    const EVENTS: usize = 3000;
    let Some(nodes) = Nodes::start(2).await else {
        return;
    };
    let mut here = client(nodes.server(0)).await;
    let mut there = client(nodes.server(1)).await;
    nodes.redis.stop();
    notices_an_outage(nodes.server(0)).await;
    let mut slowest = Duration::ZERO;
    for from in (0..EVENTS).step_by(100) {
        slowest = slowest.max(emit_many(nodes.server(0), "n", from, 100).await);
    }
    assert!(slowest < EMIT, "{slowest:?} for a hundred");
    emit(nodes.server(0), "end", json!([1])).await;
    let local = numbers_until(&mut here, 1).await;
    assert!(
        local == (0..EVENTS).collect::<Vec<_>>(),
        "{} came",
        local.len()
    );
    let lost = dropped(nodes.server(0), "out").await;
    assert!(lost >= (EVENTS + 1 - 1024) as f64, "{lost}");
    nodes
        .server(0)
        .wait_for_log(&["are dropped, because Redis"])
        .await;
    // The node that waits with its events comes back after the other one, which would miss them otherwise.
    notices_an_outage(nodes.server(1)).await;
    nodes.all()[0].proxy.set(Mode::Cut);
    nodes.redis.go_on();
    until("the other node is back", SOON, async || {
        counter(nodes.server(1), "hitchy_cluster_up{link=\"subscribe\"}").await == 1.0
    })
    .await;
    nodes.all()[0].proxy.set(Mode::Pass);
    let remote = numbers_until(&mut there, 1).await;
    assert!(
        remote.len() <= 1024 && remote.is_sorted_by(|a, b| a < b),
        "{remote:?}"
    );
    assert_eq!(remote.last(), Some(&(EVENTS - 1)), "the newest are kept");
    let missed = counter(nodes.server(1), "hitchy_cluster_lost_total").await;
    assert!(missed >= lost, "{missed} of {lost} were noticed");
}

#[tokio::test]
async fn r12_an_emit_returns_at_once_when_redis_has_just_hung() {
    let Some(nodes) = Nodes::start(1).await else {
        return;
    };
    emit_many(nodes.server(0), "n", 0, 10).await;
    nodes.redis.stop();
    // Redis has answered lately, so that emits wait for place: not for long, and not any more once it is silent.
    let time = emit_many(nodes.server(0), "n", 10, 2000).await;
    assert!(time < EMIT * 5, "{time:?} for two thousand");
    let time = emit_many(nodes.server(0), "n", 10, 2000).await;
    assert!(time < EMIT, "{time:?} for two thousand");
    nodes.redis.go_on();
}

#[tokio::test]
async fn r14_partition_and_healing() {
    let Some(nodes) = Nodes::start(2).await else {
        return;
    };
    let mut here = client(nodes.server(0)).await;
    let mut there = client(nodes.server(1)).await;
    let join = json!([{ "do": "socket.join", "rooms": ["red"] }]);
    there.ask("script", &[join]).await.expect("it joins");
    emit_many(nodes.server(0), "n", 0, 10).await;
    nodes.all()[1].proxy.set(Mode::Swallow);
    notices_an_outage(nodes.server(1)).await;
    for from in (10..1010).step_by(100) {
        emit_many(nodes.server(0), "n", from, 100).await;
    }
    until("the other node is forgotten", SOON, async || {
        members(nodes.server(0)).await == 1.0
    })
    .await;
    nodes.all()[1].proxy.set(Mode::Pass);
    let time = reached_again(nodes.server(0), &mut there).await;
    assert!(time < BACK, "{time:?}");
    nodes.know_each_other().await;
    // Rooms are where they were, and nothing comes twice.
    let to_room = json!([
        { "do": "emit-to", "rooms": ["red"], "event": "n", "args": [5000] },
        { "do": "emit", "event": "end", "args": [1] },
    ]);
    nodes.server(0).script(&to_room).await;
    let remote = numbers_until(&mut there, 1).await;
    let different: BTreeSet<_> = remote.iter().collect();
    assert_eq!(different.len(), remote.len(), "{remote:?}");
    assert_eq!(remote.last(), Some(&5000), "{remote:?}");
    let local = numbers_until(&mut here, 1).await;
    assert!(
        local == (0..1010).collect::<Vec<_>>(),
        "{} came",
        local.len()
    );
    assert_eq!(refused(nodes.server(1), "code").await, 0.0);
}

/// Subscribes to the channel of the nodes and returns the next frame that is larger than a sign of life.
async fn recorded(nodes: &Nodes) -> Vec<u8> {
    let mut listener = nodes.redis.connection().await;
    let channel = channel();
    let subscribed = listener.ask(&[b"SUBSCRIBE", channel.as_bytes()]).await;
    subscribed.expect("it listens");
    emit(nodes.server(0), "recorded", json!(["x".repeat(200)])).await;
    let frame = async {
        loop {
            let Ok(Reply::List(parts)) = listener.next().await else {
                panic!("no message");
            };
            if let Some(Reply::Text(frame)) = parts.into_iter().nth(2)
                && frame.len() > 200
            {
                return frame;
            }
        }
    };
    within("the frame of an event", SOON, frame).await
}

async fn publish(to: &mut Connection, frame: &[u8]) {
    let channel = channel();
    let published = to.ask(&[b"PUBLISH", channel.as_bytes(), frame]).await;
    assert!(matches!(published, Ok(Reply::Number(1..))), "{published:?}");
}

#[tokio::test]
async fn r15_1000_random_and_truncated_messages_change_nothing() {
    let Some(mut nodes) = Nodes::start(2).await else {
        return;
    };
    let mut there = client(nodes.server(1)).await;
    let frame = recorded(&nodes).await;
    let mut stranger = nodes.redis.connection().await;
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as usize
    };
    let before = refused_in_all(nodes.server(1)).await;
    for number in 0..1000 {
        let mut forged = frame.clone();
        match number % 4 {
            0 => forged = (0..random() % 300).map(|_| random() as u8).collect(),
            1 => forged.truncate(random() % frame.len()),
            2 => forged[random() % frame.len()] ^= 1 << (random() % 8),
            // Another version, and one that nobody of this cluster has signed.
            _ => forged[2 + random() % 20] = forged[2 + random() % 20].wrapping_add(1),
        }
        if forged == frame {
            forged.push(0);
        }
        publish(&mut stranger, &forged).await;
    }
    let huge = vec![0; 6 << 20];
    publish(&mut stranger, &huge).await;
    publish(&mut stranger, &frame).await;
    eventually("all are refused", SOON, async || {
        let now = refused_in_all(nodes.server(1)).await;
        (now - before == 1002.0).then_some(())
    })
    .await;
    assert_eq!(refused(nodes.server(1), "size").await, 1.0);
    assert!(
        refused(nodes.server(1), "repeated").await >= 1.0,
        "the recorded one"
    );
    nodes
        .server(1)
        .wait_for_log(&["was refused", "another secret"])
        .await;
    emit(nodes.server(0), "end", json!([1])).await;
    let none = numbers_until(&mut there, 1).await;
    assert!(none.is_empty());
    nodes.know_each_other().await;
    for _ in 0..2 {
        nodes.take(0).server.assert_unharmed();
    }
}

#[tokio::test]
async fn r15_a_node_with_another_secret_reaches_nobody() {
    let Some(nodes) = Nodes::start(2).await else {
        return;
    };
    let stranger = plan(&nodes.all()[0].proxy, 9).env("OF_NODES", "hunter3");
    let stranger = stranger.start().await;
    let mut there = client(nodes.server(1)).await;
    emit_many(&stranger, "n", 0, 10).await;
    until("they are refused", SOON, async || {
        refused(nodes.server(1), "code").await >= 10.0
    })
    .await;
    emit(nodes.server(0), "end", json!([1])).await;
    assert!(numbers_until(&mut there, 1).await.is_empty());
    assert_eq!(members(nodes.server(1)).await, 2.0);
    assert_eq!(members(&stranger).await, 1.0);
}

#[tokio::test]
async fn r16_a_burst_that_clients_take_too_slowly_is_dropped_and_counted() {
    const EVENTS: usize = 100_000;
    const OTHERS: usize = 40;
    let Some(mut nodes) = Nodes::start(2).await else {
        return;
    };
    // Redis keeps all of the burst for the node that does not read.
    let unlimited = [
        "CONFIG",
        "SET",
        "client-output-buffer-limit",
        "pubsub 0 0 0",
    ];
    assert_eq!(nodes.redis.ask(&unlimited).await.text(), "OK");
    let mut there = client(nodes.server(1)).await;
    let mut chat = RawSocket::connect(nodes.server(1).addr(), "/chat")
        .await
        .expect("the server lets the client in");
    // They read all the time, because a client that does not is disconnected. There are many of them, so that delivering
    // an event takes much longer than reading it from Redis.
    let reading = tokio::spawn(async move { numbers_until(&mut there, 1).await });
    let mut others = JoinSet::new();
    for _ in 0..OTHERS {
        let mut other = client(nodes.server(1)).await;
        others.spawn(async move { while other.next().await.is_ok() {} });
    }
    nodes.server(1).signal(Signal::STOP);
    for from in (0..EVENTS).step_by(5000) {
        emit_many(nodes.server(0), "n", from, 5000).await;
    }
    nodes.server(1).signal(Signal::CONT);
    until("events are dropped", SOON, async || {
        dropped(nodes.server(1), "in").await > 0.0
    })
    .await;
    let words = ["are dropped, because clients"];
    nodes.server(1).wait_for_log(&words).await;
    emit(nodes.server(0), "end", json!([1])).await;
    let came = reading.await.expect("the client goes on");
    assert!(came.is_sorted_by(|a, b| a < b), "once each, in order");
    assert_eq!(came.last(), Some(&(EVENTS - 1)), "the newest are kept");
    let scrape = nodes.server(1).metrics().await;
    let dropped = scrape.value("hitchy_cluster_dropped_total{direction=\"in\"}");
    let missed = scrape.value("hitchy_cluster_lost_total");
    assert_eq!(came.len() as f64 + dropped + missed, EVENTS as f64);
    // Another namespace goes on, and the node is sound.
    let step = json!([{ "do": "emit-to", "namespace": "/chat", "event": "said", "args": ["x"] }]);
    nodes.server(0).script(&step).await;
    let said = within("another namespace goes on", SOON, chat.next()).await;
    let expected = Packet::Text("42/chat,[\"said\",\"x\"]".to_owned());
    assert_eq!(said.expect("an event"), expected);
    let health = nodes.server(1).ask_console("/healthz").await;
    assert_eq!(health.json()["status"], "ok", "{health:?}");
    nodes.take(1).server.assert_unharmed();
}
