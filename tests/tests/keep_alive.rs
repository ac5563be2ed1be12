//! How long a client may send no request: a head that has begun has `server.header-timeout`, an idle connection has
//! `server.keep-alive`.

use std::time::Duration;

use hitchy_tests::http::Connection;
use hitchy_tests::raw::RawClient;
use hitchy_tests::wait::within;
use hitchy_tests::{Server, guest};

/// The longest wait for the end of a connection whose limit is a fraction of a second.
const SOON: Duration = Duration::from_secs(20);

async fn server(header_timeout: &str, keep_alive: &str) -> Server {
    let settings =
        format!("[server]\nheader-timeout = \"{header_timeout}\"\nkeep-alive = \"{keep_alive}\"");
    Server::prepare()
        .handler("probe.wasm", guest("probe"))
        .settings(&settings)
        .start()
        .await
}

/// Opens a connection on which one request has been answered.
async fn used(server: &Server) -> Connection {
    let mut connection = Connection::open(server.addr()).await;
    assert_answered(&mut connection).await;
    connection
}

async fn assert_answered(connection: &mut Connection) {
    let answer = connection.ask("GET", "/hello/x", &[], b"").await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// Sends a part of a head, and waits until the server has closed the connection.
async fn assert_cut_within_a_head(mut connection: Connection) {
    connection
        .send("GET /hello/x HTTP/1.1\r\nho")
        .await
        .expect("sent");
    let rest = within("the connection ends", SOON, connection.rest()).await;
    assert!(!String::from_utf8_lossy(&rest).contains(" 200 "));
}

#[tokio::test]
async fn b01_an_idle_connection_outlives_the_limit_on_a_head() {
    let server = server("300ms", "1h").await;
    let mut idle = used(&server).await;
    let mut socket = RawClient::connect("websocket", server.addr(), "/").await;
    // Each of these waits longer than the limit on a head, and begins after the others became idle.
    assert_cut_within_a_head(Connection::open(server.addr()).await).await;
    assert_cut_within_a_head(used(&server).await).await;
    assert_answered(&mut idle).await;
    let ack = socket.ask("1", "[\"echo\",1]").await;
    assert_eq!(ack.expect("a websocket has no such limit"), "[1]");
}

#[tokio::test]
async fn b01_a_new_connection_that_sends_nothing_ends_after_the_limit_on_a_head() {
    let server = server("300ms", "1h").await;
    let mut silent = Connection::open(server.addr()).await;
    assert!(
        within("the connection ends", SOON, silent.rest())
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn b01_an_idle_connection_ends_after_its_own_limit() {
    let server = server("1h", "300ms").await;
    let mut idle = used(&server).await;
    assert!(
        within("the connection ends", SOON, idle.rest())
            .await
            .is_empty()
    );
    // A call may last longer, and so may an upgraded connection.
    let mut socket = RawClient::connect("websocket", server.addr(), "/").await;
    let mut slow = Connection::open(server.addr()).await;
    let answer = slow.ask("GET", "/slow/1000", &[], b"").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let ack = socket.ask("1", "[\"echo\",1]").await;
    assert_eq!(ack.expect("a websocket has no such limit"), "[1]");
}
