//! The order of events: 100 sockets send 1,000 numbered events each, with payloads of every kind, while the handler is
//! replaced every second. The handler broadcasts each event to all sockets before it acks.
//!
//! Run the benchmark with `cargo bench --workspace --bench order`. Every socket must get each of its acks, and each
//! broadcast of each sender, once and in order.
#![allow(clippy::print_stdout, reason = "it prints a report")]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hitchy_tests::figures;
use hitchy_tests::guests::stamped;
use hitchy_tests::raw::{Packet, RawSocket};
use hitchy_tests::wait::until;
use hitchy_tests::{Server, guest};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

const SOCKETS: usize = 100;
const EVENTS: usize = 1000;
/// The number of events of one socket that may be waiting for their acks.
const WINDOW: usize = 4;
const AT_MOST: Duration = Duration::from_secs(900);

#[tokio::main]
async fn main() -> Result<()> {
    if !figures::are_wanted() {
        return Ok(());
    }
    let server = Server::with("probe.wasm", guest("probe")).await;
    let start = Instant::now();
    let (barrier, acked) = (
        Arc::new(Barrier::new(SOCKETS)),
        Arc::new(AtomicUsize::new(0)),
    );
    let mut sockets = JoinSet::new();
    for _ in 0..SOCKETS {
        sockets.spawn(live(
            server.addr(),
            Arc::clone(&barrier),
            Arc::clone(&acked),
        ));
    }
    let reloads = reload_until(&server, &acked).await;
    let mut broadcasts = 0;
    while let Some(done) = tokio::time::timeout(AT_MOST, sockets.join_next()).await? {
        broadcasts += done??;
    }
    let took = start.elapsed();
    let generations = server
        .log()
        .all()
        .iter()
        .filter(|line| line.contains("generation"))
        .count();
    println!(
        "{SOCKETS} sockets x {EVENTS} events: {} acks and {broadcasts} broadcasts, each once and in order, in {took:.1?}; {reloads} reloads ({generations} lines of the log name a generation)",
        acked.load(Ordering::Relaxed)
    );
    Ok(())
}

/// Replaces the handler every second until all events are acked. Returns the number of reloads.
async fn reload_until(server: &Server, acked: &AtomicUsize) -> usize {
    let component = guest("probe");
    let mut every = tokio::time::interval(Duration::from_secs(1));
    let mut reloads = 0;
    until("all acks come", AT_MOST, async || {
        every.tick().await;
        server.drop_in("probe.wasm", stamped(&component, &reloads.to_string()));
        reloads += 1;
        acked.load(Ordering::Relaxed) == SOCKETS * EVENTS
    })
    .await;
    reloads
}

/// Runs one socket. Returns the number of broadcasts that it received.
async fn live(addr: SocketAddr, barrier: Arc<Barrier>, acked: Arc<AtomicUsize>) -> Result<usize> {
    let mut socket = RawSocket::connect(addr, "/").await?;
    barrier.wait().await;
    let (mut sent, mut acks, mut broadcasts) = (0, 0, 0);
    let mut heard: HashMap<String, usize> = HashMap::new();
    while acks < EVENTS || broadcasts < SOCKETS * EVENTS {
        while sent < EVENTS && sent < acks + WINDOW {
            send(&mut socket, sent).await?;
            sent += 1;
        }
        let Packet::Text(text) = socket.next().await? else {
            // An attachment belongs to the text packet before it.
            continue;
        };
        let json = text.find('[').context("a packet with arguments")?;
        let attachments = usize::from(text.starts_with("45") || text.starts_with("46"));
        if text.starts_with("43") || text.starts_with("46") {
            ensure!(text[json..] == arguments(acks).0, "ack {acks} is {text}");
            acks += 1;
            acked.fetch_add(1, Ordering::Relaxed);
        } else {
            let mut parts = text[json..].splitn(4, [',', ']']);
            ensure!(parts.next() == Some(r#"["told""#), "{text}");
            let sender = parts.next().context("a sender")?.to_owned();
            let number: usize = parts.next().context("a number")?.parse()?;
            let expected = heard.entry(sender).or_default();
            ensure!(
                number == *expected,
                "broadcast {number} came where {expected} was due: {text}"
            );
            ensure!(
                attachments == usize::from(arguments(number).1.is_some()),
                "{text}"
            );
            *expected += 1;
            broadcasts += 1;
        }
    }
    Ok(broadcasts)
}

async fn send(socket: &mut RawSocket, number: usize) -> Result<()> {
    let (arguments, attachment) = arguments(number);
    let kind = if attachment.is_some() { "51-" } else { "2" };
    socket
        .send(format!(r#"4{kind}{number}["tell",{}"#, &arguments[1..]))
        .await?;
    if let Some(attachment) = attachment {
        socket.send_binary(attachment).await?;
    }
    Ok(())
}

/// Returns the arguments of an event as JSON, and its attachment.
fn arguments(number: usize) -> (String, Option<Vec<u8>>) {
    match number % 5 {
        0 => (format!("[{number}]"), None),
        1 => (format!(r#"[{number},{{"an":{{"object":[1,2,3]}}}}]"#), None),
        2 => (format!(r#"[{number},"grüße 🎉",null,true,1.5]"#), None),
        3 => (
            format!(r#"[{number},{{"deep":[{{"_placeholder":true,"num":0}}]}}]"#),
            Some(number.to_be_bytes().to_vec()),
        ),
        _ => (format!(r#"[{number},"{}"]"#, "x".repeat(1000)), None),
    }
}
