//! The size of requests and events: one limit for all doors and transports.

use hitchy_tests::clauses::Way;
use hitchy_tests::door::Answer;
use hitchy_tests::http::Connection;
use hitchy_tests::node::{Socket, binary};
use hitchy_tests::raw::RawPolling;
use hitchy_tests::refusing::Refusing;
use hitchy_tests::{Server, clauses, expect, guest, official_client};
use serde_json::{Value, json};

clauses! {
    http request_websocket request_polling: r14_a_body_up_to_the_limit_passes;
    http: r14_a_body_beyond_the_limit_is_413_and_the_guest_is_not_called;
    request_websocket request_polling:
        r14_a_packet_beyond_the_limit_is_413_and_the_connection_stays
        r14_far_beyond_the_limit_the_connection_is_closed;
    event_websocket event_polling:
        r14_an_event_beyond_the_limit_is_413_and_the_connection_stays
        r14_far_beyond_the_limit_the_sender_is_disconnected;
    request_websocket request_polling event_websocket event_polling:
        r14_bytes_up_to_four_times_the_limit_are_413;
    request_polling event_polling: r14_a_post_far_beyond_the_limit_is_413_and_its_session_closed;
}

const LIMIT: usize = 64 << 10;
const SETTINGS: &str = "[server]\nbody-limit = \"64KiB\"";

/// The maximum number of bytes around a body in its packet.
const AROUND: usize = 256;

async fn limited() -> Server {
    Server::prepare()
        .handler("probe.wasm", guest("probe"))
        .settings(SETTINGS)
        .start()
        .await
}

fn upload(body: Value) -> Value {
    json!({ "method": "POST", "url": "/echo", "body": body })
}

fn text(size: usize) -> Value {
    json!("x".repeat(size))
}

fn bytes(size: usize) -> Value {
    binary(&vec![b'x'; size])
}

/// Sends bodies up to the limit. Over polling, bytes are a third longer on the wire, which does not count.
async fn r14_a_body_up_to_the_limit_passes(way: Way) {
    let Some(refusing) = Refusing::open(way, SETTINGS).await else {
        return;
    };
    let most = if way == Way::Http {
        LIMIT
    } else {
        LIMIT - AROUND
    };
    for body in [text(most), bytes(most)] {
        let answer = refusing.client.ask(upload(body)).await;
        assert_eq!(answer.body["size"], most, "{:?}", answer.status);
    }
}

async fn r14_a_body_beyond_the_limit_is_413_and_the_guest_is_not_called(way: Way) {
    let Some(mut refusing) = Refusing::open(way, SETTINGS).await else {
        return;
    };
    refusing.refuses(413, "body", upload(text(LIMIT + 1))).await;

    // The server answers before the body is sent.
    let addr = refusing.server.addr();
    let mut announcing = Connection::open(addr).await;
    let head = "POST /echo HTTP/1.1\r\nhost: h\r\n";
    let announced = format!("{head}content-length: {}\r\n\r\n", LIMIT + 1);
    announcing.send(announced).await.expect("sent");
    let answer = announcing.read("POST").await;
    expect::error(&answer.expect("an answer"), 413);

    // The request does not announce its length.
    let mut chunked = Connection::open(addr).await;
    let head = format!("{head}transfer-encoding: chunked\r\n\r\n");
    chunked.send(head).await.expect("sent");
    let chunk = format!("4000\r\n{}\r\n", "c".repeat(0x4000));
    for _ in 0..5 {
        // The server may answer and close before it has read everything.
        let _ = chunked.send(&chunk).await;
    }
    expect::error(&chunked.read("POST").await.expect("an answer"), 413);
    assert_eq!(refusing.asked().await, Vec::<String>::new());
}

async fn r14_a_packet_beyond_the_limit_is_413_and_the_connection_stays(way: Way) {
    let Some(mut refusing) = Refusing::open(way, SETTINGS).await else {
        return;
    };
    let half = LIMIT / 2 + AROUND;
    for body in [
        text(LIMIT + 1),
        bytes(LIMIT + 1),
        text(2 * LIMIT),
        bytes(2 * LIMIT),
        text(4 * LIMIT - AROUND),
        // Both parts together exceed the limit.
        json!([bytes(half), bytes(half)]),
        json!([text(half), bytes(half)]),
    ] {
        refusing.refuses(413, "bytes", upload(body)).await;
    }
    // The log has only the first of these errors, because clients can cause many of them.
    refusing.server.wait_for_log(&["server.body-limit"]).await;
    assert!(is_connected(refusing.client.socket()));
}

/// Sends bytes above the limit, but below four times the limit. Over polling, bytes are a third longer on the wire,
/// which does not count.
async fn r14_bytes_up_to_four_times_the_limit_are_413(way: Way) {
    let Some(node) = official_client().await else {
        return;
    };
    let server = limited().await;
    let is_request = matches!(way, Way::RequestWebsocket | Way::RequestPolling);
    let namespace = if is_request { "/hitchy" } else { "/" };
    let options = json!({ "transports": [way.transport()] });
    let socket = node.connect_with(&server, namespace, options).await;
    let socket = socket.expect("let in");
    for size in [3 * LIMIT, 4 * LIMIT - AROUND] {
        if is_request {
            let ack = socket.ask("request", json!([upload(bytes(size))])).await;
            expect::refusal(&Answer::of_ack(&ack), 413);
        } else {
            let ack = socket.ask("echo", json!([bytes(size)])).await;
            expect::failed_ack(&ack, 413);
        }
    }
    assert!(is_connected(&socket));
}

async fn r14_far_beyond_the_limit_the_connection_is_closed(way: Way) {
    for body in [text(5 * LIMIT), bytes(5 * LIMIT)] {
        let Some(refusing) = Refusing::open(way, SETTINGS).await else {
            return;
        };
        let socket = refusing.client.socket();
        socket.emit("request", json!([upload(body)])).await;
        let reason = socket.wait_disconnect().await;
        assert!(reason.starts_with("transport"), "{reason}");
        refusing.server.wait_for_log(&["server.body-limit"]).await;
        assert_eq!(refusing.server.get("/hello/others").await.status, 200);
    }
}

async fn r14_an_event_beyond_the_limit_is_413_and_the_connection_stays(way: Way) {
    let Some(node) = official_client().await else {
        return;
    };
    let server = limited().await;
    let options = json!({ "transports": [way.transport()] });
    let socket = node.connect_with(&server, "/", options).await;
    let socket = socket.expect("let in");
    for argument in [text(LIMIT - AROUND), bytes(LIMIT - AROUND)] {
        let ack = socket.ask("echo", json!([argument])).await;
        assert!(ack == json!([argument]), "it passes");
    }
    for argument in [
        text(LIMIT + 1),
        bytes(LIMIT + 1),
        text(3 * LIMIT),
        bytes(2 * LIMIT),
    ] {
        let ack = socket.ask("echo", json!([argument])).await;
        expect::failed_ack(&ack, 413);
    }
    server.wait_for_log(&["server.body-limit"]).await;
    assert!(is_connected(&socket));
}

async fn r14_far_beyond_the_limit_the_sender_is_disconnected(way: Way) {
    let Some(node) = official_client().await else {
        return;
    };
    let server = limited().await;
    for argument in [text(5 * LIMIT), bytes(5 * LIMIT)] {
        let options = json!({ "transports": [way.transport()] });
        let socket = node.connect_with(&server, "/", options).await;
        let socket = socket.expect("let in");
        let from = server.log().len();
        socket.emit("echo", json!([argument])).await;
        socket.wait_disconnect().await;
        server.wait_for_log_from(from, &["server.body-limit"]).await;
    }
}

async fn r14_a_post_far_beyond_the_limit_is_413_and_its_session_closed(way: Way) {
    let server = limited().await;
    let (namespace, packet) = match way {
        Way::RequestPolling => ("/hitchy", "42/hitchy,0[\"request\",\""),
        _ => ("/", "420[\"echo\",\""),
    };
    let session = RawPolling::open(server.addr()).await;
    let mut session = session.expect("a session");
    session.enter(namespace, "").await.expect("let in");
    let packet = format!("{packet}{}\"]", "x".repeat(5 * LIMIT));
    let answer = session.post(packet.as_bytes()).await.expect("an answer");
    assert_eq!(answer.status, 413, "{answer:?}");
    server.wait_for_log(&["server.body-limit"]).await;
    let answer = session.poll().await.expect("an answer");
    assert_eq!(answer.status, 400, "no such session: {answer:?}");
    assert!(answer.text().contains("Session ID unknown"), "{answer:?}");
}

fn is_connected(socket: &Socket) -> bool {
    let happened = socket.happened();
    happened.iter().all(|it| it.what["what"] != "disconnect")
}
