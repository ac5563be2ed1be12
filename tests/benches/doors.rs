//! The same request in three ways: `request` over a socket, HTTP with kept connections, and HTTP with a connection for
//! each request.
//!
//! Run the benchmark with `cargo bench --workspace --bench doors`. Handlers see the same headers in each way. They are
//! the headers of a browser: HTTP sends them with every request, and a socket sends them with its handshake. Each round
//! measures all ways in turn, and the figures are medians of the rounds. All clients run in this program, on the same
//! machine, over the loopback interface.
#![allow(clippy::print_stdout, reason = "it prints a table")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use hitchy_tests::Server;
use hitchy_tests::figures::{self, median};
use hitchy_tests::guests::example;
use hitchy_tests::http::Connection;
use hitchy_tests::raw::{Packet, RawSocket};
use tokio::task::JoinSet;

const ROUNDS: usize = 5;
const TIME: Duration = Duration::from_secs(4);
const CLIENTS: usize = 32;
/// The number of requests that a socket keeps under way in the second measurement of sockets.
const SIDE_BY_SIDE: usize = 8;
const TARGET: &str = "/api/hello/you";

/// The headers that a browser sends.
const HEADERS: [(&str, &str); 10] = [
    (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
    ),
    ("accept", "*/*"),
    ("accept-language", "en-US,en;q=0.5"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("referer", "https://app.example.com/rooms/general"),
    (
        "cookie",
        "session=0123456789abcdef0123456789abcdef; theme=dark",
    ),
    ("sec-fetch-dest", "empty"),
    ("sec-fetch-mode", "cors"),
    ("sec-fetch-site", "same-origin"),
    ("priority", "u=4"),
];

/// A way to send requests.
#[derive(Clone, Copy)]
enum Way {
    Socket(usize),
    Kept,
    Fresh,
}

const WAYS: [(&str, Way); 4] = [
    ("request, one at a time", Way::Socket(1)),
    ("request, 8 side by side", Way::Socket(SIDE_BY_SIDE)),
    ("HTTP, connections kept", Way::Kept),
    ("HTTP, a connection each", Way::Fresh),
];

#[tokio::main]
async fn main() -> Result<()> {
    if !figures::are_wanted() {
        return Ok(());
    }
    let server = Server::with("hello.wasm", example("hello")).await;
    let mut rates = [const { Vec::new() }; WAYS.len()];
    let mut costs = [const { Vec::new() }; WAYS.len()];
    for round in 1..=ROUNDS {
        for (which, (_, way)) in WAYS.iter().enumerate() {
            let before = processor_time(server.pid());
            let (answers, took) = measure(server.addr(), *way).await?;
            let spent = processor_time(server.pid()) - before;
            rates[which].push(answers / took.as_secs_f64());
            costs[which].push(spent.as_secs_f64() * 1e6 / answers);
        }
        println!("round {round} of {ROUNDS}");
    }
    println!(
        "\n{:<28}{:>12}{:>24}",
        "", "per second", "server's µs for each"
    );
    for (((name, _), rates), costs) in WAYS.iter().zip(rates).zip(costs) {
        println!("{name:<28}{:>12.0}{:>24.1}", median(rates), median(costs));
    }
    println!("medians of {ROUNDS} rounds of {TIME:?}; {CLIENTS} clients");
    Ok(())
}

/// Returns the processor time that a process has used, in user and system mode.
fn processor_time(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // After the name, which is in brackets, the 12th and 13th fields are the user and system time.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.filter_map(|field| field.parse::<u64>().ok()).sum();
    // Linux counts these times in hundredths of a second, independently of the kernel's clock rate.
    Duration::from_millis(ticks * 10)
}

/// Sends requests in one way for the length of a measurement. Returns the number of answers and the time they took.
async fn measure(addr: SocketAddr, way: Way) -> Result<(f64, Duration)> {
    let start = Instant::now();
    let until = start + TIME;
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(async move {
            match way {
                Way::Socket(window) => over_socket(addr, window, until).await,
                Way::Kept => over_kept(addr, until).await,
                Way::Fresh => over_fresh(addr, until).await,
            }
        });
    }
    let mut answers = 0;
    while let Some(done) = clients.join_next().await {
        answers += done??;
    }
    Ok((f64::from(answers), start.elapsed()))
}

async fn over_socket(addr: SocketAddr, window: usize, until: Instant) -> Result<u32> {
    let mut socket = RawSocket::open_with(addr, &HEADERS).await?;
    socket.enter("/hitchy", "").await?;
    let (mut next, mut answers) = (0_u64, 0);
    for _ in 0..window {
        ask(&mut socket, &mut next).await?;
    }
    while Instant::now() < until {
        let Packet::Text(text) = socket.next().await? else {
            continue;
        };
        ensure!(
            text.contains(r#""statusCode":200"#) && text.contains(r#""hello":"you""#),
            "{text}"
        );
        answers += 1;
        ask(&mut socket, &mut next).await?;
    }
    Ok(answers)
}

async fn ask(socket: &mut RawSocket, next: &mut u64) -> Result<()> {
    *next += 1;
    let packet = format!(r#"42/hitchy,{next}["request",{{"method":"GET","url":"{TARGET}"}}]"#);
    socket.send(packet).await
}

async fn over_kept(addr: SocketAddr, until: Instant) -> Result<u32> {
    let mut connection = Connection::try_open(addr).await?;
    let mut answers = 0;
    while Instant::now() < until {
        let answer = connection.try_ask("GET", TARGET, &HEADERS, b"").await?;
        ensure!(answer.status == 200, "{answer:?}");
        answers += 1;
    }
    Ok(answers)
}

async fn over_fresh(addr: SocketAddr, until: Instant) -> Result<u32> {
    let mut answers = 0;
    while Instant::now() < until {
        let mut connection = Connection::try_open(addr).await?;
        let answer = connection.try_ask("GET", TARGET, &HEADERS, b"").await?;
        ensure!(answer.status == 200, "{answer:?}");
        answers += 1;
    }
    Ok(answers)
}
