//! Components of `wasi:http` on Hitchy, compared with `wasmtime serve` if `wasmtime` is on the path, and the memory of
//! an answer of 1 GB that is streamed.
//!
//! Run the benchmark with `cargo bench --workspace --bench stock`. Each round measures all servers in turn, and the
//! figures are medians of the rounds.
#![allow(clippy::print_stdout, reason = "it prints a table")]

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Result;
use hitchy_tests::figures::{self, median};
use hitchy_tests::http::{self, Answer, request};
use hitchy_tests::load::{self, Plan};
use hitchy_tests::processes::processor_time;
use hitchy_tests::wait::{SOON, until};
use hitchy_tests::{Server, guest, wrk};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const ROUNDS: usize = 5;
const TIME: Duration = Duration::from_secs(4);
const CONNECTIONS: usize = 32;
/// The bytes of the large answer.
const LARGE: u64 = 1 << 30;

#[tokio::main]
async fn main() -> Result<()> {
    if !figures::are_wanted() {
        return Ok(());
    }
    let limits = "cpu = \"60s\"\ndeadline = \"60s\"";
    let hitchy = Server::prepare()
        .handler("index.wasm", guest("hello_proxy"))
        .handler("large.wasm", guest("proxy"))
        .handler("large.toml", limits)
        .start()
        .await;
    let small = Wasmtime::serve(&hitchy, "index.wasm").await;
    let servers: Vec<SocketAddr> = [Some(hitchy.addr()), small.as_ref().map(|one| one.addr)]
        .into_iter()
        .flatten()
        .collect();
    let mut rates = vec![Vec::new(); servers.len()];
    for round in 1..=ROUNDS {
        for (addr, rates) in servers.iter().zip(&mut rates) {
            rates.push(requests(*addr).await?);
        }
        println!("round {round} of {ROUNDS}");
    }
    let names = ["Hitchy", "wasmtime serve"];
    for (name, rates) in names.iter().zip(rates) {
        println!("{name:<16}{:>12.0} requests/s", median(rates));
    }
    stream("Hitchy", hitchy.addr(), hitchy.pid()).await?;
    if small.is_none() {
        println!("wasmtime is not on the path, so nothing is compared");
    }
    Ok(())
}

/// Measures requests per second.
async fn requests(addr: SocketAddr) -> Result<f64> {
    if wrk::installed() {
        let said = wrk::run(addr, "/", CONNECTIONS, TIME).await?;
        assert_eq!((said.bad, said.socket_errors), (0, 0), "{said:?}");
        return Ok(said.rate);
    }
    let good = |answer: &Answer| answer.body == b"Hello, WASI!";
    let outcome = load::http(addr, "/", Plan::full(CONNECTIONS, TIME), good).await;
    assert_eq!(outcome.errors, Vec::<String>::new());
    Ok(outcome.rate())
}

/// Reads the large answer, and prints how long it took and what memory the server has used at most.
async fn stream(name: &str, addr: SocketAddr, pid: u32) -> Result<()> {
    let (before, used) = (memory(pid), processor_time(pid));
    let began = Instant::now();
    let mut tcp = TcpStream::connect(addr).await?;
    let target = format!("/large/big?{LARGE}");
    let close = [("connection", "close")];
    tcp.write_all(&request("GET", &target, &close, b"")).await?;
    let (mut total, mut buffer) = (0, vec![0; 1 << 20]);
    loop {
        match tcp.read(&mut buffer).await? {
            0 => break,
            bytes => total += bytes as u64,
        }
    }
    assert!(total >= LARGE, "{total} bytes of {LARGE}");
    let mib = |bytes: u64| bytes >> 20;
    println!(
        "{name:<16}{LARGE} bytes in {:?}, {:?} of processor time; memory at most {} MiB, {} MiB before",
        began.elapsed(),
        processor_time(pid) - used,
        mib(memory(pid)),
        mib(before),
    );
    Ok(())
}

/// Returns the most memory that a process has had in use, in bytes.
fn memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) << 10
}

/// A running `wasmtime serve`.
struct Wasmtime {
    child: Child,
    addr: SocketAddr,
}

impl Wasmtime {
    /// Starts it with a file of Hitchy's folder that imports nothing of Hitchy's. Returns `None` if `wasmtime` is not on the path.
    async fn serve(hitchy: &Server, file: &str) -> Option<Self> {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let addr = free.expect("a port is free");
        let mut child = Command::new("wasmtime")
            .args(["serve", "-S", "cli", "--addr", &addr.to_string()])
            .arg(hitchy.handlers(file))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        until("wasmtime listens", SOON * 3, async || {
            if let Ok(Some(status)) = child.try_wait() {
                panic!("wasmtime serve ended: {status}");
            }
            http::Connection::try_open(addr).await.is_ok()
        })
        .await;
        Some(Self { child, addr })
    }
}

impl Drop for Wasmtime {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
