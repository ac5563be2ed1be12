//! Answers that nobody reads: what waits for one client is bounded, and what waits for all clients together.

use std::time::Duration;

use hitchy_tests::raw::{Packet, RawSocket};
use hitchy_tests::wait::{SOON, within};
use hitchy_tests::{Server, guest};
use tokio::net::TcpSocket;
use tokio::time::Instant;

/// Bytes of the file that clients ask for.
const FILE: usize = 3_900_000;
/// Number of requests that a client sends at once.
const REQUESTS: usize = 40;
const MIB: f64 = 1_048_576.0;

/// Starts a server with a large file, the guest `probe` and these settings.
async fn with(settings: &str) -> Server {
    Server::prepare()
        .handler("probe.wasm", guest("probe"))
        .file("public/large.bin", vec![0xff; FILE])
        .settings(settings)
        .console()
        .start()
        .await
}

/// Connects a client in `/hitchy` with a small receive buffer.
async fn narrow(server: &Server) -> RawSocket {
    let tcp = TcpSocket::new_v4().expect("a socket");
    tcp.set_recv_buffer_size(4096).expect("a small buffer");
    let tcp = tcp.connect(server.addr()).await.expect("open");
    let client = RawSocket::open_over(tcp, server.addr()).await;
    let mut client = client.expect("opened");
    client.enter("/hitchy", "").await.expect("let in");
    client
}

/// Sends many requests for a url without reading an answer.
async fn ask_for(client: &mut RawSocket, url: &str, times: usize) {
    for id in 0..times {
        let request = format!(r#"42/hitchy,{id}["request",{{"url":"{url}"}}]"#);
        client.send(request).await.expect("sent");
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

async fn resident(server: &Server) -> f64 {
    server.metrics().await.value("process_resident_memory_bytes")
}

/// Watches the resident memory for some time while another client is answered, and returns the most that was added.
async fn most_added(server: &Server, before: f64) -> f64 {
    let mut other = RawSocket::connect(server.addr(), "/hitchy").await.expect("let in");
    let (start, mut most) = (Instant::now(), 0.0_f64);
    while start.elapsed() < Duration::from_secs(2) {
        ask_for(&mut other, "/large.bin", 2).await;
        within("the other client is answered", SOON, read_files(&mut other, 2)).await;
        most = most.max(resident(server).await - before);
    }
    most
}

#[tokio::test]
async fn i11_25_answers_that_one_client_does_not_read_are_bounded() {
    let mut server = with("").await;
    let before = resident(&server).await;
    let mut lazy = narrow(&server).await;
    ask_for(&mut lazy, "/large.bin", REQUESTS).await;
    let added = most_added(&server, before).await / MIB;
    assert!(added < 90.0, "{added} MiB were added");
    // Nothing is lost when the client reads after all.
    within("all is read", SOON * 3, read_files(&mut lazy, REQUESTS)).await;
    server.assert_unharmed();
}
