//! Bodies of components of `wasi:http` that stream: how they flow, and what ends them.

use std::time::Duration;

use hitchy_tests::http::{Connection, ask, request};
use hitchy_tests::streams::{Open, shop, streaming, until_ended, until_streaming};
use hitchy_tests::wait::{SOON, until, within};
use hitchy_tests::{Server, guest};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

/// Sends a request on a connection of its own, and returns everything that arrives until the connection ends.
async fn wire(server: &Server, target: &str) -> String {
    let mut connection = Connection::open(server.addr()).await;
    let close = [("connection", "close")];
    let sent = connection.send(request("GET", target, &close, b"")).await;
    sent.expect("sent");
    String::from_utf8_lossy(&connection.rest().await).into_owned()
}

#[tokio::test]
async fn d08_both_bodies_stream_at_the_same_time() {
    let server = shop().start().await;
    let mut open = Open::begin(&server, "POST /api/shop/echo").await;
    open.send("transfer-encoding: chunked\r\nte: trailers\r\ntrailer: x-sum\r\n\r\n")
        .await;
    for text in ["first", "second", "third"] {
        open.chunk(text).await;
        open.until(text).await;
    }
    open.send("0\r\nx-sum: 42\r\n\r\n").await;
    let end = open.until("42\r\n\r\n").await;
    assert!(end.contains("0\r\nx-sum: 42\r\n\r\n"), "{end:?}");
    until_ended(&server, "ok", 1.0).await;
}

#[tokio::test]
async fn d08_trailers_are_passed_and_framing_is_ours() {
    let server = shop().start().await;
    let mut open = Open::begin(&server, "GET /api/shop/trailers").await;
    open.send("te: trailers\r\n\r\n").await;
    let answer = open.until("x-sum: 42\r\n\r\n").await;
    assert!(answer.contains("transfer-encoding: chunked"), "{answer}");
    let framed = server.get("/api/shop/framing").await;
    assert_eq!(framed.text(), "framed");
    for name in [
        "keep-alive",
        "te",
        "upgrade",
        "proxy-authenticate",
        "transfer-encoding",
    ] {
        assert_eq!(framed.header(name), None, "{name}");
    }
    assert_eq!(framed.header("x-kept"), Some("yes"));
    assert_eq!(
        server
            .get("/api/shop/length?4,4")
            .await
            .header("content-length"),
        Some("4")
    );
}

/// A deadline of a minute, so that only the end of the answer can give the places back.
#[tokio::test]
async fn d08_head_of_an_endless_answer_gives_its_place_back() {
    let plan = shop().file(
        "handlers/api/shop.toml",
        "deadline = \"60s\"\nconcurrency = 2",
    );
    let server = plan.start().await;
    for _ in 0..4 {
        let mut connection = Connection::open(server.addr()).await;
        let answer = connection.ask("HEAD", "/api/shop/open", &[], b"").await;
        assert_eq!((answer.status, answer.body.len()), (200, 0));
        until_streaming(&server, 0.0).await;
    }
    assert_eq!(server.get("/api/shop/head").await.status, 200);
}

#[tokio::test]
async fn d08_a_client_that_asks_whether_to_send_its_body_is_told_when_the_guest_reads() {
    let server = shop().start().await;
    let mut open = Open::begin(&server, "POST /api/shop/count").await;
    open.send("content-length: 5\r\nexpect: 100-continue\r\n\r\n")
        .await;
    open.until("HTTP/1.1 100 Continue\r\n\r\n").await;
    open.send("12345").await;
    open.until("5 bytes").await;
    // A guest that reads nothing answers at once.
    let mut open = Open::begin(&server, "POST /api/shop/unread").await;
    open.send("content-length: 5\r\nexpect: 100-continue\r\n\r\n")
        .await;
    let answer = open.until("\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn d08_the_limit_of_bodies_holds_while_they_arrive() {
    let server = shop()
        .settings("[server]\nbody-limit = \"1KiB\"")
        .start()
        .await;
    let large = vec![b'x'; 1025];
    let answer = server.request("POST", "/api/shop/count", &[], &large).await;
    assert_eq!(answer.status, 413, "the length is known");
    let chunked = async |target: &str| {
        let mut open = Open::begin(&server, &format!("POST {target}")).await;
        open.send("transfer-encoding: chunked\r\nconnection: close\r\n\r\n")
            .await;
        open.chunk(&"x".repeat(1025)).await;
        open.send("0\r\n\r\n").await;
        open.rest().await
    };
    let told = chunked("/api/shop/count").await;
    assert!(
        told.contains("200 OK") && told.contains("request body size exceeds limit"),
        "{told}"
    );
    let failed = chunked("/api/shop/strict").await;
    assert!(
        failed.starts_with("HTTP/1.1 413") && failed.contains("larger than 1024 bytes"),
        "{failed}"
    );
    let whole = server
        .request("POST", "/api/shop/count", &[], &large[1..])
        .await;
    assert_eq!(whole.text(), "1024 bytes");
}

#[tokio::test]
async fn d08_the_rest_of_a_body_that_nobody_reads_does_not_break_the_answer() {
    let server = shop()
        .settings("[server]\nbody-limit = \"8MiB\"")
        .start()
        .await;
    let body = vec![b'x'; 6 << 20];
    for _ in 0..5 {
        let answer = ask(server.addr(), "POST", "/api/shop/unread", &[], &body).await;
        assert_eq!(
            (answer.status, answer.header("connection")),
            (200, Some("close"))
        );
    }
}

#[tokio::test]
async fn d08_a_body_that_comes_too_slowly_ends_with_an_error() {
    let server = shop()
        .settings("[server]\nbody-idle = \"200ms\"")
        .start()
        .await;
    let mut open = Open::begin(&server, "POST /api/shop/count").await;
    open.send("content-length: 5\r\n\r\n123").await;
    open.until("failed: ").await;
    let mut open = Open::begin(&server, "POST /api/shop/strict").await;
    open.send("content-length: 5\r\n\r\n123").await;
    open.until("HTTP/1.1 408").await;
}

#[tokio::test]
async fn d08_what_goes_wrong_in_the_middle_of_a_body_breaks_the_connection() {
    let server = shop()
        .handler(
            "api/shop.toml",
            "deadline = \"3s\"\nstream-deadline = \"4s\"\ncpu = \"100ms\"",
        )
        .start()
        .await;
    for target in ["late", "spin-on", "sleep-on"] {
        let answer = wire(&server, &format!("/api/shop/{target}")).await;
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.contains("begun"),
            "{target}: {answer}"
        );
        assert!(
            !answer.ends_with("0\r\n\r\n"),
            "{target} seems to have a whole body: {answer}"
        );
    }
    server
        .wait_for_log(&["GET /api/shop/sleep-on", "limits.stream-deadline"])
        .await;
    until_ended(&server, "trap", 1.0).await;
    until_ended(&server, "cpu", 1.0).await;
    until_ended(&server, "deadline", 1.0).await;
    // Less than was announced is no whole body either.
    let less = wire(&server, "/api/shop/length?10,4").await;
    assert!(
        less.is_empty() || less.starts_with("HTTP/1.1 502") || !less.ends_with("xxxxxxxxxx"),
        "{less}"
    );
    until_streaming(&server, 0.0).await;
}

#[tokio::test]
async fn d08_a_guest_may_go_on_after_its_answer() {
    let server = shop().start().await;
    assert_eq!(server.get("/api/shop/work").await.text(), "whole");
    server.wait_for_log(&["worked"]).await;
    until_streaming(&server, 0.0).await;
    until_ended(&server, "ok", 1.0).await;
}

#[tokio::test]
async fn i12_6_events_stay_open_past_the_deadline() {
    let server = shop()
        .handler("api/shop.toml", "deadline = \"300ms\"")
        .start()
        .await;
    let mut open = Open::begin(&server, "GET /api/shop/events?40").await;
    open.send("\r\n").await;
    open.until("data: 3").await;
    assert_eq!(streaming(&server).await, 1.0);
    open.until("data: 39").await;
    open.until("0\r\n\r\n").await;
    until_streaming(&server, 0.0).await;
    until_ended(&server, "ok", 1.0).await;
}

#[tokio::test]
async fn r15_a_client_that_goes_away_ends_the_guest() {
    let server = shop().start().await;
    let mut open = Open::begin(&server, "GET /api/shop/open").await;
    open.send("\r\n").await;
    open.until("data: 2").await;
    assert_eq!(streaming(&server).await, 1.0);
    drop(open);
    until_streaming(&server, 0.0).await;
    until_ended(&server, "aborted", 1.0).await;
    let running = r#"hitchy_calls_running{handler="api/shop.wasm"}"#;
    assert_eq!(server.metrics().await.value(running), 0.0);
}

#[tokio::test]
async fn d08_a_slow_client_slows_the_guest_and_memory_stays_as_it_is() {
    const SIZE: u64 = 300 << 20;
    let server = shop()
        .handler("api/shop.toml", "cpu = \"60s\"\ndeadline = \"60s\"")
        .start()
        .await;
    server.get("/api/shop/big?1000000").await;
    let before = memory(&server);
    let tcp = TcpSocket::new_v4().expect("a socket");
    tcp.set_recv_buffer_size(4096).expect("a small buffer");
    let mut tcp = tcp.connect(server.addr()).await.expect("open");
    let head = format!("GET /api/shop/big?{SIZE} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    tcp.write_all(head.as_bytes()).await.expect("sent");
    until_streaming(&server, 1.0).await;
    until_waiting(&server).await;
    let mut total = 0;
    let mut buffer = vec![0; 1 << 20];
    within("the whole answer", SOON * 12, async {
        loop {
            match tcp.read(&mut buffer).await.expect("read") {
                0 => return,
                bytes => total += bytes as u64,
            }
        }
    })
    .await;
    assert!(total > SIZE, "{total} bytes");
    let grown = memory(&server).saturating_sub(before);
    assert!(grown < 24 << 20, "{grown} bytes more");
    until_ended(&server, "ok", 2.0).await;
}

/// Waits until the guests of a server wait: they use no processor time, which three equal readings show.
async fn until_waiting(server: &Server) {
    let mut readings = Vec::new();
    until("the guest waits", SOON, async || {
        readings.push(hitchy_tests::processes::processor_time(server.pid()));
        tokio::time::sleep(Duration::from_millis(100)).await;
        let last = &readings[readings.len().saturating_sub(3)..];
        last.len() == 3 && last[2] - last[0] <= Duration::from_millis(20)
    })
    .await;
}

/// Returns the most memory that the server has had in use, in bytes.
fn memory(server: &Server) -> u64 {
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.expect("a number") << 10
}

#[tokio::test]
async fn i12_6_a_reload_ends_streams_after_a_grace() {
    let server = shop().settings("[server]\ngrace = \"500ms\"").start().await;
    let mut open = Open::begin(&server, "GET /api/shop/open").await;
    open.send("\r\n").await;
    open.until("data: 2").await;
    let from = server.log().len();
    server.drop_in(
        "api/shop.wasm",
        hitchy_tests::guests::stamped(&guest("proxy"), "other"),
    );
    server
        .wait_for_log_from(from, &["api/shop.wasm", "generation 2"])
        .await;
    let rest = open.rest().await;
    assert!(
        rest.contains("data:") && !rest.ends_with("0\r\n\r\n"),
        "{rest}"
    );
    server
        .wait_for_log_from(from, &["its answer was broken off", "replaced or removed"])
        .await;
    let metrics = server.metrics().await;
    assert_eq!(
        metrics.value(r#"hitchy_streams_total{event="broken_off"}"#),
        1.0
    );
    assert_eq!(server.get("/api/shop/x").await.status, 200);
}

#[tokio::test]
async fn r16_streams_hold_the_shutdown_no_longer_than_its_grace() {
    let mut server = shop().settings("[server]\ngrace = \"500ms\"").start().await;
    let mut open = Open::begin(&server, "GET /api/shop/open").await;
    open.send("\r\n").await;
    open.until("data: 2").await;
    server.terminate();
    let status = server.wait_for_end(SOON).await;
    assert!(status.success(), "{status}");
    let rest = open.rest().await;
    assert!(!rest.ends_with("0\r\n\r\n"), "{rest}");
}

#[tokio::test]
async fn r16_a_client_that_takes_nothing_of_a_stream_holds_no_shutdown_beyond_its_grace() {
    let mut server = shop()
        .handler("api/shop.toml", "cpu = \"60s\"\ndeadline = \"60s\"")
        .settings("[server]\ngrace = \"500ms\"")
        .start()
        .await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut open = Open::begin(&server, &format!("GET /api/shop/big?{}", 300 << 20)).await;
        open.send("\r\n").await;
        clients.push(open);
    }
    until_streaming(&server, 3.0).await;
    // The buffers on the way are full.
    until_waiting(&server).await;
    server.terminate();
    let status = server.wait_for_end(SOON).await;
    assert!(status.success(), "{status}");
    let log = server.log().all().join("\n");
    assert!(log.contains("not everything was answered"), "{log}");
    assert!(!log.contains("did not close"), "{log}");
    drop(clients);
}
