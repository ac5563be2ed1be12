//! Events across several nodes: whom they reach, in which order, and whom they do not reach.

use hitchy_tests::node::{Node, Socket, binary, bytes};
use hitchy_tests::nodes::{ClusterNode, Nodes, emit, emit_many, members, wait_for_members};
use hitchy_tests::raw::{Packet, RawSocket};
use hitchy_tests::wait::{SOON, within};
use hitchy_tests::{Server, official_client};
use serde_json::{Value, json};

/// Starts nodes, and the official client. Returns `None` if one of them cannot run here.
async fn stage(count: usize) -> Option<(Nodes, Node)> {
    let node = official_client().await?;
    Some((Nodes::start(count).await?, node))
}

async fn connect(node: &Node, server: &Server, namespace: &str, transport: &str) -> Socket {
    let options = json!({ "transports": [transport] });
    let connected = node.connect_with(server, namespace, options).await;
    connected.expect("the server lets the client in")
}

/// Connects a client to `/` of each node, over one transport and then the other.
async fn one_on_each(node: &Node, nodes: &[ClusterNode]) -> Vec<Socket> {
    let mut sockets = Vec::new();
    for (one, transport) in nodes.iter().zip(["websocket", "polling"].iter().cycle()) {
        sockets.push(connect(node, &one.server, "/", transport).await);
    }
    sockets
}

async fn script(socket: &Socket, steps: Value) -> Value {
    socket.ask("script", json!([steps])).await[0].clone()
}

/// Emits an event in a namespace after all others, and waits until each socket has it: what was to come before has come.
async fn end(server: &Server, namespace: &str, sockets: &[&Socket]) {
    let step = json!([{ "do": "emit-to", "namespace": namespace, "event": "end", "args": [] }]);
    assert_eq!(server.script(&step).await, json!([{ "ok": null }]));
    for socket in sockets {
        socket.wait_event("end").await;
    }
}

#[tokio::test]
async fn c07_an_emit_reaches_everybody_on_all_nodes_and_nobody_elsewhere() {
    let Some((nodes, node)) = stage(4).await else {
        return;
    };
    let sockets = one_on_each(&node, nodes.all()).await;
    let mut chats = Vec::new();
    for one in nodes.all() {
        chats.push(connect(&node, &one.server, "/chat", "websocket").await);
    }
    let hitchy = connect(&node, nodes.server(3), "/hitchy", "websocket").await;
    for (number, one) in nodes.all().iter().enumerate() {
        emit(&one.server, "news", json!([number, { "n": null }])).await;
        for socket in &sockets {
            let news = socket.wait_event("news").await;
            assert_eq!(news, json!([number, { "n": null }]));
        }
    }
    for one in nodes.all() {
        end(&one.server, "/chat", &chats.iter().collect::<Vec<_>>()).await;
    }
    hitchy.ask("request", json!([{ "url": "/hello/x" }])).await;
    for socket in chats.iter().chain([&hitchy]) {
        assert!(socket.events("news").is_empty());
    }
    for socket in &sockets {
        assert_eq!(socket.events("news").len(), 4, "once from each node");
    }
}

#[tokio::test]
async fn c08_an_event_may_carry_anything_to_another_node() {
    let Some((nodes, node)) = stage(2).await else {
        return;
    };
    let sockets = one_on_each(&node, nodes.all()).await;
    // Its listener emits what came, with the attachments.
    let args =
        json!(["grüße 🎉", { "b": binary(b"\0\xff") }, [binary(b"")], 1e300, "\"\\\u{2028}"]);
    sockets[0].ask("tell", args.clone()).await;
    for socket in &sockets {
        let told = socket.wait_event("told").await;
        let expected: Vec<_> = [json!(sockets[0].id())]
            .into_iter()
            .chain(args.as_array().expect("a list").clone())
            .collect();
        assert_eq!(told, json!(expected));
        assert_eq!(bytes(&told[2]["b"]), b"\0\xff");
    }
    let big = "x".repeat(900 << 10);
    emit(nodes.server(1), "big", json!([big])).await;
    for socket in &sockets {
        let came = socket.wait_event("big").await;
        assert_eq!(came[0].as_str().map(str::len), Some(900 << 10));
    }
}

#[tokio::test]
async fn c11_rooms_and_excluding_across_nodes() {
    let Some((nodes, node)) = stage(3).await else {
        return;
    };
    let sockets = one_on_each(&node, nodes.all()).await;
    let [ann, bob, cyd] = &sockets[..] else {
        panic!("three")
    };
    let join = |rooms: Value| json!([{ "do": "socket.join", "rooms": rooms }]);
    script(ann, join(json!(["red", "blue"]))).await;
    script(bob, join(json!(["red"]))).await;
    let steps = json!([
        { "do": "emit-to", "rooms": ["red"], "event": "to", "args": ["red"] },
        { "do": "emit-to", "rooms": ["red", "blue"], "event": "to", "args": ["either, once"] },
        { "do": "emit-to", "rooms": ["red"], "excluding": ["blue"], "event": "to", "args": ["red, not blue"] },
        { "do": "emit-to", "rooms": [cyd.id()], "event": "to", "args": ["one"] },
        { "do": "emit-to", "excluding": [bob.id()], "event": "to", "args": ["all but bob"] },
        { "do": "emit-to", "rooms": ["nobody's"], "event": "to", "args": ["nobody"] },
    ]);
    for one in nodes.all() {
        one.server.script(&steps).await;
        end(&one.server, "/", &[ann, bob, cyd]).await;
    }
    let (red, either) = (json!(["red"]), json!(["either, once"]));
    let (one, all) = (json!(["one"]), json!(["all but bob"]));
    let thrice = |events: &[&Value]| -> Vec<Value> {
        std::iter::repeat_n(events, 3)
            .flatten()
            .map(|&it| it.clone())
            .collect()
    };
    assert_eq!(ann.events("to"), thrice(&[&red, &either, &all]));
    assert_eq!(
        bob.events("to"),
        thrice(&[&red, &either, &json!(["red, not blue"])])
    );
    assert_eq!(cyd.events("to"), thrice(&[&one, &all]));
}

#[tokio::test]
async fn c11_a_sender_is_left_out_and_namespaces_are_apart_across_nodes() {
    let Some((nodes, node)) = stage(2).await else {
        return;
    };
    let ann = connect(&node, nodes.server(0), "/chat", "websocket").await;
    let bob = connect(&node, nodes.server(1), "/chat", "polling").await;
    let root = connect(&node, nodes.server(1), "/", "websocket").await;
    assert_eq!(ann.ask("say", json!(["hello"])).await, json!(["sent"]));
    assert_eq!(bob.wait_event("said").await, json!(["hello"]));
    end(nodes.server(0), "/chat", &[&ann, &bob]).await;
    emit(nodes.server(0), "last", json!([])).await;
    root.wait_event("last").await;
    assert!(ann.events("said").is_empty(), "the sender is excluded");
    assert!(root.events("said").is_empty() && root.events("end").is_empty());
}

#[tokio::test]
async fn c11_this_node_only_stays_and_droppable_goes() {
    let Some((nodes, node)) = stage(2).await else {
        return;
    };
    let sockets = one_on_each(&node, nodes.all()).await;
    let steps = json!([
        { "do": "emit-to", "this-node-only": true, "event": "to", "args": ["here"] },
        { "do": "emit-to", "droppable": true, "event": "to", "args": ["everywhere"] },
    ]);
    nodes.server(1).script(&steps).await;
    end(nodes.server(1), "/", &[&sockets[0], &sockets[1]]).await;
    assert_eq!(sockets[0].events("to"), [json!(["everywhere"])]);
    assert_eq!(
        sockets[1].events("to"),
        [json!(["here"]), json!(["everywhere"])]
    );
}

#[tokio::test]
async fn a_failed_emit_goes_to_no_node() {
    let Some((nodes, node)) = stage(2).await else {
        return;
    };
    let socket = connect(&node, nodes.server(1), "/", "websocket").await;
    let steps = json!([
        { "do": "emit-to", "namespace": "/nowhere", "event": "to", "args": [] },
        { "do": "emit-to", "namespace": "/hitchy", "event": "to", "args": [] },
        { "do": "emit", "event": "disconnect", "args": [] },
        { "do": "emit", "event": "to", "json": "{}" },
    ]);
    let results = nodes.server(0).script(&steps).await;
    let codes = results.as_array().expect("results").iter();
    let codes: Vec<_> = codes
        .map(|result| result["failed"]["code"].clone())
        .collect();
    assert_eq!(codes, [404, 403, 400, 400], "{results}");
    end(nodes.server(0), "/", &[&socket]).await;
    let scrape = nodes.server(1).metrics().await;
    for cause in ["size", "form", "version", "code", "repeated", "content"] {
        let series = format!("hitchy_cluster_refused_total{{cause=\"{cause}\"}}");
        assert_eq!(scrape.value(&series), 0.0, "{cause}");
    }
}

/// Reads the numbers of an event until the last one, in the order in which they come.
async fn numbers(client: &mut RawSocket, event: &str, last: usize) -> Vec<usize> {
    let beginning = format!("42[\"{event}\",");
    let mut numbers = Vec::new();
    let read = async {
        while numbers.last() != Some(&last) {
            let Packet::Text(text) = client.next().await.expect("it goes on") else {
                panic!("nothing binary was sent");
            };
            if let Some(rest) = text.strip_prefix(&beginning) {
                let number = rest.trim_end_matches(']');
                numbers.push(number.parse().expect("a number"));
            }
        }
    };
    within("the last number", SOON * 6, read).await;
    numbers
}

#[tokio::test]
async fn s17_order_per_socket_across_nodes() {
    const EVENTS: usize = 10_000;
    let Some(nodes) = Nodes::start(2).await else {
        return;
    };
    let mut here = RawSocket::connect(nodes.server(0).addr(), "/")
        .await
        .expect("in");
    let mut there = RawSocket::connect(nodes.server(1).addr(), "/")
        .await
        .expect("in");
    let emits = async {
        for from in (0..EVENTS).step_by(500) {
            emit_many(nodes.server(0), "n", from, 500).await;
        }
    };
    let ((), local, remote) = tokio::join!(
        emits,
        numbers(&mut here, "n", EVENTS - 1),
        numbers(&mut there, "n", EVENTS - 1)
    );
    let all: Vec<usize> = (0..EVENTS).collect();
    assert!(local == all, "on the same node: {} came", local.len());
    assert!(remote == all, "on the other node: {} came", remote.len());
    let scrape = nodes.server(1).metrics().await;
    assert_eq!(scrape.value("hitchy_cluster_lost_total"), 0.0);
    let dropped = scrape.value("hitchy_cluster_dropped_total{direction=\"in\"}");
    assert_eq!(dropped, 0.0);
    let published = nodes
        .server(0)
        .metrics()
        .await
        .value("hitchy_cluster_published_total");
    assert!(published >= EVENTS as f64, "{published}");
}

#[tokio::test]
async fn a_node_that_ends_says_so_and_a_killed_one_is_forgotten() {
    let Some(mut nodes) = Nodes::start(3).await else {
        return;
    };
    let mut first = nodes.take(0);
    first.server.terminate();
    assert_eq!(first.server.wait_for_end(SOON).await.code(), Some(0));
    for one in nodes.all() {
        one.server.wait_for_log(&["node node-0 has ended"]).await;
        assert_eq!(members(&one.server).await, 2.0);
    }
    drop(nodes.take(0));
    wait_for_members(nodes.server(0), 1).await;
    emit(nodes.server(0), "alone", json!([])).await;
}

#[tokio::test]
async fn applications_with_other_prefixes_are_apart() {
    let Some(node) = official_client().await else {
        return;
    };
    let Some(nodes) = Nodes::start(2).await else {
        return;
    };
    let other = hitchy_tests::nodes::plan(&nodes.all()[0].proxy, 9)
        .env("HITCHY_CLUSTER__PREFIX", "another")
        .start()
        .await;
    let here = connect(&node, nodes.server(1), "/", "websocket").await;
    let there = connect(&node, &other, "/", "websocket").await;
    emit(&other, "theirs", json!([])).await;
    emit(nodes.server(0), "ours", json!([])).await;
    here.wait_event("ours").await;
    emit(&other, "last", json!([])).await;
    there.wait_event("last").await;
    assert!(here.events("theirs").is_empty() && there.events("ours").is_empty());
    assert_eq!(members(&other).await, 1.0);
}
