//! Rooms, lists, questions and disconnects across several nodes, and nodes that do not answer.

use std::time::{Duration, Instant};

use hitchy_tests::node::{Node, Socket, binary};
use hitchy_tests::nodes::{ClusterNode, Nodes, counter, wait_for_members};
use hitchy_tests::server::Signal;
use hitchy_tests::wait::{SOON, until};
use hitchy_tests::{Server, official_client};
use serde_json::{Value, json};

/// Starts nodes, the official client, and a client in `/` of each node, over one transport and then the other.
async fn stage(count: usize) -> Option<(Nodes, Node, Vec<Socket>)> {
    let node = official_client().await?;
    let nodes = Nodes::start(count).await?;
    let mut sockets = Vec::new();
    for (one, transport) in nodes
        .all()
        .iter()
        .zip(["websocket", "polling"].iter().cycle())
    {
        sockets.push(connect(&node, one, transport).await);
    }
    Some((nodes, node, sockets))
}

async fn connect(node: &Node, one: &ClusterNode, transport: &str) -> Socket {
    let options = json!({ "transports": [transport] });
    let connected = node.connect_with(&one.server, "/", options).await;
    connected.expect("the server lets the client in")
}

/// Runs one step of the probe on a node and returns its result.
async fn step(server: &Server, step: Value) -> Value {
    server.script(&json!([step])).await[0].clone()
}

/// Returns the ids that a node lists for some rooms, sorted.
async fn ids(server: &Server, rooms: Value) -> Vec<String> {
    let listed = step(server, json!({ "do": "list-ids", "rooms": rooms })).await;
    sorted(&listed)
}

/// Returns the ids of a list, sorted.
fn sorted(listed: &Value) -> Vec<String> {
    let ids = listed["ok"].as_array();
    let ids = ids.unwrap_or_else(|| panic!("no list: {listed}")).iter();
    let mut ids: Vec<_> = ids
        .map(|id| id.as_str().unwrap_or_default().to_owned())
        .collect();
    ids.sort_unstable();
    ids
}

/// Returns the ids of sockets, sorted.
fn of(sockets: &[&Socket]) -> Vec<String> {
    let mut ids: Vec<_> = sockets
        .iter()
        .map(|socket| socket.id().to_owned())
        .collect();
    ids.sort_unstable();
    ids
}

/// Waits until a node lists these sockets for some rooms. Changes reach other nodes a moment after the call.
async fn wait_for_ids(server: &Server, rooms: &Value, sockets: &[&Socket]) {
    let what = format!("{} sockets in {rooms}", sockets.len());
    let list = json!({ "do": "list-ids", "rooms": rooms });
    until(&what, SOON, async || {
        // For a moment after an outage, other nodes cannot be asked.
        let listed = step(server, list.clone()).await;
        listed["ok"].is_array() && sorted(&listed) == of(sockets)
    })
    .await;
}

#[tokio::test]
async fn c11_joins_leaves_and_lists_across_nodes() {
    let Some((nodes, node, sockets)) = stage(3).await else {
        return;
    };
    let [ann, bob, cyd] = &sockets[..] else {
        panic!("three")
    };
    let chat = node.connect(nodes.server(2), "/chat").await;
    for one in nodes.all() {
        assert_eq!(ids(&one.server, json!([])).await, of(&[ann, bob, cyd]));
    }
    let joined = json!({ "do": "join", "rooms": [ann.id(), bob.id()], "join": ["vip", "all"] });
    assert_eq!(step(nodes.server(2), joined).await, json!({ "ok": null }));
    for one in nodes.all() {
        wait_for_ids(&one.server, &json!(["vip"]), &[ann, bob]).await;
    }
    let leave =
        json!({ "do": "leave", "rooms": ["vip"], "excluding": [bob.id()], "leave": ["vip"] });
    assert_eq!(step(nodes.server(0), leave).await, json!({ "ok": null }));
    for one in nodes.all() {
        wait_for_ids(&one.server, &json!(["vip"]), &[bob]).await;
    }
    let rest = json!({ "do": "list-ids", "excluding": ["all"] });
    assert_eq!(
        step(nodes.server(1), rest).await,
        json!({ "ok": [cyd.id()] })
    );
    let chats = json!({ "do": "list-ids", "namespace": "/chat" });
    assert_eq!(
        step(nodes.server(0), chats).await,
        json!({ "ok": [chat.id()] })
    );
    let own = json!({ "do": "list-ids", "this-node-only": true });
    assert_eq!(
        step(nodes.server(1), own).await,
        json!({ "ok": [bob.id()] })
    );
    let own = json!({ "do": "join", "join": ["here"], "this-node-only": true });
    assert_eq!(step(nodes.server(1), own).await, json!({ "ok": null }));
    assert_eq!(ids(nodes.server(0), json!(["here"])).await, of(&[bob]));
}

#[tokio::test]
async fn c11_who_joined_gets_what_is_emitted_next() {
    let Some((nodes, _node, sockets)) = stage(2).await else {
        return;
    };
    let steps: Vec<Value> = (0..50)
        .flat_map(|number| {
            let room = format!("room {number}");
            [
                json!({ "do": "join", "join": [room] }),
                json!({ "do": "emit-to", "rooms": [room], "event": "in", "args": [number] }),
                json!({ "do": "leave", "leave": [room] }),
                json!({ "do": "emit-to", "rooms": [room], "event": "out", "args": [number] }),
            ]
        })
        .chain([json!({ "do": "emit", "event": "end", "args": [] })])
        .collect();
    nodes.server(0).script(&json!(steps)).await;
    let numbers: Vec<_> = (0..50).map(|number| json!([number])).collect();
    for socket in &sockets {
        socket.wait_event("end").await;
        assert_eq!(socket.events("in"), numbers);
        assert!(socket.events("out").is_empty());
    }
}

#[tokio::test]
async fn c11_disconnect_close_reaches_clients_of_all_nodes() {
    let Some((nodes, node, sockets)) = stage(2).await else {
        return;
    };
    let [ann, bob] = &sockets[..] else {
        panic!("two")
    };
    let cyd = connect(&node, &nodes.all()[1], "websocket").await;
    let chosen = json!({ "do": "disconnect", "rooms": [bob.id()] });
    assert_eq!(step(nodes.server(0), chosen).await, json!({ "ok": null }));
    assert_eq!(bob.wait_disconnect().await, "io server disconnect");
    wait_for_ids(nodes.server(0), &json!([]), &[ann, &cyd]).await;
    let own = json!({ "do": "disconnect", "this-node-only": true });
    assert_eq!(step(nodes.server(0), own).await, json!({ "ok": null }));
    assert_eq!(ann.wait_disconnect().await, "io server disconnect");
    wait_for_ids(nodes.server(0), &json!([]), &[&cyd]).await;
    let all = json!({ "do": "disconnect", "close": true });
    assert_eq!(step(nodes.server(0), all).await, json!({ "ok": null }));
    assert_eq!(cyd.wait_disconnect().await, "io server disconnect");
    wait_for_ids(nodes.server(1), &json!([]), &[]).await;
}

/// Returns the ack of a socket among the results of `emit-to-with-ack`.
fn ack_of(acks: &Value, id: &str) -> Value {
    let acks = acks["ok"].as_array();
    let acks = acks.expect("acks").iter();
    let mut own = acks.filter(|entry| entry[0] == id);
    let ack = own.next().map(|entry| entry[1].clone()).unwrap_or_default();
    assert!(own.next().is_none(), "one entry for each");
    ack
}

#[tokio::test]
async fn c13_acks_of_many_nodes() {
    let Some((nodes, _node, sockets)) = stage(4).await else {
        return;
    };
    let big = "x".repeat(600 << 10);
    sockets[0].answer("question", json!(["own", 2])).await;
    sockets[1]
        .answer("question", json!([binary(b"b"), { "deep": [1] }]))
        .await;
    sockets[2].answer("question", json!([big])).await;
    let start = Instant::now();
    let ask =
        json!({ "do": "emit-to-with-ack", "event": "question", "args": ["?"], "timeout": 1500 });
    let acks = step(nodes.server(0), ask).await;
    let time = start.elapsed();
    assert_eq!(acks["ok"].as_array().map(Vec::len), Some(4), "{acks}");
    let args = |number: usize| ack_of(&acks, sockets[number].id())["ok"]["args"].clone();
    assert_eq!(args(0), json!(["own", 2]));
    assert_eq!(args(1)[1], json!({ "deep": [1] }));
    assert_eq!(
        ack_of(&acks, sockets[1].id())["ok"]["attachments"],
        json!(["b"])
    );
    assert_eq!(args(2)[0].as_str().map(str::len), Some(big.len()));
    let late = ack_of(&acks, sockets[3].id());
    assert_eq!(
        late["failed"]["code"], 504,
        "the client that does not answer: {late}"
    );
    assert!(
        (Duration::from_millis(1400)..Duration::from_millis(3400)).contains(&time),
        "the client's time, and not the nodes': {time:?}"
    );
    let some = json!({ "do": "emit-to-with-ack", "rooms": [sockets[1].id()], "event": "question", "args": [], "timeout": 9000 });
    let acks = step(nodes.server(3), some).await;
    assert_eq!(acks["ok"].as_array().map(Vec::len), Some(1), "{acks}");
    let own = json!({ "do": "emit-to-with-ack", "this-node-only": true, "event": "question", "args": [], "timeout": 9000 });
    let acks = step(nodes.server(2), own).await;
    assert_eq!(acks["ok"].as_array().map(Vec::len), Some(1), "{acks}");
    for (socket, times) in sockets.iter().zip([1, 2, 2, 1]) {
        assert_eq!(socket.events("question").len(), times);
    }
}

#[tokio::test]
async fn c13_a_question_comes_after_what_was_emitted_before_it() {
    let Some((nodes, _node, sockets)) = stage(2).await else {
        return;
    };
    for socket in &sockets {
        socket.answer("question", json!([])).await;
    }
    let ask = json!({ "do": "emit-to-with-ack", "event": "question", "args": [], "timeout": 5000 });
    let emit = |number: usize| json!({ "do": "emit", "event": "before", "args": [number] });
    let steps: Vec<Value> = (0..20)
        .flat_map(|number| [emit(number), ask.clone()])
        .collect();
    nodes.server(0).script(&json!(steps)).await;
    for socket in &sockets {
        let happened = socket.happened().into_iter();
        let events = happened.filter(|it| it.what["what"] == "event");
        let names: Vec<_> = events.map(|it| it.what["event"].clone()).collect();
        let expected: Vec<_> = (0..20)
            .flat_map(|_| [json!("before"), json!("question")])
            .collect();
        assert_eq!(names, expected);
    }
}

/// Asserts that a result is the failure that names the node `node-1`, with this status.
fn names_the_silent(result: &Value, code: u16) {
    assert_eq!(result["failed"]["code"], code, "{result}");
    let message = result["failed"]["message"].as_str().unwrap_or_default();
    assert!(
        message.contains("node node-1 did not answer within 2s"),
        "{message}"
    );
}

#[tokio::test]
async fn a_silent_node_is_named_within_2_s() {
    let Some((nodes, _node, sockets)) = stage(3).await else {
        return;
    };
    for socket in &sockets {
        socket.answer("question", json!(["yes"])).await;
    }
    nodes.server(1).signal(Signal::STOP);
    let start = Instant::now();
    let (listed, joined, asked) = tokio::join!(
        step(nodes.server(0), json!({ "do": "list-ids" })),
        step(nodes.server(0), json!({ "do": "join", "join": ["vip"] })),
        step(
            nodes.server(0),
            json!({ "do": "emit-to-with-ack", "event": "question", "args": [], "timeout": 500 })
        ),
    );
    let time = start.elapsed();
    assert!(time < Duration::from_secs(4), "{time:?}");
    names_the_silent(&listed, 503);
    let message = listed["failed"]["message"].to_string();
    assert!(
        message.contains("1 ids of 1 other nodes are known"),
        "{message}"
    );
    names_the_silent(&joined, 503);
    names_the_silent(&ack_of(&asked, ""), 504);
    for number in [0, 2] {
        let ack = ack_of(&asked, sockets[number].id());
        assert_eq!(ack["ok"]["args"], json!(["yes"]), "{asked}");
    }
    assert_eq!(asked["ok"].as_array().map(Vec::len), Some(3), "{asked}");
    // After five seconds of silence it does not count any more.
    wait_for_members(nodes.server(0), 2).await;
    assert_eq!(
        ids(nodes.server(0), json!([])).await,
        of(&[&sockets[0], &sockets[2]])
    );
    assert!(
        ids(nodes.server(0), json!(["vip"])).await.is_empty(),
        "nobody joined"
    );
    nodes.server(1).signal(Signal::CONT);
    nodes.know_each_other().await;
    wait_for_ids(
        nodes.server(0),
        &json!([]),
        &sockets.iter().collect::<Vec<_>>(),
    )
    .await;
    let asked_late = sockets[1].events("question").len();
    assert_eq!(asked_late, 0, "a question that is over is not asked");
}

#[tokio::test]
async fn c11_a_thousand_rooms_are_refused_on_all_nodes() {
    let Some((nodes, _node, sockets)) = stage(2).await else {
        return;
    };
    for from in [0, 250, 500, 750] {
        // Its own id is a room too.
        let rooms: Vec<_> = (from..from + 250.min(998 - from))
            .map(|number| format!("room {number}"))
            .collect();
        let join = json!([{ "do": "socket.join", "rooms": rooms }]);
        let joined = sockets[1].ask("script", json!([join])).await;
        assert_eq!(joined[0][0], json!({ "ok": null }), "{joined}");
    }
    let too_many = json!({ "do": "join", "join": ["a", "b", "c"] });
    let refused = step(nodes.server(0), too_many).await;
    assert_eq!(refused["failed"]["code"], 413, "{refused}");
    assert!(
        ids(nodes.server(0), json!(["a", "b", "c"]))
            .await
            .is_empty(),
        "nobody joined"
    );
    let one = json!({ "do": "join", "join": ["a"] });
    assert_eq!(step(nodes.server(0), one).await, json!({ "ok": null }));
    wait_for_ids(nodes.server(1), &json!(["a"]), &[&sockets[0], &sockets[1]]).await;
}

#[tokio::test]
async fn r11_while_redis_is_away_a_node_speaks_for_itself_only() {
    let Some((mut nodes, _node, sockets)) = stage(2).await else {
        return;
    };
    sockets[0].answer("question", json!(["yes"])).await;
    nodes.redis.kill();
    until("the outage is noticed", SOON, async || {
        counter(nodes.server(0), "hitchy_cluster_up{link=\"subscribe\"}").await == 0.0
    })
    .await;
    let start = Instant::now();
    let results = nodes
        .server(0)
        .script(&json!([
            { "do": "list-ids" },
            { "do": "list-ids", "this-node-only": true },
            { "do": "join", "join": ["vip"] },
            { "do": "list-ids", "rooms": ["vip"], "this-node-only": true },
            { "do": "leave", "leave": ["vip"] },
            { "do": "emit-to-with-ack", "event": "question", "args": [], "timeout": 5000 },
        ]))
        .await;
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
    let own = json!({ "ok": [sockets[0].id()] });
    assert_eq!(results[0]["failed"]["code"], 503, "{results}");
    let message = results[0]["failed"]["message"].to_string();
    assert!(message.contains("Redis is not reached"), "{message}");
    assert_eq!((&results[1], &results[3]), (&own, &own));
    assert_eq!(
        (&results[2], &results[4]),
        (&json!({ "ok": null }), &json!({ "ok": null }))
    );
    assert_eq!(
        ack_of(&results[5], sockets[0].id())["ok"]["args"],
        json!(["yes"])
    );
    assert_eq!(ack_of(&results[5], "")["failed"]["code"], 503, "{results}");
    nodes.redis.start_again().await;
    nodes.know_each_other().await;
    wait_for_ids(
        nodes.server(0),
        &json!([]),
        &sockets.iter().collect::<Vec<_>>(),
    )
    .await;
}
