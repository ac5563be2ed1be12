//! What clients, old clients and proxies really send: names that are numbers, upgrades without their headers, other
//! protocols, and the first packets of a session.

use std::io::ErrorKind;

use futures_util::{SinkExt, StreamExt};
use hitchy_tests::guests::guest;
use hitchy_tests::http::Connection;
use hitchy_tests::node::official_client;
use hitchy_tests::raw::{
    OPEN, Packet, RawClient, RawPolling, RawSocket, SEPARATOR, Witness, target,
};
use hitchy_tests::server::{Server, Signal};
use hitchy_tests::wait::{SOON, eventually, until, within};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::coding::Data;
use tokio_tungstenite::tungstenite::{Error, Message};

const TRANSPORTS: [&str; 2] = ["websocket", "polling"];
const WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";

/// The headers with which a client asks for a websocket.
const UPGRADE: [(&str, &str); 4] = [
    ("connection", "Upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("sec-websocket-version", "13"),
];

async fn probe() -> Server {
    Server::with("probe.wasm", guest("probe")).await
}

#[tokio::test]
async fn i11_09_a_number_is_the_event_of_that_name() {
    let Some(node) = official_client().await else {
        return;
    };
    let server = probe().await;
    for transport in TRANSPORTS {
        let options = json!({ "transports": [transport] });
        let socket = node.connect_with(&server, "/star", options).await;
        let socket = socket.expect("let in");
        for (number, name) in [
            (json!(1), "1"),
            (json!(0), "0"),
            (json!(-2.5), "-2.5"),
            (json!(1e21), "1e+21"),
            (json!(9_007_199_254_740_993_u64), "9007199254740992"),
        ] {
            let answers = socket.ask_all(&[json!([number, "x", 2])]).await;
            assert_eq!(answers[0]["ack"], json!(["star", name, ["x", 2]]));
        }
        assert!(
            socket
                .happened()
                .iter()
                .all(|it| it.what["what"] != "disconnect")
        );
    }
}

#[tokio::test]
async fn i11_09_names_are_read_however_they_are_written() {
    let mut witness = Witness::start().await;
    for transport in TRANSPORTS {
        let mut client = RawClient::open(transport, witness.server.addr())
            .await
            .expect("opened");
        client.enter("/star", "").await.expect("let in");
        for (written, name) in [
            (r#""\u0065cho""#, "echo"),
            (r#""say \"hi\"""#, "say \"hi\""),
            (r#""\ud83d\ude42""#, "🙂"),
            (r#""\ud83d""#, "\u{FFFD}\u{FFFD}\u{FFFD}"),
            ("\"\u{10FFFF}31\"", "\u{10FFFF}31"),
            ("1.0", "1"),
            (" -0 ", "0"),
            ("1E3", "1000"),
        ] {
            let event = format!("42/star,7[{written},\"x\"]");
            client.send(event).await.expect("sent");
            let Packet::Text(ack) = client.next().await.expect("an ack") else {
                panic!("binary")
            };
            let ack: Value = serde_json::from_str(&ack["43/star,7".len()..]).expect("JSON");
            assert_eq!(ack, json!(["star", name, ["x"]]), "{written}");
        }
        witness.assert_unharmed().await;
    }
}

#[tokio::test]
async fn i11_09_an_attachment_goes_with_an_event_whose_name_is_a_number() {
    let Some(node) = official_client().await else {
        return;
    };
    let server = probe().await;
    for transport in TRANSPORTS {
        let options = json!({ "transports": [transport] });
        let socket = node.connect_with(&server, "/star", options).await;
        let socket = socket.expect("let in");
        let answers = socket
            .ask_all(&[json!([7, { "$binary": "AAE=" }]), json!(["a", 1])])
            .await;
        assert_eq!(answers[0]["ack"][1], "7");
        assert_eq!(answers[1]["ack"], json!(["star", "a", [1]]));
    }
}

#[tokio::test]
async fn i11_30_a_reserved_name_is_refused_however_it_is_written() {
    let mut witness = Witness::start().await;
    for transport in TRANSPORTS {
        let mut client = witness.other(transport).await;
        for name in ["disconnect", "disc\\u006fnnect", "\\u0063onnect_error"] {
            let ack = client
                .ask("1", &format!("[\"{name}\"]"))
                .await
                .expect("an ack");
            assert!(ack.contains("\"code\":400"), "{name}: {ack}");
        }
        witness.assert_unharmed().await;
    }
}

#[tokio::test]
async fn i11_10_a_websocket_request_without_its_headers_is_400() {
    let mut witness = Witness::start().await;
    let polling = RawPolling::open(witness.server.addr())
        .await
        .expect("opened");
    let of_session = format!("{WEBSOCKET}&sid={}", polling.key());
    for target in [WEBSOCKET, &of_session] {
        for missing in 0..3 {
            let mut headers = UPGRADE.to_vec();
            headers.remove(missing);
            let answer = witness.server.request("GET", target, &headers, b"").await;
            let expected = json!({ "code": 3, "message": "Bad request" });
            assert_eq!(
                (answer.status, answer.json()),
                (400, expected),
                "{headers:?}"
            );
        }
        for version in [None, Some("8"), Some("14"), Some("x")] {
            let mut headers = UPGRADE[..3].to_vec();
            headers.extend(version.map(|version| ("sec-websocket-version", version)));
            let answer = witness.server.request("GET", target, &headers, b"").await;
            assert_eq!(answer.status, 426, "{version:?}");
            assert_eq!(answer.header("sec-websocket-version"), Some("13"));
            assert_eq!(answer.header("upgrade"), Some("websocket"));
        }
    }
    // The session is still one that polls.
    let mut client = RawClient::Polling(Box::new(polling));
    client.enter("/", "").await.expect("let in");
    assert_eq!(client.ask("1", "[\"echo\"]").await.expect("an ack"), "[]");
    witness.assert_unharmed().await;
}

#[tokio::test]
async fn i11_10_what_proxies_write_into_the_headers_of_a_websocket_is_taken() {
    let mut witness = Witness::start().await;
    for (connection, upgrade) in [
        ("keep-alive, Upgrade", "WebSocket"),
        ("upgrade", "WEBSOCKET"),
    ] {
        let url = format!("ws://{}{WEBSOCKET}", witness.server.addr());
        let mut request = url.into_client_request().expect("a request");
        let headers = request.headers_mut();
        headers.insert("connection", connection.parse().expect("a value"));
        headers.insert("upgrade", upgrade.parse().expect("a value"));
        let opened = tokio_tungstenite::connect_async(request).await;
        let (_, response) = opened.expect("a websocket");
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    }
    witness.assert_unharmed().await;
}

#[tokio::test]
async fn i11_11_errors_of_engine_io_have_numbers() {
    let server = probe().await;
    for (method, target, code, message) in [
        ("GET", "/socket.io/?EIO=4", 0, "Transport unknown"),
        (
            "GET",
            "/socket.io/?EIO=4&transport=webtransport",
            0,
            "Transport unknown",
        ),
        ("GET", &target("AAAAAAAAAAAAAAAA"), 1, "Session ID unknown"),
        ("POST", &target("x"), 1, "Session ID unknown"),
        ("POST", OPEN, 2, "Bad handshake method"),
        ("GET", WEBSOCKET, 3, "Bad request"),
        (
            "GET",
            "/socket.io/?EIO=3&transport=polling",
            5,
            "Unsupported protocol version",
        ),
        (
            "GET",
            "/socket.io/?EIO=3&transport=websocket",
            5,
            "Unsupported protocol version",
        ),
        (
            "GET",
            "/socket.io/?transport=polling",
            5,
            "Unsupported protocol version",
        ),
    ] {
        let answer = server.request(method, target, &[], b"").await;
        let expected = json!({ "code": code, "message": message });
        assert_eq!(
            (answer.status, answer.json()),
            (400, expected),
            "{method} {target}"
        );
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
}

#[tokio::test]
async fn i11_11_the_log_names_clients_of_another_protocol() {
    let server = Server::prepare().console().start().await;
    for transport in TRANSPORTS {
        let from = server.log().len();
        let target = format!("/socket.io/?EIO=3&transport={transport}");
        server.request("GET", &target, &UPGRADE, b"").await;
        let words = ["WARN", "127.0.0.1", "protocol \"3\"", "socket.io 3 and 4"];
        server.wait_for_log_from(from, &words).await;
    }
    let scrape = server.metrics().await;
    assert_eq!(scrape.value("hitchy_foreign_clients_total"), 2.0);
}

/// Clients with the parser of socket.io-msgpack-parser, with the one that writes plain JSON, and clients of other
/// protocols.
#[tokio::test]
async fn i11_11_the_log_names_clients_with_another_parser() {
    let began = [
        (None, "binary message"),
        (
            Some("4{\"type\":0,\"nsp\":\"/\"}"),
            "no packet of socket.io",
        ),
        (Some("hello"), "no packet of socket.io"),
        (Some("{\"event\":\"subscribe\"}"), "no packet of socket.io"),
    ];
    for transport in TRANSPORTS {
        // A server writes five such lines a second at most.
        let server = Server::prepare().console().start().await;
        for (text, what) in began {
            let from = server.log().len();
            let opened = RawClient::open(transport, server.addr()).await;
            let mut client = opened.expect("opened");
            let _ = match text {
                Some(text) => client.send(text).await,
                None => client.send_binary(&[0x84, 0xA4]).await,
            };
            within(what, SOON, client.ended(SOON)).await;
            let words = ["WARN", "127.0.0.1", what, "another parser"];
            server.wait_for_log_from(from, &words).await;
        }
        let scrape = server.metrics().await;
        let expected = began.len() as f64;
        assert_eq!(scrape.value("hitchy_foreign_clients_total"), expected);
    }
}

/// The library completes a binary packet to a namespace that nobody has joined, and goes on.
#[tokio::test]
async fn i11_11_a_client_that_begins_oddly_is_either_ended_or_served() {
    let mut witness = Witness::start().await;
    let mut client = RawSocket::open(witness.server.addr())
        .await
        .expect("opened");
    let header = "451-/nosuch,[\"a\",{\"_placeholder\":true,\"num\":0}]";
    client.send(header).await.expect("sent");
    client.send_binary(vec![1]).await.expect("sent");
    client.enter("/", "").await.expect("let in");
    let mut client = RawClient::Websocket(Box::new(client));
    assert_eq!(client.ask("1", "[\"echo\"]").await.expect("an ack"), "[]");
    witness.assert_unharmed().await;
}

/// Frames as a client of its own making may cut them.
#[tokio::test]
async fn i11_09_fragments_are_read_as_the_message_that_they_are() {
    let mut witness = Witness::start().await;
    let big = "9".repeat(25);
    for (fragments, is_served) in [
        (&["4", "0"][..], true),
        (&["", "40"], true),
        (&["40", "{}"], true),
        (&["", "42[1]"], false),
    ] {
        let mut client = RawSocket::open(witness.server.addr())
            .await
            .expect("opened");
        send_fragments(&mut client, fragments).await;
        let mut client = RawClient::Websocket(Box::new(client));
        if !is_served {
            client.ended(SOON).await;
            continue;
        }
        let connected = client.next().await.expect("a packet");
        assert!(matches!(&connected, Packet::Text(text) if text.starts_with("40")));
        // An attachment is not taken for the first packet of a client of another protocol.
        let header =
            "452-1[\"echo\",{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}]";
        client.send(header).await.expect("sent");
        client.send_binary(&[1]).await.expect("sent");
        client.send_binary(&[2]).await.expect("sent");
        assert_eq!(
            client.ask("2", "[\"echo\",7]").await.expect("an ack"),
            "[7]"
        );
        witness.assert_unharmed().await;
    }
    for fragments in [
        &["", &format!("42{big}[\"echo\"]")][..],
        &["42999", &big, "[\"echo\"]"],
    ] {
        let mut client = RawSocket::connect(witness.server.addr(), "/")
            .await
            .expect("let in");
        send_fragments(&mut client, fragments).await;
        RawClient::Websocket(Box::new(client)).ended(SOON).await;
        witness.assert_unharmed().await;
    }
}

async fn send_fragments(client: &mut RawSocket, fragments: &[&str]) {
    for (place, fragment) in fragments.iter().enumerate() {
        let kind = if place == 0 {
            Data::Text
        } else {
            Data::Continue
        };
        let is_last = place + 1 == fragments.len();
        let sent = client
            .send_frame(kind, fragment.as_bytes().to_vec(), is_last)
            .await;
        sent.expect("sent");
    }
}

/// The length of a frame is what its client says.
#[tokio::test]
async fn i11_09_a_frame_that_lies_about_its_length_ends_its_connection() {
    let mut witness = Witness::start().await;
    for length in [u64::MAX, u64::MAX >> 1, 1 << 40] {
        let client = RawSocket::open(witness.server.addr())
            .await
            .expect("opened");
        let mut tcp = client.into_tcp();
        let mut frame = vec![0x81, 0xFF];
        frame.extend(length.to_be_bytes());
        frame.extend([0; 4]);
        frame.extend(b"42[1,");
        tcp.write_all(&frame).await.expect("sent");
        let mut rest = Vec::new();
        let ended = within("the end", SOON, tcp.read_to_end(&mut rest)).await;
        assert!(
            ended.is_ok() || ended.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset)
        );
        witness.assert_unharmed().await;
    }
}

/// Clients that come and go without a namespace do not use up the places of those that will join one.
#[tokio::test]
async fn i11_10_websockets_that_were_closed_take_no_place() {
    let settings = "[socket]\nmax-unclaimed = 3\nconnect-timeout = \"60s\"";
    let mut witness = Witness::start_with(Server::prepare().settings(settings)).await;
    for number in 0..20 {
        let opened = async || RawSocket::open(witness.server.addr()).await.ok();
        let client = eventually("a place", SOON, opened).await;
        if number % 2 == 0 {
            drop(client.into_tcp());
        }
    }
    witness.assert_unharmed().await;
}

/// The rewriting of names makes a body larger, which its client cannot know.
#[tokio::test]
async fn i11_13_a_body_of_many_names_that_are_rewritten_is_taken() {
    let mut witness =
        Witness::start_with(Server::prepare().settings("[server]\nbody-limit = \"64KiB\"")).await;
    let mut client = RawPolling::open(witness.server.addr())
        .await
        .expect("opened");
    client.enter("/", "").await.expect("let in");
    let packets = vec!["42[1]"; 50_000].join(&SEPARATOR.to_string());
    let answer = client.post(packets.as_bytes()).await.expect("an answer");
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    witness.assert_unharmed().await;
}

#[tokio::test]
async fn i11_12_the_id_of_a_socket_is_not_the_key_of_its_session() {
    let Some(node) = official_client().await else {
        return;
    };
    let server = probe().await;
    for transports in [
        json!(["polling"]),
        json!(["websocket"]),
        json!(["polling", "websocket"]),
    ] {
        let options = json!({ "transports": transports });
        let socket = node.connect_with(&server, "/", options).await;
        let socket = socket.expect("let in");
        let key = socket.engine_id().await;
        assert!(!key.is_empty() && key != socket.id(), "{transports}: {key}");
        let seen = &socket.ask("who", json!([])).await[0];
        assert_eq!(seen["id"], socket.id(), "{seen}");
        assert!(
            !seen.to_string().contains(&key),
            "handlers cannot show the key: {seen}"
        );
        let answer = server
            .request("POST", &target(socket.id()), &[], b"41")
            .await;
        assert_eq!(answer.json()["code"], 1, "the id opens nothing");
        assert_eq!(socket.ask("echo", json!([1])).await, json!([1]));
    }
}

#[tokio::test]
async fn i11_13_the_open_packet_names_the_limits_that_hold() {
    let settings =
        "[server]\nbody-limit = 1000000\n[socket]\nping-interval = \"7s\"\nping-timeout = \"3s\"";
    let server = Server::prepare().settings(settings).start().await;
    let open = server.get(OPEN).await;
    assert_eq!(
        open.header("content-length"),
        Some(&*open.body.len().to_string())
    );
    let polling: Value = serde_json::from_str(&open.text()[1..]).expect("JSON");
    assert_eq!(polling["upgrades"], json!(["websocket"]));
    let url = format!("ws://{}{WEBSOCKET}", server.addr());
    let (mut websocket, _) = tokio_tungstenite::connect_async(url)
        .await
        .expect("a websocket");
    let open = websocket
        .next()
        .await
        .expect("a packet")
        .expect("a message");
    let websocket: Value = serde_json::from_str(&open.to_text().expect("text")[1..]).expect("JSON");
    assert_eq!(websocket["upgrades"], json!([]));
    for packet in [polling, websocket] {
        let limits = ["maxPayload", "pingInterval", "pingTimeout"].map(|name| packet[name].clone());
        assert_eq!(limits, [json!(1_000_000), json!(7000), json!(3000)]);
    }
}

#[tokio::test]
async fn i11_13_a_server_without_websockets_offers_none() {
    let settings = "[socket]\ntransports = [\"polling\"]";
    let server = Server::prepare().settings(settings).start().await;
    let open = server.get(OPEN).await;
    assert!(open.text().contains("\"upgrades\":[]"), "{}", open.text());
    let answer = server.request("GET", WEBSOCKET, &UPGRADE, b"").await;
    assert_eq!(
        (answer.status, answer.json()["code"].clone()),
        (400, json!(0))
    );
}

#[tokio::test]
async fn i11_14_no_ping_comes_before_its_interval() {
    let server = probe().await;
    let url = format!("ws://{}{WEBSOCKET}", server.addr());
    let (mut websocket, _) = tokio_tungstenite::connect_async(url)
        .await
        .expect("a websocket");
    websocket
        .next()
        .await
        .expect("the open packet")
        .expect("a message");
    for number in 0..20 {
        websocket
            .send(Message::text(format!(
                "40{}",
                if number == 0 { "" } else { "/chat," }
            )))
            .await
            .expect("sent");
        let answer = websocket
            .next()
            .await
            .expect("a packet")
            .expect("a message");
        assert!(
            answer.to_text().expect("text").starts_with("40"),
            "{answer:?}"
        );
        if number > 0 {
            websocket
                .send(Message::text("41/chat,"))
                .await
                .expect("sent");
        }
    }
    let mut polling = RawPolling::open(server.addr()).await.expect("opened");
    let sent = polling.post(b"40").await.expect("an answer");
    assert_eq!(sent.text(), "ok");
    let polled = polling.poll().await.expect("an answer");
    assert!(polled.text().starts_with("40{"), "{}", polled.text());
    assert!(!polled.text().contains(SEPARATOR), "{}", polled.text());
}

#[tokio::test]
async fn i11_14_pings_come_and_a_client_that_does_not_answer_is_ended() {
    let settings = "[socket]\nping-interval = \"200ms\"\nping-timeout = \"2s\"";
    let server = Server::prepare().settings(settings).start().await;
    let url = format!("ws://{}{WEBSOCKET}", server.addr());
    let (mut websocket, _) = tokio_tungstenite::connect_async(url)
        .await
        .expect("a websocket");
    websocket
        .next()
        .await
        .expect("the open packet")
        .expect("a message");
    for _ in 0..3 {
        let ping = within("a ping", SOON, websocket.next()).await;
        let ping = ping.expect("a packet").expect("a message");
        assert_eq!(ping.to_text().expect("text"), "2");
        websocket.send(Message::text("3")).await.expect("sent");
    }
    let last = within("a ping", SOON, websocket.next()).await;
    assert_eq!(
        last.expect("a packet")
            .expect("a message")
            .to_text()
            .expect("text"),
        "2"
    );
    let ended = async {
        while let Some(message) = websocket.next().await {
            match message {
                Ok(Message::Close(_)) | Err(Error::ConnectionClosed | Error::Protocol(_)) => break,
                Ok(_) => {}
                Err(error) => panic!("{error}"),
            }
        }
    };
    within("the end", SOON, ended).await;
}

/// At-least-once delivery: every copy of an event is acked, the order is kept, and each callback runs once.
#[tokio::test]
async fn i11_15_events_with_retries_survive_a_server_that_was_stopped() {
    let Some(node) = official_client().await else {
        return;
    };
    let server = probe().await;
    for transport in TRANSPORTS {
        let options = json!({ "transports": [transport], "retries": 20, "ackTimeout": 400 });
        let socket = node.connect_with(&server, "/", options).await;
        let socket = socket.expect("let in");
        server.signal(Signal::STOP);
        let calls: Vec<_> = (1..=3).map(|number| json!(["note", number])).collect();
        let tried = async {
            until("the third try", SOON, async || socket.tries().await >= 3).await;
            server.signal(Signal::CONT);
        };
        let (answers, ()) = tokio::join!(socket.ask_all(&calls), tried);
        let order: Vec<_> = answers
            .iter()
            .map(|answer| answer["index"].clone())
            .collect();
        assert_eq!(order, [0, 1, 2], "{answers:?}");
        // The guest's list of what it got: copies are next to each other.
        let noted = answers[2]["ack"][1].as_str().unwrap_or_default().to_owned();
        let mut numbers: Vec<_> = noted.split(',').collect();
        assert!(
            numbers.len() >= 5,
            "at least three copies of the first: {noted}"
        );
        let copies = numbers.len();
        numbers.dedup();
        assert_eq!(numbers, ["1", "2", "3"], "{noted}");
        until("an ack for each copy", SOON, async || {
            socket.acks().await.len() == copies
        })
        .await;
        assert!(
            socket
                .happened()
                .iter()
                .all(|it| it.what["what"] != "disconnect")
        );
    }
}

/// The library accepts a session key of any connection: a pipelined request must not be taken for another session.
#[tokio::test]
async fn i11_12_two_sessions_on_one_connection_are_two() {
    let mut witness = Witness::start().await;
    let mut connection = Connection::open(witness.server.addr()).await;
    let keys = [
        connection.ask("GET", OPEN, &[], b"").await,
        connection.ask("GET", OPEN, &[], b"").await,
    ]
    .map(|open| {
        let open: Value = serde_json::from_str(&open.text()[1..]).expect("JSON");
        open["sid"].as_str().expect("a key").to_owned()
    });
    assert_ne!(keys[0], keys[1]);
    let mut ids = Vec::new();
    for key in &keys {
        let sent = connection.ask("POST", &target(key), &[], b"40").await;
        assert_eq!(sent.text(), "ok");
        ids.push(connection.ask("GET", &target(key), &[], b"").await.text());
    }
    assert_ne!(ids[0], ids[1]);
    assert!(
        keys.iter()
            .all(|key| ids.iter().all(|id| !id.contains(key)))
    );
    witness.assert_unharmed().await;
}

/// A websocket that opens beside a session that already has one is turned away, and the session goes on.
#[tokio::test]
async fn i11_10_a_second_websocket_of_a_session_is_refused() {
    let mut witness = Witness::start().await;
    let addr = witness.server.addr();
    let polling = RawPolling::open(addr).await.expect("opened");
    let of_session = format!("{WEBSOCKET}&sid={}", polling.key());
    let first = polling.upgrade().await.expect("upgraded");
    let answer = witness
        .server
        .request("GET", &of_session, &UPGRADE, b"")
        .await;
    assert_eq!(
        (answer.status, answer.json()["code"].clone()),
        (400, json!(3))
    );
    let mut client: RawSocket = first;
    client.enter("/", "").await.expect("let in");
    let mut client = RawClient::Websocket(Box::new(client));
    assert_eq!(client.ask("1", "[\"echo\"]").await.expect("an ack"), "[]");
    witness.assert_unharmed().await;
}
