//! Downloads of large files over HTTP: in pieces, at the client's speed, and complete.

use std::fs::File;
use std::time::Duration;

use hitchy_tests::Server;
use hitchy_tests::http::{Connection, request};
use hitchy_tests::wait::{SOON, until, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A length in bytes that exceeds the buffers on both sides of a connection.
const LARGE: u64 = 64 << 20;

/// Starts a server with the sparse file `/large.bin`, which needs no space on the disk.
async fn with_large_file(settings: &str, length: u64) -> Server {
    let plan = Server::prepare().file("public/small.txt", "small");
    let server = plan.settings(settings).start().await;
    let file = File::create(server.dir().join("public/large.bin")).expect("a file");
    file.set_len(length).expect("a sparse file");
    server
}

/// Returns the peak memory of the server in bytes.
fn peak(server: &Server) -> u64 {
    let status = format!("/proc/{}/status", server.pid());
    let status = std::fs::read_to_string(status).expect("a running process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.expect("the kernel counts it") << 10
}

/// Returns true if the server has the large file open.
fn is_open(server: &Server) -> bool {
    let open = std::fs::read_dir(format!("/proc/{}/fd", server.pid())).expect("a running process");
    open.flatten()
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .any(|path| path.ends_with("public/large.bin"))
}

/// Requests the large file and reads nothing.
async fn ask(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(server.addr()).await.expect("it listens");
    let headers = [("connection", "close")];
    let request = request("GET", "/large.bin", &headers, b"");
    stream.write_all(&request).await.expect("sent");
    until("the file is on its way", SOON, async || is_open(server)).await;
    stream
}

/// Returns the number of bytes, head and body together, that arrive before the connection ends.
async fn read_all(stream: &mut TcpStream) -> u64 {
    let mut piece = vec![0; 1 << 20];
    let mut all = 0;
    // A reset also ends the connection.
    while let Ok(read) = stream.read(&mut piece).await
        && read > 0
    {
        all += read as u64;
    }
    all
}

#[tokio::test]
async fn a_large_file_takes_little_memory() {
    let server = with_large_file("", 4 * LARGE).await;
    server.get("/small.txt").await;
    let before = peak(&server);
    let mut stream = ask(&server).await;
    let all = within("the whole file", SOON * 12, read_all(&mut stream)).await;
    assert!(all > 4 * LARGE, "{all} bytes");
    let more = peak(&server).saturating_sub(before);
    assert!(more < LARGE / 2, "{more} bytes more");
}

#[tokio::test]
async fn r16_a_download_under_way_is_finished_before_the_server_ends() {
    let mut server = with_large_file("", LARGE).await;
    let mut stream = ask(&server).await;
    server.terminate();
    let addr = server.addr();
    let turned_away = async || match Connection::try_open(addr).await {
        Err(_) => true,
        Ok(mut new) => match new.try_ask("GET", "/small.txt", &[], b"").await {
            Err(_) => true,
            Ok(answer) => answer.status == 503,
        },
    };
    until("new requests are turned away", SOON, turned_away).await;
    let all = within("the whole file", SOON * 6, read_all(&mut stream)).await;
    assert!(all > LARGE, "{all} bytes");
    assert_eq!(server.wait_for_end(SOON).await.code(), Some(0));
}

#[tokio::test]
async fn r16_a_download_that_takes_longer_than_the_grace_period_is_broken_off() {
    let mut server = with_large_file("[server]\ngrace = \"100ms\"", LARGE).await;
    let mut stream = ask(&server).await;
    server.terminate();
    assert_eq!(server.wait_for_end(SOON).await.code(), Some(0));
    let all = within("the end", SOON, read_all(&mut stream)).await;
    assert!(all < LARGE, "{all} bytes");
}

#[tokio::test]
async fn a_client_that_stops_reading_is_ended_after_the_write_stall() {
    let server = with_large_file("[server]\nwrite-stall = \"200ms\"", LARGE).await;
    let mut stream = ask(&server).await;
    until("it is given up", SOON * 3, async || !is_open(&server)).await;
    let all = within("the end", SOON, read_all(&mut stream)).await;
    assert!(all < LARGE, "{all} bytes");
    assert_eq!(server.get("/small.txt").await.text(), "small");
}

#[tokio::test]
async fn a_client_that_leaves_lets_go_of_the_file() {
    let server = with_large_file("", LARGE).await;
    drop(ask(&server).await);
    until("the file is closed", SOON, async || !is_open(&server)).await;
}

#[tokio::test]
async fn a_file_that_shrinks_while_it_is_sent_breaks_off() {
    let server = with_large_file("", LARGE).await;
    let mut stream = ask(&server).await;
    let file = File::options()
        .write(true)
        .open(server.dir().join("public/large.bin"));
    file.and_then(|file| file.set_len(1)).expect("cut");
    let all = within("the end", Duration::from_secs(30), read_all(&mut stream)).await;
    assert!(all < LARGE, "{all} bytes");
}
