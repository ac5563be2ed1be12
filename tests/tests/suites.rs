//! The cases that the protocols of engine.io (4) and socket.io (5) describe, packet by packet, over both transports.
//!
//! The texts are <https://socket.io/docs/v4/engine-io-protocol/> and <https://socket.io/docs/v4/socket-io-protocol/>.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use hitchy_tests::Server;
use hitchy_tests::guests::guest;
use hitchy_tests::http::{Answer, Connection};
use hitchy_tests::raw::{OPEN, SEPARATOR, target};
use hitchy_tests::wait::{SOON, eventually, within};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

const WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";
/// Short times, so that pings come soon. A busy machine may take long to answer one.
const TIMES: &str = "[server]\nbody-limit = 1000000\n[socket]\nping-interval = \"300ms\"\nping-timeout = \"3s\"\nconnect-timeout = \"1s\"";

async fn server() -> Server {
    let plan = Server::prepare().handler("probe.wasm", guest("probe"));
    plan.settings(TIMES).start().await
}

/// A websocket whose messages are read one by one.
struct Websocket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Websocket {
    async fn open(server: &Server, target: &str) -> Self {
        let url = format!("ws://{}{target}", server.addr());
        let opened = tokio_tungstenite::connect_async(url).await;
        Self(opened.expect("a websocket").0)
    }

    /// Opens a session and reads the packet that opens it.
    async fn session(server: &Server) -> Self {
        let mut websocket = Self::open(server, WEBSOCKET).await;
        assert!(websocket.text().await.starts_with('0'));
        websocket
    }

    /// Opens a session and enters the main namespace.
    async fn connected(server: &Server) -> Self {
        let mut websocket = Self::session(server).await;
        websocket.send("40").await;
        assert!(websocket.packet().await.starts_with("40{"));
        websocket
    }

    async fn send(&mut self, packet: &str) {
        let sent = self.0.send(Message::text(packet)).await;
        sent.expect("sent");
    }

    async fn send_binary(&mut self, bytes: &[u8]) {
        let sent = self.0.send(Message::binary(bytes.to_vec())).await;
        sent.expect("sent");
    }

    async fn next(&mut self) -> Option<Message> {
        let message = within("a message", SOON, self.0.next()).await?;
        message.ok()
    }

    /// Returns the next message, which has to be text.
    async fn text(&mut self) -> String {
        match self.next().await {
            Some(Message::Text(text)) => text.to_string(),
            other => panic!("{other:?} instead of text"),
        }
    }

    /// Returns the next message that is no ping, and answers pings.
    async fn packet(&mut self) -> String {
        let packet = async {
            loop {
                let text = self.text().await;
                if text != "2" {
                    return text;
                }
                self.send("3").await;
            }
        };
        within("a packet", SOON, packet).await
    }

    async fn bytes(&mut self) -> Vec<u8> {
        match self.next().await {
            Some(Message::Binary(bytes)) => bytes.to_vec(),
            other => panic!("{other:?} instead of bytes"),
        }
    }

    /// Reads until the connection is closed.
    async fn closed(&mut self) {
        while let Some(message) = self.next().await {
            if matches!(message, Message::Close(_)) {
                return;
            }
        }
    }
}

/// A session over polling.
struct Polling {
    connection: Connection,
    target: String,
}

impl Polling {
    async fn open(server: &Server) -> Self {
        let mut connection = Connection::open(server.addr()).await;
        let answer = connection.ask("GET", OPEN, &[], b"").await;
        let open: Value = serde_json::from_str(&answer.text()[1..]).expect("JSON");
        Self {
            connection,
            target: target(open["sid"].as_str().expect("a key")),
        }
    }

    async fn poll(&mut self) -> Answer {
        self.connection.ask("GET", &self.target, &[], b"").await
    }

    async fn push(&mut self, packets: &str) -> Answer {
        let body = packets.as_bytes();
        self.connection.ask("POST", &self.target, &[], body).await
    }

    /// Returns the next payload that is not a ping alone.
    async fn payload(&mut self) -> String {
        loop {
            let text = self.poll().await.text();
            if text != "2" {
                return text;
            }
            self.push("3").await;
        }
    }

    fn websocket(&self) -> String {
        self.target.replace("polling", "websocket")
    }
}

fn assert_opens(packet: &str, upgrades: &Value) {
    let open: Value = serde_json::from_str(packet.strip_prefix('0').expect("OPEN")).expect("JSON");
    let mut keys: Vec<_> = open.as_object().expect("an object").keys().collect();
    keys.sort();
    let expected = [
        "maxPayload",
        "pingInterval",
        "pingTimeout",
        "sid",
        "upgrades",
    ];
    assert_eq!(keys, expected);
    assert_eq!(&open["upgrades"], upgrades);
    assert_eq!(
        (&open["pingInterval"], &open["maxPayload"]),
        (&json!(300), &json!(1_000_000))
    );
}

#[tokio::test]
async fn engine_opens_a_session() {
    let server = server().await;
    let answer = server.get(OPEN).await;
    assert_eq!(answer.status, 200);
    assert_opens(&answer.text(), &json!(["websocket"]));
    let mut websocket = Websocket::open(&server, WEBSOCKET).await;
    assert_opens(&websocket.text().await, &json!([]));
}

#[tokio::test]
async fn engine_refuses_a_query_that_is_none() {
    let server = server().await;
    for query in [
        "transport=polling",
        "EIO=abc&transport=polling",
        "EIO=4",
        "EIO=4&transport=abc",
        "transport=websocket",
        "EIO=abc&transport=websocket",
    ] {
        let target = format!("/socket.io/?{query}");
        assert_eq!(server.get(&target).await.status, 400, "{query}");
        let url = format!("ws://{}{target}", server.addr());
        let opened = tokio_tungstenite::connect_async(url).await;
        assert!(opened.is_err(), "{query}");
    }
}

#[tokio::test]
async fn engine_opens_a_session_for_get_only() {
    let server = server().await;
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let answer = server.request(method, OPEN, &[], b"").await;
        assert_eq!(answer.status, 400, "{method}");
    }
}

#[tokio::test]
async fn engine_pings_by_polling() {
    let server = server().await;
    let mut polling = Polling::open(&server).await;
    for _ in 0..3 {
        let answer = polling.poll().await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "2"));
        assert_eq!(polling.push("3").await.status, 200);
    }
}

#[tokio::test]
async fn engine_pings_over_a_websocket() {
    let server = server().await;
    let mut websocket = Websocket::session(&server).await;
    // A session that enters no namespace is closed.
    websocket.send("40").await;
    assert!(websocket.text().await.starts_with("40"));
    for _ in 0..3 {
        assert_eq!(websocket.text().await, "2");
        websocket.send("3").await;
    }
}

#[tokio::test]
async fn engine_closes_a_session_that_answers_no_ping() {
    let settings = "[socket]\nping-interval = \"300ms\"\nping-timeout = \"200ms\"";
    let server = Server::prepare().settings(settings).start().await;
    let mut polling = Polling::open(&server).await;
    let closed = async || (polling.poll().await.status == 400).then_some(());
    eventually("the end of the polling session", SOON, closed).await;
    Websocket::session(&server).await.closed().await;
}

#[tokio::test]
async fn engine_closes_a_session_on_its_packet() {
    let server = server().await;
    let mut polling = Polling::open(&server).await;
    assert_eq!(polling.push("1").await.text(), "ok");
    assert_eq!(polling.poll().await.status, 400);
    let mut websocket = Websocket::session(&server).await;
    websocket.send("1").await;
    websocket.closed().await;
}

#[tokio::test]
async fn engine_ends_a_waiting_poll_when_its_session_is_closed() {
    let server = server().await;
    let mut polling = Polling::open(&server).await;
    let mut poll = Polling {
        connection: Connection::open(server.addr()).await,
        target: polling.target.clone(),
    };
    let (polled, pushed) = tokio::join!(poll.poll(), polling.push("1"));
    assert_eq!(pushed.status, 200);
    // The poll may come after the end.
    assert!(polled.text() == "6" || polled.status == 400, "{polled:?}");
    assert_eq!(polling.poll().await.status, 400);
}

#[tokio::test]
async fn engine_closes_a_session_whose_packets_are_none() {
    let server = server().await;
    let mut polling = Polling::open(&server).await;
    assert_eq!(polling.push("abc").await.status, 400);
    polling.connection = Connection::open(server.addr()).await;
    assert_eq!(polling.poll().await.status, 400);
    let mut websocket = Websocket::session(&server).await;
    websocket.send("abc").await;
    websocket.closed().await;
}

#[tokio::test]
async fn engine_closes_a_session_that_polls_twice_at_once() {
    let server = server().await;
    let mut first = Polling::open(&server).await;
    let mut second = Polling {
        connection: Connection::open(server.addr()).await,
        target: first.target.clone(),
    };
    let (one, two) = tokio::join!(first.poll(), second.poll());
    let (polled, refused) = if one.status == 200 {
        (one, two)
    } else {
        (two, one)
    };
    assert_eq!((polled.status, polled.text().as_str()), (200, "1"));
    assert_eq!(refused.status, 400);
    let mut again = Connection::open(server.addr()).await;
    assert_eq!(again.ask("GET", &first.target, &[], b"").await.status, 400);
}

/// A client whose poll breaks has lost its connection. Its handlers learn it now, not after a ping.
///
/// A poll that is given up before the server has begun with it ends nothing, so that this gives the server more time
/// with every try.
#[tokio::test]
async fn engine_closes_a_session_whose_poll_is_given_up() {
    let server = Server::with("probe.wasm", guest("probe")).await;
    for pause in [5, 50, 500, 5000].map(Duration::from_millis) {
        let mut polling = Polling::open(&server).await;
        polling.push("40").await;
        assert!(polling.poll().await.text().starts_with("40"));
        let Polling {
            mut connection,
            target,
        } = polling;
        let head = format!("GET {target} HTTP/1.1\r\nhost: x\r\n\r\n");
        connection.send(head).await.expect("sent");
        let answer = tokio::time::timeout(pause, connection.read("GET")).await;
        assert!(answer.is_err(), "{answer:?}");
        drop(connection);
        let closed =
            async { while server.request("POST", &target, &[], b"3").await.status != 400 {} };
        if tokio::time::timeout(pause, closed).await.is_ok() {
            return;
        }
    }
    panic!("no session ended");
}

#[tokio::test]
async fn engine_upgrades_from_polling_to_a_websocket() {
    let server = server().await;
    let mut polling = Polling::open(&server).await;
    polling.push("40").await;
    assert!(polling.payload().await.starts_with("40"));
    let mut websocket = Websocket::open(&server, &polling.websocket()).await;
    websocket.send("2probe").await;
    assert_eq!(websocket.text().await, "3probe");
    // The packet that ends a poll without anything to say.
    assert_eq!(polling.payload().await, "6");
    websocket.send("5").await;
    websocket.send("421[\"echo\",\"hello\"]").await;
    assert_eq!(websocket.packet().await, "431[\"hello\"]");
}

#[tokio::test]
async fn engine_ignores_other_requests_of_a_session_that_was_upgraded() {
    let server = server().await;
    let mut polling = Polling::open(&server).await;
    let mut websocket = Websocket::open(&server, &polling.websocket()).await;
    websocket.send("2probe").await;
    assert_eq!(websocket.text().await, "3probe");
    websocket.send("5").await;
    websocket.send("40").await;
    assert!(websocket.packet().await.starts_with("40"));
    assert_eq!(polling.poll().await.status, 400);
    let url = format!("ws://{}{}", server.addr(), polling.websocket());
    assert!(tokio_tungstenite::connect_async(url).await.is_err());
    websocket.send("421[\"echo\",\"hello\"]").await;
    assert_eq!(websocket.packet().await, "431[\"hello\"]");
}

#[tokio::test]
async fn engine_takes_several_packets_in_one_payload() {
    let server = server().await;
    let mut polling = Polling::open(&server).await;
    polling.push("40").await;
    assert!(polling.payload().await.starts_with("40"));
    let packets = [
        "421[\"echo\",\"a\"]",
        "452-[\"known\",1]",
        "bAQIDBA==",
        "bAA==",
        "422[\"echo\",\"b\"]",
    ];
    let sent = polling.push(&packets.join(&SEPARATOR.to_string())).await;
    assert_eq!(sent.text(), "ok");
    let mut got = String::new();
    while !got.contains("432") {
        got = format!("{got}{SEPARATOR}{}", polling.payload().await);
    }
    let acks: Vec<_> = got
        .split(SEPARATOR)
        .filter(|packet| packet.starts_with("43"))
        .collect();
    assert_eq!(acks, ["431[\"a\"]", "432[\"b\"]"]);
}

#[tokio::test]
async fn socket_enters_a_namespace_with_and_without_a_payload() {
    let server = server().await;
    for (connect, answer, greeting) in [
        ("40", "40{\"sid\":\"", None),
        (
            "40{\"greet\":\"123\"}",
            "40{\"sid\":\"",
            Some("42[\"greeting\",\"123\"]"),
        ),
        ("40/chat,", "40/chat,{\"sid\":\"", None),
        ("40/chat", "40/chat,{\"sid\":\"", None),
        ("40/chat,{\"greet\":1}", "40/chat,{\"sid\":\"", None),
    ] {
        let mut websocket = Websocket::session(&server).await;
        websocket.send(connect).await;
        let connected = websocket.packet().await;
        assert!(connected.starts_with(answer), "{connect}: {connected}");
        if let Some(greeting) = greeting {
            assert_eq!(websocket.packet().await, greeting, "{connect}");
        }
    }
}

#[tokio::test]
async fn socket_is_refused_by_an_unknown_namespace() {
    let server = server().await;
    let mut websocket = Websocket::session(&server).await;
    websocket.send("40/random").await;
    let refused = websocket.packet().await;
    assert_eq!(refused, "44/random,{\"message\":\"Invalid namespace\"}");
}

#[tokio::test]
async fn socket_is_closed_that_enters_no_namespace() {
    let server = server().await;
    let mut websocket = Websocket::session(&server).await;
    websocket.send("4abc").await;
    websocket.closed().await;
    let mut websocket = Websocket::session(&server).await;
    websocket.closed().await;
}

#[tokio::test]
async fn socket_leaves_a_namespace_and_stays_in_others() {
    let server = server().await;
    let mut websocket = Websocket::connected(&server).await;
    websocket.send("40/chat").await;
    assert!(websocket.packet().await.starts_with("40/chat,"));
    websocket.send("41/chat").await;
    websocket.send("421[\"echo\",\"main\"]").await;
    assert_eq!(websocket.packet().await, "431[\"main\"]");
    // The transport stays open when the last namespace is left.
    websocket.send("41").await;
    assert_eq!(websocket.text().await, "2");
}

#[tokio::test]
async fn socket_sends_and_receives_events() {
    let server = server().await;
    let mut websocket = Websocket::connected(&server).await;
    websocket.send("42[\"tell\",1,\"2\",{\"3\":[true]}]").await;
    let told = websocket.packet().await;
    assert!(told.starts_with("42[\"told\",\""), "{told}");
    assert!(told.ends_with("\",1,\"2\",{\"3\":[true]}]"), "{told}");
}

#[tokio::test]
async fn socket_sends_and_receives_attachments() {
    let server = server().await;
    let mut websocket = Websocket::connected(&server).await;
    let placeholders = "{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}";
    for (sent, answer) in [
        (format!("452-[\"tell\",{placeholders}]"), "452-[\"told\",\""),
        (format!("452-789[\"echo\",{placeholders}]"), "462-789["),
    ] {
        websocket.send(&sent).await;
        websocket.send_binary(&[1, 2, 3]).await;
        websocket.send_binary(&[4, 5, 6]).await;
        let header = websocket.packet().await;
        assert!(header.starts_with(answer), "{header}");
        assert!(header.ends_with(&format!("{placeholders}]")), "{header}");
        assert_eq!(websocket.bytes().await, [1, 2, 3]);
        assert_eq!(websocket.bytes().await, [4, 5, 6]);
    }
}

#[tokio::test]
async fn socket_is_acked() {
    let server = server().await;
    let mut websocket = Websocket::connected(&server).await;
    websocket
        .send("42456[\"echo\",1,\"2\",{\"3\":[false]}]")
        .await;
    assert_eq!(websocket.packet().await, "43456[1,\"2\",{\"3\":[false]}]");
}

#[tokio::test]
async fn socket_is_closed_by_packets_that_are_none() {
    let server = server().await;
    for packet in [
        "4abc",
        "42{}",
        "42abc[\"echo\",1]",
        "42[\"disconnecting\"",
        "42[true]",
    ] {
        let mut websocket = Websocket::connected(&server).await;
        websocket.send(packet).await;
        websocket.closed().await;
    }
}
