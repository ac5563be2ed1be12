//! The ends of connections that the server causes: each is counted by its reason, logged, and named to the hooks.

use std::time::Duration;

use hitchy_tests::http::{Connection, request};
use hitchy_tests::raw::{Packet, RawClient, RawPolling, RawSocket};
use hitchy_tests::wait::{SOON, until, within};
use hitchy_tests::{Server, guest};
use serde_json::json;
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::protocol::frame::coding::Data;

/// A deadline for limits of a second on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const LAZY: &str = "{\"announce\":true,\"user\":\"lazy\"}";

async fn with(settings: &str) -> Server {
    Server::prepare()
        .handler("probe.wasm", guest("probe"))
        .settings(&format!("[log]\nlevel = \"debug\"\n{settings}"))
        .console()
        .start()
        .await
}

async fn count(server: &Server, reason: &str) -> f64 {
    let series = format!("hitchy_ends_total{{reason=\"{reason}\"}}");
    server.metrics().await.value(&series)
}

/// Waits until `times` ends are counted for a reason and one is logged, and asserts that no more are counted.
async fn is_counted(server: &Server, reason: &str, times: f64) {
    let what = format!("{times} ends are counted for {reason}");
    until(&what, PATIENCE, async || {
        count(server, reason).await >= times
    })
    .await;
    assert_eq!(count(server, reason).await, times, "{reason}");
    let named = format!("reason=\"{reason}\"");
    server
        .wait_for_log(&["was closed", "remote=127.0.0.1", &named])
        .await;
}

/// A client to which the hooks announce the ends of others.
struct Watcher(RawSocket);

impl Watcher {
    async fn of(server: &Server) -> Self {
        Self(
            RawSocket::connect(server.addr(), "/")
                .await
                .expect("let in"),
        )
    }

    /// Waits for the hook's report of an end with this reason.
    async fn is_told(&mut self, reason: &str) {
        let told = async {
            loop {
                if let Packet::Text(text) = self.0.next().await.expect("it stays connected")
                    && text.starts_with("42[\"left\"")
                {
                    return text;
                }
            }
        };
        let left = within("the hook tells of the end", PATIENCE, told).await;
        assert!(left.contains(&format!("\"reason\":\"{reason}\"")), "{left}");
    }
}

/// Opens a TCP connection with a small receive buffer.
async fn narrow(server: &Server) -> TcpStream {
    let tcp = TcpSocket::new_v4().expect("a socket");
    tcp.set_recv_buffer_size(4096).expect("a small buffer");
    tcp.connect(server.addr()).await.expect("open")
}

/// Connects a client of `/` with a small receive buffer, whose end the hooks announce.
async fn lazy(server: &Server) -> RawSocket {
    let client = RawSocket::open_over(narrow(server).await, server.addr()).await;
    let mut client = client.expect("opened");
    client.enter("/", LAZY).await.expect("let in");
    client
}

#[tokio::test]
async fn i11_28_a_client_that_takes_nothing_of_much() {
    let server = with("[server]\nwrite-stall = \"1s\"").await;
    let mut watcher = Watcher::of(&server).await;
    let mut lazy = lazy(&server).await;
    let letters = "x".repeat(500_000);
    for id in 0..20 {
        let sent = lazy.send(format!("42{id}[\"echo\",\"{letters}\"]")).await;
        if sent.is_err() {
            break;
        }
    }
    watcher.is_told("transport error").await;
    is_counted(&server, "write_stall", 1.0).await;
}

#[tokio::test]
async fn i11_28_a_connection_that_takes_nothing_of_a_response() {
    let server = with("[server]\nwrite-stall = \"1s\"").await;
    std::fs::create_dir_all(server.dir().join("public")).expect("made");
    let file = server.dir().join("public/large.bin");
    std::fs::write(file, vec![0xff; 32 << 20]).expect("written");
    let mut lazy = Connection::over(narrow(&server).await).expect("open");
    let sent = lazy.send(request("GET", "/large.bin", &[], b"")).await;
    sent.expect("sent");
    is_counted(&server, "write_stall", 1.0).await;
}

/// The acks are so small that the server's system takes all of them.
#[tokio::test]
async fn i11_28_a_client_that_takes_nothing_of_little() {
    let server = with("[server]\nwrite-stall = \"1s\"").await;
    let mut watcher = Watcher::of(&server).await;
    let mut lazy = lazy(&server).await;
    let letters = "x".repeat(100);
    for id in 0..100 {
        let event = format!("42{id}[\"echo\",\"{letters}\"]");
        lazy.send(event).await.expect("sent");
    }
    watcher.is_told("transport error").await;
    is_counted(&server, "unacknowledged", 1.0).await;
}

#[tokio::test]
async fn i11_28_a_client_whose_send_buffer_is_full() {
    let server = with("[server]\nwrite-stall = \"10min\"\n[socket]\nsend-buffer = 16").await;
    let mut watcher = Watcher::of(&server).await;
    let _lazy = lazy(&server).await;
    let emitting = async {
        loop {
            let step = json!({ "do": "emit-many", "event": "news", "times": 8, "size": 64 << 10 });
            server.script(&json!([step])).await;
        }
    };
    tokio::select! {
        () = watcher.is_told("transport error") => {}
        () = emitting => {}
    }
    is_counted(&server, "send_buffer", 1.0).await;
}

#[tokio::test]
async fn i11_28_clients_that_break_the_protocol() {
    let server = with("[server]\nbody-limit = \"10KiB\"").await;
    let mut watcher = Watcher::of(&server).await;

    for (transport, times) in [("websocket", 1.0), ("polling", 2.0)] {
        let mut client = RawClient::connect_with(transport, server.addr(), "/", LAZY).await;
        // Over polling, the server may answer that this is not a packet.
        let _ = client.send("4?").await;
        watcher.is_told("parse error").await;
        is_counted(&server, "malformed", times).await;
    }

    let mut client = RawSocket::open(server.addr()).await.expect("opened");
    client.enter("/", LAZY).await.expect("let in");
    let sent = client
        .send_frame(Data::Reserved(3), b"?".to_vec(), true)
        .await;
    sent.expect("sent");
    watcher.is_told("transport error").await;
    is_counted(&server, "bad_message", 1.0).await;

    let mut client = RawPolling::open(server.addr()).await.expect("opened");
    client.enter("/", LAZY).await.expect("let in");
    client.overlap().await.expect("an answer");
    watcher.is_told("transport error").await;
    is_counted(&server, "double_poll", 1.0).await;

    let mut client = RawPolling::open(server.addr()).await.expect("opened");
    client.enter("/", LAZY).await.expect("let in");
    let refused = client.post(&[b'4'; 100 << 10]).await.expect("an answer");
    assert_eq!(refused.status, 413);
    watcher.is_told("parse error").await;
    is_counted(&server, "too_large", 1.0).await;

    let mut client = RawPolling::open(server.addr()).await.expect("opened");
    client.enter("/", LAZY).await.expect("let in");
    let mut given_up = Connection::open(server.addr()).await;
    let target = client.target();
    // The first polls may get what waits. A poll that waits for a second has begun, and is given up then.
    let pause = Duration::from_secs(1);
    while tokio::time::timeout(pause, given_up.ask("GET", &target, &[], b""))
        .await
        .is_ok()
    {}
    drop(given_up);
    watcher.is_told("transport error").await;
    is_counted(&server, "poll_aborted", 1.0).await;
}

#[tokio::test]
async fn i11_28_clients_that_are_silent() {
    let settings =
        "[socket]\nping-interval = \"300ms\"\nping-timeout = \"1s\"\nconnect-timeout = \"1s\"";
    let server = with(settings).await;
    let mut watcher = Watcher::of(&server).await;
    for (transport, times) in [("websocket", 1.0), ("polling", 2.0)] {
        let _silent = RawClient::connect_with(transport, server.addr(), "/", LAZY).await;
        watcher.is_told("ping timeout").await;
        is_counted(&server, "ping_timeout", times).await;
    }
}

#[tokio::test]
async fn i11_28_clients_that_join_no_namespace() {
    let server = with("[socket]\nconnect-timeout = \"500ms\"").await;
    for (transport, times) in [("websocket", 1.0), ("polling", 2.0)] {
        let _idle = RawClient::open(transport, server.addr())
            .await
            .expect("opened");
        is_counted(&server, "connect_timeout", times).await;
    }
}

#[tokio::test]
async fn i11_28_clients_that_a_handler_disconnects() {
    let server = with("").await;
    let mut watcher = Watcher::of(&server).await;
    for (close, times) in [(false, 1.0), (true, 2.0)] {
        let client = RawClient::connect_with("websocket", server.addr(), "/", LAZY).await;
        let of = json!({ "namespace": "/", "id": client.sid() });
        let step = json!({ "do": "socket.disconnect", "of": of, "close": close });
        server.script(&json!([step])).await;
        watcher.is_told("server namespace disconnect").await;
        is_counted(&server, "closed_by_handler", times).await;
    }
}

#[tokio::test]
async fn i11_28_connections_without_a_request_in_time() {
    let server =
        with("[server]\nheader-timeout = \"500ms\"\nkeep-alive = \"500ms\"\nbody-idle = \"500ms\"")
            .await;
    let mut slow = Connection::open(server.addr()).await;
    slow.send("GET /hello/x HTTP/1.1\r\nho")
        .await
        .expect("sent");
    slow.rest().await;
    is_counted(&server, "head_timeout", 1.0).await;

    // The requests that asked the console end idle too.
    let mut idle = Connection::open(server.addr()).await;
    idle.ask("GET", "/hello/x", &[], b"").await;
    idle.rest().await;
    let counted = async || count(&server, "idle_timeout").await >= 1.0;
    until("it is counted", SOON, counted).await;

    let mut slow = Connection::open(server.addr()).await;
    let head = "POST /mirror HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nabc";
    slow.send(head).await.expect("sent");
    assert_eq!(slow.read("POST").await.expect("an answer").status, 408);
    slow.rest().await;
    is_counted(&server, "body_timeout", 1.0).await;
}

#[tokio::test]
async fn i11_28_connections_that_send_what_is_refused() {
    let server = with("[server]\nbody-limit = \"10KiB\"").await;
    let mut connection = Connection::open(server.addr()).await;
    connection.send("?\r\n\r\n").await.expect("sent");
    connection.rest().await;
    is_counted(&server, "malformed", 1.0).await;

    let mut connection = Connection::open(server.addr()).await;
    let large = request("POST", "/mirror", &[], &[b'x'; 20 << 10]);
    connection.send(large).await.expect("sent");
    assert_eq!(
        connection.read("POST").await.expect("an answer").status,
        413
    );
    connection.rest().await;
    is_counted(&server, "too_large", 1.0).await;

    let mut connection = Connection::open(server.addr()).await;
    let odd = request("GET", "/%zz%00", &[], b"");
    connection.send(odd).await.expect("sent");
    assert_eq!(connection.read("GET").await.expect("an answer").status, 400);
    connection.rest().await;
    is_counted(&server, "refused", 1.0).await;
}

#[tokio::test]
async fn i11_28_connections_above_the_bound() {
    let server = with("[server]\nmax-connections = 1").await;
    let mut first = Connection::open(server.addr()).await;
    assert_eq!(first.ask("GET", "/hello/x", &[], b"").await.status, 200);
    let mut second = Connection::open(server.addr()).await;
    assert_eq!(second.read("GET").await.expect("an answer").status, 503);
    is_counted(&server, "too_many_connections", 1.0).await;
}

#[tokio::test]
async fn i11_28_clients_of_a_server_that_shuts_down() {
    let mut server = with("").await;
    let tcp = TcpStream::connect(server.addr()).await.expect("open");
    let address = tcp.local_addr().expect("an address").to_string();
    let mut idle = Connection::over(tcp).expect("open");
    idle.ask("GET", "/hello/x", &[], b"").await;
    let client = RawClient::connect("websocket", server.addr(), "/").await;
    server.terminate();
    let named = ["reason=\"shutdown\"", "was closed"];
    server
        .wait_for_log(&[named[0], named[1], client.sid()])
        .await;
    server.wait_for_log(&[named[0], named[1], &address]).await;
    assert_eq!(server.wait_for_end(SOON).await.code(), Some(0));
}
