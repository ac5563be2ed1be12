//! Components of `wasi:http`: where they are served, what streams, and how calls end that go wrong.

use std::time::Duration;

use hitchy_tests::clauses::{Way, skip};
use hitchy_tests::commands::{folder, hitchy, out};
use hitchy_tests::components::{answering_and_declaring, answering_wasi_http, exporting};
use hitchy_tests::door::Client;
use hitchy_tests::http::{Connection, ask, request};
use hitchy_tests::raw::RawSocket;
use hitchy_tests::server::Plan;
use hitchy_tests::wait::{SOON, until, within};
use hitchy_tests::{Server, clauses, guest, scripted};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

clauses! {
    http request_websocket request_polling:
        d08_a_stock_component_answers_through_every_door
        r13_what_streams_is_collected_for_a_socket_up_to_the_limit;
}

/// Returns the plan of a server with the guest `proxy` at `/api/shop`, and its console.
fn shop() -> Plan {
    Server::prepare()
        .handler("api/shop.wasm", guest("proxy"))
        .console()
}

/// Sends a request on a connection of its own, and returns everything that arrives until the connection ends.
async fn wire(server: &Server, target: &str) -> String {
    let mut connection = Connection::open(server.addr()).await;
    let close = [("connection", "close")];
    let sent = connection.send(request("GET", target, &close, b"")).await;
    sent.expect("sent");
    String::from_utf8_lossy(&connection.rest().await).into_owned()
}

/// Returns the number of answers that are streamed now.
async fn streaming(server: &Server) -> f64 {
    server.metrics().await.value("hitchy_streams_running")
}

async fn until_streaming(server: &Server, number: f64) {
    let fact = async || streaming(server).await == number;
    until(&format!("{number} answers are streamed"), SOON, fact).await;
}

/// Waits until so many calls of the handler have ended in a way. A call may go on after its answer was received.
async fn until_ended(server: &Server, way: &str, number: f64) {
    let fact = async || ended(server, way).await == number;
    until(&format!("{number} calls ended with {way}"), SOON, fact).await;
}

/// Returns how many calls of the handler ended in a way.
async fn ended(server: &Server, how: &str) -> f64 {
    let series =
        format!(r#"hitchy_calls_total{{handler="api/shop.wasm",kind="request",outcome="{how}"}}"#);
    server.metrics().await.value(&series)
}

/// A connection on which one piece of the body comes after the other.
struct Open(TcpStream);

impl Open {
    /// Sends the head of a request.
    async fn begin(server: &Server, head: &str) -> Self {
        let mut tcp = TcpStream::connect(server.addr()).await.expect("open");
        let head = format!("{head} HTTP/1.1\r\nhost: shop.example\r\n");
        tcp.write_all(head.as_bytes()).await.expect("sent");
        Self(tcp)
    }

    async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.expect("sent");
    }

    /// Sends a chunk of a body.
    async fn chunk(&mut self, text: &str) {
        self.send(&format!("{:x}\r\n{text}\r\n", text.len())).await;
    }

    /// Reads until a text has arrived, and returns everything up to it.
    async fn until(&mut self, text: &str) -> String {
        let mut read = Vec::new();
        let all = async {
            while !String::from_utf8_lossy(&read).contains(text) {
                let byte = self.0.read_u8().await;
                read.push(byte.expect("more arrives"));
            }
        };
        within(&format!("{text:?} arrives"), SOON, all).await;
        String::from_utf8(read).expect("text")
    }

    /// Reads until the connection ends.
    async fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        let read = self.0.read_to_end(&mut rest);
        let _ = within("the connection ends", SOON * 2, read).await;
        String::from_utf8_lossy(&rest).into_owned()
    }
}

#[tokio::test]
async fn d08_it_answers_the_path_of_its_file_and_everything_below() {
    let server = shop()
        .handler("index.wasm", guest("proxy"))
        .handler("docs/index.wasm", guest("proxy"))
        .file("public/page.html", "a page")
        .file("public/index.html", "the first page")
        .start()
        .await;
    let head = server.get("/api/shop/a/head?x=1&y").await.text();
    assert!(head.contains("target /api/shop/a/head?x=1&y"), "{head}");
    assert!(head.contains("authority localhost"), "{head}");
    for (target, text) in [
        ("/api/shop", "Method::Get shop"),
        ("/api/shop/", "Method::Get shop"),
        ("/api/shop/a/b", "Method::Get b"),
        ("/docs", "Method::Get docs"),
        ("/docs/a", "Method::Get a"),
        // What nothing else answers: neither a file nor another handler.
        ("/api/shopping", "Method::Get shopping"),
        ("/page.html", "a page"),
        ("/", "the first page"),
    ] {
        assert_eq!(server.get(target).await.text(), text, "{target}");
    }
    for (method, text) in [
        ("POST", "Method::Post x"),
        ("OPTIONS", "Method::Options x"),
        ("PURGE", "Method::Other(\"PURGE\") x"),
    ] {
        let answer = server.request(method, "/api/shop/x", &[], b"").await;
        assert_eq!((answer.status, answer.text()), (200, text.to_owned()));
        assert_eq!(answer.header("x-by"), Some("proxy"));
        assert!(answer.header("x-request-id").is_some());
    }
}

#[tokio::test]
async fn i12_6_declared_routes_inside_win_and_equal_ones_are_a_conflict() {
    let server = shop()
        .handler(
            "cart.wasm",
            scripted("name cart\nroute GET /api/shop/cart\nroute GET /api/shop"),
        )
        .handler("api/shop/index.wasm", guest("proxy"))
        .start()
        .await;
    let conflict = [
        "api/shop/index.wasm: refused",
        "route * /api/shop and below (wasi:http) is already served by api/shop.wasm",
    ];
    server.wait_for_log(&conflict).await;
    let by = async |method: &str, target: &str| {
        let answer = server.request(method, target, &[], b"").await;
        (answer.status, answer.header("x-by").is_some())
    };
    assert_eq!(by("GET", "/api/shop/cart").await, (200, false));
    assert_eq!(by("GET", "/api/shop").await, (200, false));
    assert_eq!(by("POST", "/api/shop").await, (200, true));
    assert_eq!(by("GET", "/api/shop/other").await, (200, true));
    // The path belongs to the file that declares it, for every method.
    assert_eq!(by("POST", "/api/shop/cart").await, (405, false));
    server.remove("api/shop.wasm");
    server.wait_for_log(&["api/shop/index.wasm: loaded"]).await;
    assert_eq!(by("GET", "/api/shop/other").await, (200, true));
}

#[tokio::test]
async fn i12_6_lists_say_what_it_answers() {
    let server = shop().start().await;
    let line = "* /api/shop and below (wasi:http)";
    server.wait_for_log(&["api/shop.wasm: loaded", line]).await;
    assert!(server.out().all().iter().any(|shown| shown.contains(line)));
    let routes = server.ask_console("/api/routes").await.json();
    let path = &routes["routes"][0]["path"];
    assert_eq!(path, "/api/shop and below (wasi:http)");
    let handlers = server.ask_console("/api/handlers").await.json();
    assert_eq!(
        handlers["handlers"][0]["limits"]["streamDeadlineMs"],
        300_000
    );
    let folder = folder();
    let file = folder.path().join("shop.wasm");
    std::fs::write(&file, guest("proxy")).expect("written");
    let listed = out(&hitchy(folder.path(), &["routes", "--handlers", "."]));
    assert!(listed.contains("/shop and below (wasi:http)"), "{listed}");
    let inspected = out(&hitchy(folder.path(), &["inspect", "shop.wasm"]));
    assert!(
        inspected.contains("/shop and below (wasi:http)"),
        "{inspected}"
    );
}

async fn d08_a_stock_component_answers_through_every_door(way: Way) {
    let server = shop().start().await;
    let Some(client) = Client::open(way, &server).await else {
        return skip();
    };
    let answer = client.get("/api/shop/x").await;
    assert_eq!(
        (answer.status, &answer.headers["x-by"]),
        (200, &json!("proxy"))
    );
    assert!(answer.headers.contains_key("x-request-id"));
    let body = json!({ "method": "POST", "url": "/api/shop/count", "body": "12345" });
    let answer = client.ask(body).await;
    assert_eq!((answer.status, &answer.body), (200, &json!("5 bytes")));
    let headers = json!({ "x-mine": "yes", "te": "trailers" });
    let head = json!({ "url": "/api/shop/a/head?x=1", "headers": headers });
    let answer = client.ask(head).await;
    let text = answer.body.as_str().expect("a text");
    for line in [
        "method Method::Get",
        "target /api/shop/a/head?x=1",
        "header x-mine: yes",
    ] {
        assert!(text.contains(line), "{line} is missing: {text}");
    }
    assert!(!text.contains("header te:"), "{text}");
    for (target, status) in [
        ("early", 500),
        ("none", 502),
        ("error", 502),
        ("headers?70", 502),
    ] {
        let answer = client.get(&format!("/api/shop/{target}")).await;
        assert_eq!(answer.status, status, "{target}: {answer:?}");
        assert_eq!(answer.body["code"], status, "{target}");
    }
}

async fn r13_what_streams_is_collected_for_a_socket_up_to_the_limit(way: Way) {
    let limit = "[server]\nanswer-limit = \"100KiB\"";
    let server = shop().settings(limit).start().await;
    let Some(client) = Client::open(way, &server).await else {
        return skip();
    };
    let whole = client.get("/api/shop/big?102400").await;
    assert_eq!(whole.status, 200);
    let large = client.get("/api/shop/big?102401").await;
    if way == Way::Http {
        assert_eq!(large.status, 200, "there is no limit for what streams");
    } else {
        assert_eq!(large.status, 502);
        let error = large.body["error"].to_string();
        assert!(error.contains("server.answer-limit"), "{error}");
    }
    until_streaming(&server, 0.0).await;
}

#[tokio::test]
async fn r13_other_handlers_get_it_collected() {
    let server = shop().handler("probe.wasm", guest("probe")).start().await;
    let steps = json!([
        { "do": "dispatch", "method": "POST", "url": "/api/shop/count", "body": "12345" },
        { "do": "dispatch", "method": "GET", "url": "/api/shop/big?5000000" },
    ]);
    let told = server.script(&steps).await.to_string();
    assert!(told.contains("5 bytes") && told.contains("502"), "{told}");
}

#[tokio::test]
async fn d08_what_it_emits_reaches_every_socket() {
    let server = shop().start().await;
    let mut client = RawSocket::connect(server.addr(), "/")
        .await
        .expect("let in");
    assert_eq!(server.get("/api/shop/emit").await.text(), "Ok(())");
    let packet = within("the event arrives", SOON, client.next()).await;
    let text = format!("{:?}", packet.expect("a packet"));
    assert!(text.contains("stock"), "{text}");
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
async fn d08_head_has_the_head_of_get_and_no_body() {
    let server = shop().start().await;
    let mut connection = Connection::open(server.addr()).await;
    let answer = connection
        .ask("HEAD", "/api/shop/length?4,4", &[], b"")
        .await;
    assert_eq!(
        (answer.status, answer.header("content-length")),
        (200, Some("4"))
    );
    let answer = connection
        .ask("HEAD", "/api/shop/big?1000000", &[], b"")
        .await;
    assert_eq!(
        answer.header("content-type"),
        Some("application/octet-stream")
    );
    for status in [204, 304, 404] {
        let answer = connection
            .ask("GET", &format!("/api/shop/status?{status}"), &[], b"")
            .await;
        assert_eq!((answer.status, answer.body.len()), (status, 0));
    }
    for status in [100, 101, 199, 600] {
        let answer = connection
            .ask("GET", &format!("/api/shop/status?{status}"), &[], b"")
            .await;
        assert_eq!(answer.status, 502, "{status}");
    }
    assert_eq!(
        connection.ask("GET", "/api/shop/x", &[], b"").await.status,
        200
    );
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
async fn d08_what_goes_wrong_before_the_head_is_an_answer() {
    let server = shop()
        .handler("api/shop.toml", "deadline = \"3s\"\ncpu = \"100ms\"")
        .start()
        .await;
    for (target, status) in [
        ("early", 500),
        ("none", 502),
        ("error", 502),
        ("unfinished", 502),
        ("sleep", 504),
        ("spin", 504),
    ] {
        assert_eq!(
            server.get(&format!("/api/shop/{target}")).await.status,
            status,
            "{target}"
        );
    }
    // What the guest has finished stands, whatever it does afterwards.
    for (target, text) in [("after", "whole"), ("exit", "whole"), ("leaked", "begun")] {
        let answer = server.get(&format!("/api/shop/{target}")).await;
        assert_eq!(answer.text(), text);
    }
    server
        .wait_for_log(&["the guest has ended without setting an answer"])
        .await;
    until_ended(&server, "trap", 3.0).await;
    until_ended(&server, "bad_answer", 3.0).await;
    until_ended(&server, "deadline", 1.0).await;
    until_ended(&server, "cpu", 1.0).await;
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

#[tokio::test]
async fn d08_policies_go_before_it() {
    let server = shop()
        .handler(
            "guard.wasm",
            scripted("name guard\nbefore * /api/shop\nguard x-token"),
        )
        .start()
        .await;
    assert_ne!(server.get("/api/shop/x").await.status, 200);
    let token = [("x-token", "yes")];
    let answer = server
        .request("POST", "/api/shop/count", &token, b"12345")
        .await;
    assert_eq!((answer.status, answer.text()), (200, "5 bytes".to_owned()));
    assert!(answer.header("x-passed").is_some(), "{answer:?}");
}

#[tokio::test]
async fn i12_6_every_version_of_wasi_http_0_2_is_served_and_no_other() {
    let mut plan = Server::prepare();
    for patch in 0..=12 {
        let component = answering_wasi_http(&format!("0.2.{patch}"));
        plan = plan.handler(&format!("v{patch}.wasm"), component);
    }
    let server = plan
        .handler("v3.0.wasm", exporting("wasi:http/handler@0.3.0", "handle"))
        .handler(
            "rc.wasm",
            exporting("wasi:http/incoming-handler@0.2.0-rc-2023-12-05", "handle"),
        )
        .handler("both.wasm", answering_and_declaring())
        .start()
        .await;
    for patch in 0..=12 {
        // It sets no answer.
        assert_eq!(
            server.get(&format!("/v{patch}/x")).await.status,
            502,
            "0.2.{patch}"
        );
    }
    server
        .wait_for_log(&[
            "v3.0.wasm",
            "component of wasi:http 0.3.0",
            "wasi:http 0.2 is what is served",
        ])
        .await;
    server
        .wait_for_log(&["rc.wasm", "component of wasi:http 0.2.0-rc-2023-12-05"])
        .await;
    // What describes itself is served as it says, which is nothing here.
    server
        .wait_for_log(&["both.wasm: loaded", "it declares nothing"])
        .await;
    assert_eq!(server.get("/both").await.status, 404);
}
