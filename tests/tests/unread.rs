//! Answers that nobody reads: what waits for one client is bounded, and what waits for all clients together.

use std::time::Duration;

use hitchy_tests::console::page;
use hitchy_tests::http::{Connection, request};
use hitchy_tests::raw::{Packet, RawPolling, RawSocket};
use hitchy_tests::wait::{SOON, until, within};
use hitchy_tests::{Server, guest};
use serde_json::json;
use tokio::net::TcpSocket;
use tokio::time::Instant;

/// Bytes of the file that clients ask for.
const FILE: usize = 3_900_000;
/// Number of requests that a client sends at once.
const REQUESTS: usize = 40;
/// A url whose answer has about as many bytes as the file, and comes from a handler.
const MADE: &str = "/fault/body/3900000";
const MIB: f64 = 1_048_576.0;
const WAITING: &str = "hitchy_outbound_memory_bytes";
/// The time for which an absence is watched.
const WATCHED: Duration = Duration::from_secs(2);
/// A deadline for much work on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Starts a server with a large file, two guests and these settings.
async fn with(settings: &str) -> Server {
    Server::prepare()
        .handler("probe.wasm", guest("probe"))
        .handler("faults.wasm", guest("faults"))
        .file("public/large.bin", vec![0xff; FILE])
        .settings(settings)
        .console()
        .start()
        .await
}

/// Connects a client with a small receive buffer.
async fn narrow(server: &Server, namespace: &str, auth: &str) -> RawSocket {
    let tcp = TcpSocket::new_v4().expect("a socket");
    tcp.set_recv_buffer_size(4096).expect("a small buffer");
    let tcp = tcp.connect(server.addr()).await.expect("open");
    let client = RawSocket::open_over(tcp, server.addr()).await;
    let mut client = client.expect("opened");
    client.enter(namespace, auth).await.expect("let in");
    client
}

fn packet(id: usize, url: &str) -> String {
    format!(r#"42/hitchy,{id}["request",{{"url":"{url}"}}]"#)
}

/// Sends many requests for a url without reading an answer.
async fn ask_for(client: &mut RawSocket, url: &str, times: usize) {
    for id in 0..times {
        client.send(packet(id, url)).await.expect("sent");
    }
}

/// Reads the acks of `times` requests, each with an attachment of [`FILE`] bytes.
async fn read_files(client: &mut RawSocket, times: usize) {
    let mut files = 0;
    while files < times {
        if let Packet::Binary(bytes) = client.next().await.expect("it stays connected") {
            assert_eq!(bytes.len(), FILE);
            files += 1;
        }
    }
}

async fn value(server: &Server, series: &str) -> f64 {
    server.metrics().await.value(series)
}

async fn ends(server: &Server, reason: &str) -> f64 {
    value(server, &format!("hitchy_ends_total{{reason=\"{reason}\"}}")).await
}

/// Watches a gauge for some time while another client is answered, and returns its largest value.
async fn largest(server: &Server, series: &str) -> f64 {
    let other = RawSocket::connect(server.addr(), "/hitchy").await;
    let mut other = other.expect("let in");
    let (start, mut most) = (Instant::now(), 0.0_f64);
    while start.elapsed() < WATCHED {
        ask_for(&mut other, "/large.bin", 2).await;
        let read = read_files(&mut other, 2);
        within("the other client is answered", SOON, read).await;
        most = most.max(value(server, series).await);
    }
    most
}

#[tokio::test]
async fn i11_25_answers_that_one_client_does_not_read_are_bounded() {
    let mut server = with("").await;
    let resident = "process_resident_memory_bytes";
    let before = value(&server, resident).await;
    let mut lazy = RawSocket::connect(server.addr(), "/hitchy")
        .await
        .expect("let in");
    ask_for(&mut lazy, "/large.bin", REQUESTS).await;
    let added = (largest(&server, resident).await - before) / MIB;
    // All answers together have 156 MiB. What the allocator keeps besides depends on the machine.
    assert!(added < 120.0, "{added} MiB were added");
    let waiting = value(&server, WAITING).await / MIB;
    assert!((8.0..32.0).contains(&waiting), "{waiting} MiB wait");
    // Nothing is lost when the client reads after all.
    within("all is read", PATIENCE, read_files(&mut lazy, REQUESTS)).await;
    let none = async || value(&server, WAITING).await == 0.0;
    until("nothing waits", SOON, none).await;
    server.assert_unharmed();
}

#[tokio::test]
async fn i11_25_answers_of_handlers_are_bounded_before_they_are_made() {
    let mut server = with("").await;
    let mut lazy = RawSocket::connect(server.addr(), "/hitchy")
        .await
        .expect("let in");
    ask_for(&mut lazy, MADE, REQUESTS).await;
    let most = largest(&server, WAITING).await / MIB;
    assert!(most < 64.0, "{most} MiB wait");
    let calls = r#"hitchy_calls_total{handler="faults.wasm",kind="request",outcome="ok"}"#;
    let made = value(&server, calls).await;
    assert!(made < 20.0, "{made} answers were made");
    within("all is read", PATIENCE, read_files(&mut lazy, REQUESTS)).await;
    server.assert_unharmed();
}

/// Lets a client read a little at a time, so that its send buffer is full nearly always.
#[tokio::test]
async fn i11_25_a_client_that_reads_slowly_gets_every_answer() {
    let settings = "[socket]\nsend-bytes = \"1MiB\"\n[server]\nwrite-stall = \"5s\"";
    let mut server = with(settings).await;
    let mut slow = narrow(&server, "/hitchy", "").await;
    let mut other = RawSocket::connect(server.addr(), "/hitchy")
        .await
        .expect("let in");
    let times = 60;
    ask_for(&mut slow, "/fault/body/200000", times).await;
    let mut files = 0;
    while files < times {
        let next = within("a packet", SOON, slow.next()).await;
        if let Packet::Binary(bytes) = next.expect("it stays connected") {
            assert_eq!(bytes.len(), 200_000);
            files += 1;
        }
        if files % 20 == 0 {
            ask_for(&mut other, "/large.bin", 1).await;
            within(
                "the other client is answered",
                SOON,
                read_files(&mut other, 1),
            )
            .await;
        }
    }
    server.assert_unharmed();
}

#[tokio::test]
async fn i11_25_an_answer_larger_than_the_bound_reaches_a_client_that_reads() {
    let mut server = with("[socket]\nsend-bytes = \"1MiB\"").await;
    for url in ["/large.bin", MADE] {
        let mut client = RawSocket::connect(server.addr(), "/hitchy")
            .await
            .expect("let in");
        ask_for(&mut client, url, 8).await;
        within("all is read", PATIENCE, read_files(&mut client, 8)).await;
    }
    server.assert_unharmed();
}

#[tokio::test]
async fn i11_25_clients_that_read_nothing_are_ended_when_the_memory_of_all_is_used_up() {
    let mut server = with("[server]\noutbound-memory = \"64MiB\"").await;
    let from = server.log().len();
    let other = RawSocket::connect(server.addr(), "/hitchy").await;
    let mut other = other.expect("let in");
    let mut lazy = Vec::new();
    let asking = async {
        for _ in 0..10 {
            let client = RawSocket::connect(server.addr(), "/hitchy").await;
            let mut client = client.expect("let in");
            ask_for(&mut client, "/large.bin", REQUESTS).await;
            lazy.push(client);
        }
        let is_ended = async || ends(&server, "outbound_memory").await > 0.0;
        until("some are ended", PATIENCE, is_ended).await;
    };
    let reading = async {
        loop {
            ask_for(&mut other, "/large.bin", 2).await;
            let read = read_files(&mut other, 2);
            within("the other client is answered", SOON, read).await;
        }
    };
    tokio::select! {
        () = asking => {}
        () = reading => {}
    }
    let within_budget = async || value(&server, WAITING).await <= 64.0 * MIB;
    until("the others are within the budget", SOON, within_budget).await;
    largest(&server, WAITING).await;
    until("they stay within the budget", SOON, within_budget).await;
    let ready = page(&server, "/readyz").await;
    assert_eq!(ready["status"], "ready");
    assert_eq!(ready["outboundMemory"]["limit"], 64 << 20, "{ready}");
    assert!(ready["outboundMemory"]["used"].is_u64(), "{ready}");
    let words = ["outbound_memory", "server.outbound-memory"];
    server.wait_for_log_from(from, &words).await;
    server.assert_unharmed();
}

/// Lets a polling client fetch its packets on ever new connections without reading the responses.
#[tokio::test]
async fn i11_25_polls_that_are_not_read_count_for_their_client() {
    let mut server = with("").await;
    let mut lazy = RawPolling::open(server.addr()).await.expect("opened");
    lazy.enter("/hitchy", "").await.expect("let in");
    for id in 0..REQUESTS {
        lazy.send(&packet(id, "/large.bin")).await.expect("sent");
    }
    let mut polls = Vec::new();
    for _ in 0..20 {
        let tcp = TcpSocket::new_v4().expect("a socket");
        tcp.set_recv_buffer_size(4096).expect("a small buffer");
        let tcp = tcp.connect(server.addr()).await.expect("open");
        let mut connection = Connection::over(tcp).expect("open");
        let poll = request("GET", &lazy.target(), &[], b"");
        connection.send(poll).await.expect("sent");
        polls.push(connection);
        let most = largest_at_once(&server).await;
        assert!(most < 40.0 * MIB, "{} MiB wait", most / MIB);
    }
    drop(polls);
    server.assert_unharmed();
}

async fn largest_at_once(server: &Server) -> f64 {
    let (start, mut most) = (Instant::now(), 0.0_f64);
    while start.elapsed() < WATCHED / 10 {
        most = most.max(value(server, WAITING).await);
    }
    most
}

#[tokio::test]
async fn i11_25_pipelined_requests_are_answered_as_far_as_they_are_read() {
    let mut server = with("").await;
    let mut lazy = Connection::open(server.addr()).await;
    let one = request("GET", MADE, &[], b"");
    lazy.send(one.repeat(REQUESTS)).await.expect("sent");
    let most = largest(&server, WAITING).await / MIB;
    assert!(most < 24.0, "{most} MiB wait");
    let calls = r#"hitchy_calls_total{handler="faults.wasm",kind="request",outcome="ok"}"#;
    let made = value(&server, calls).await;
    assert!((1.0..=3.0).contains(&made), "{made} answers were made");
    for _ in 0..REQUESTS {
        let answer = lazy.read("GET").await.expect("an answer");
        assert_eq!((answer.status, answer.body.len()), (200, FILE));
    }
    server.assert_unharmed();
}

#[tokio::test]
async fn i11_25_http_connections_that_read_nothing_are_ended_too() {
    let mut server = with("[server]\noutbound-memory = \"16MiB\"").await;
    let mut lazy = Vec::new();
    for _ in 0..20 {
        let mut connection = Connection::open(server.addr()).await;
        // The system's buffers take one answer.
        let requests = request("GET", MADE, &[], b"").repeat(4);
        connection.send(requests).await.expect("sent");
        lazy.push(connection);
    }
    let is_ended = async || ends(&server, "outbound_memory").await > 0.0;
    until("some are ended", PATIENCE, is_ended).await;
    let within_budget = async || value(&server, WAITING).await <= 16.0 * MIB;
    until("the others are within the budget", SOON, within_budget).await;
    server.assert_unharmed();
}

/// Broadcasts to clients that do not read, until what waits for all of them is too much.
#[tokio::test]
async fn i11_25_broadcasts_to_clients_that_read_nothing_are_within_the_budget() {
    // A client alone may hold more than the handler emits between two looks at the sum.
    let settings = "[server]\noutbound-memory = \"4MiB\"\n[socket]\nsend-bytes = \"64MiB\"\n\
        [limits]\nemit-bytes-per-call = \"64MiB\"";
    let mut server = with(settings).await;
    let from = server.log().len();
    let mut witness = RawSocket::connect(server.addr(), "/")
        .await
        .expect("let in");
    let mut lazy = Vec::new();
    for _ in 0..10 {
        lazy.push(narrow(&server, "/", "{\"announce\":true,\"user\":\"lazy\"}").await);
    }
    let reading = async {
        loop {
            if let Packet::Text(text) = witness.next().await.expect("it stays connected")
                && text.contains("\"left\"")
            {
                return text;
            }
        }
    };
    let emitting = async {
        loop {
            let step = json!({ "do": "emit-many", "event": "news", "times": 8, "size": 64 << 10 });
            server.script(&json!([step])).await;
        }
    };
    let left = async {
        tokio::select! {
            left = reading => left,
            () = emitting => String::new(),
        }
    };
    let left = within("a hook tells of an end", PATIENCE, left).await;
    assert!(left.contains("transport error"), "{left}");
    assert!(ends(&server, "outbound_memory").await > 0.0);
    server
        .wait_for_log_from(from, &["server.outbound-memory"])
        .await;
    assert_eq!(
        witness.ask("echo", &[json!(1)]).await.expect("an ack"),
        "[1]"
    );
    server.assert_unharmed();
}
