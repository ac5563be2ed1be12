//! The example `hello` on Hitchy, in Rust, JavaScript and Python, with each life of instances, compared with the same
//! handlers written natively on axum and socketioxide's typed handlers, and on Node with `http` and the server of
//! socket.io.
//!
//! Run the benchmark with `cargo bench --workspace --bench compare`. Each round measures all servers in turn, and the
//! figures are medians of the rounds. The load comes from the same machine over the loopback interface and shares its
//! cores, so that the processor time of the server for each operation says more than the rate.
#![allow(clippy::print_stdout, reason = "it prints a table")]

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use axum::extract::Path;
use axum::routing::get;
use axum::serve::ListenerExt;
use axum::{Json, Router};
use hitchy_tests::figures::{self, median};
use hitchy_tests::guests::{example, fixture};
use hitchy_tests::lines::Lines;
use hitchy_tests::load::{self, Outcome, Plan};
use hitchy_tests::processes::processor_time;
use hitchy_tests::toolchains::python;
use hitchy_tests::wait::SOON;
use hitchy_tests::{Server, sources};
use serde_json::{Value, json};
use socketioxide::SocketIo;
use socketioxide::extract::{AckSender, Data, SocketRef};

const ROUNDS: usize = 7;
const TIME: Duration = Duration::from_secs(4);
const HTTP_CONNECTIONS: usize = 32;
const SOCKETS: usize = 32;
const WINDOW: usize = 8;

/// A kind of operation.
#[derive(Clone, Copy)]
enum Work {
    Request,
    Event,
}

/// A server, and what was measured of it for each kind of work.
struct Contestant {
    name: String,
    addr: SocketAddr,
    pid: u32,
    figures: [Figures; 2],
}

/// Rates, and processor times of the server in microseconds, one for each round.
#[derive(Default)]
struct Figures {
    per_second: Vec<f64>,
    micros: Vec<f64>,
}

impl Contestant {
    fn new(name: String, addr: SocketAddr, pid: u32) -> Self {
        Self {
            name,
            addr,
            pid,
            figures: Default::default(),
        }
    }

    async fn measure(&mut self, work: Work) {
        let before = processor_time(self.pid);
        let (outcome, operations) = match work {
            Work::Request => (requests(self.addr).await, 1),
            Work::Event => (events(self.addr).await, WINDOW),
        };
        assert_eq!(outcome.errors, Vec::<String>::new(), "{}", self.name);
        let used = processor_time(self.pid) - before;
        let count = (outcome.times.count() * operations) as f64;
        let figures = &mut self.figures[work as usize];
        figures.per_second.push(outcome.rate() * operations as f64);
        figures.micros.push(used.as_secs_f64() * 1e6 / count);
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    if std::env::args().any(|arg| arg == "--native") {
        return serve_natively().await;
    }
    if !figures::are_wanted() {
        return Ok(());
    }
    let program = std::env::current_exe()?;
    let native = Peer::start(Command::new(program).arg("--native")).await;
    let script = sources().join("client/peer.mjs");
    let node = Peer::start(Command::new("node").arg(script)).await;
    let mut servers = Vec::new();
    let languages = [
        ("Rust", "hello.wasm", Some(example("hello"))),
        ("JavaScript", "hello.js", Some(fixture("js/hello.js"))),
        ("Python", "hello.wasm", python("hello")),
    ];
    for (language, file, handler) in languages {
        for life in ["call", "socket", "shared"] {
            let Some(handler) = &handler else { continue };
            let mut settings = format!("instances = \"{life}\"\n");
            if language == "Python" {
                // What is passed to its calls is not freed: docs/python.md.
                settings.push_str("max-calls = 10000\n");
            }
            let plan = Server::prepare()
                .handler(file, handler)
                .handler("hello.toml", settings);
            servers.push((format!("{language}, {life}"), plan.start().await));
        }
    }
    let mut contestants = vec![Contestant::new("native".into(), native.addr, native.pid())];
    let hitchy = servers
        .iter()
        .map(|(name, server)| Contestant::new(name.clone(), server.addr(), server.pid()));
    contestants.extend(hitchy);
    contestants.push(Contestant::new("Node".into(), node.addr, node.pid()));
    for round in 1..=ROUNDS {
        for contestant in &mut contestants {
            contestant.measure(Work::Request).await;
            contestant.measure(Work::Event).await;
        }
        println!("round {round} of {ROUNDS}");
    }
    table("GET /api/hello/you", &contestants, Work::Request);
    table("event with ack", &contestants, Work::Event);
    println!(
        "medians of {ROUNDS} rounds of {TIME:?}; {HTTP_CONNECTIONS} connections, {SOCKETS} sockets x {WINDOW} events"
    );
    Ok(())
}

fn table(name: &str, contestants: &[Contestant], work: Work) {
    println!(
        "\n| {name} | per second | server µs each | of native | least to most µs |\n|---|--:|--:|--:|--:|"
    );
    let native = contestants
        .first()
        .map(|one| median(one.figures[work as usize].micros.clone()));
    for contestant in contestants {
        let Figures { per_second, micros } = &contestant.figures[work as usize];
        let (rate, time) = (median(per_second.clone()), median(micros.clone()));
        let share = time / native.unwrap_or(time);
        let least = micros.iter().copied().fold(f64::INFINITY, f64::min);
        let most = micros.iter().copied().fold(0.0, f64::max);
        println!(
            "| {} | {rate:.0} | {time:.1} | {share:.2} | {least:.1} to {most:.1} |",
            contestant.name
        );
    }
}

async fn requests(addr: SocketAddr) -> Outcome {
    let good = |answer: &hitchy_tests::http::Answer| answer.body == br#"{"hello":"you"}"#;
    let plan = Plan::full(HTTP_CONNECTIONS, TIME);
    load::http(addr, "/api/hello/you", plan, good).await
}

async fn events(addr: SocketAddr) -> Outcome {
    let message = [json!({ "room": "general", "text": "hello there" })];
    let plan = Plan {
        window: WINDOW,
        ..Plan::full(SOCKETS, TIME)
    };
    let good = Arc::new(|_: usize, ack: &str| ack == r#"["sent"]"#);
    load::acks(addr, "chat:send", &message, plan, good).await
}

/// A server that is compared with Hitchy, in a process of its own.
struct Peer {
    child: Child,
    addr: SocketAddr,
}

impl Peer {
    /// Starts a command that prints `listening on http://ADDRESS`.
    async fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let lines = Lines::default();
        lines.follow(child.stdout.take().expect("stdout is piped"));
        let listening = |_, line: &str| line.strip_prefix("listening on http://")?.parse().ok();
        let addr = lines.wait("the server listens", 0, SOON, listening).await;
        Self { child, addr }
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn serve_natively() -> Result<()> {
    let (layer, io) = SocketIo::builder().max_buffer_size(1024).build_layer();
    io.ns("/", async |socket: SocketRef| socket.on("chat:send", send));
    let hello = async |Path(name): Path<String>| Json(json!({ "hello": name }));
    let app = Router::new()
        .route("/api/hello/{name}", get(hello))
        .layer(layer);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    let listener = listener.tap_io(|io| io.set_nodelay(true).unwrap_or_default());
    Ok(axum::serve(listener, app).await?)
}

async fn send(socket: SocketRef, ack: AckSender, Data(message): Data<Value>) {
    let room = message["room"].as_str().unwrap_or_default().to_string();
    let _ = socket.to(room).emit("chat:message", &message).await;
    let _ = ack.send("sent");
}
