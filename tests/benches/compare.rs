//! The example `hello` on Hitchy, compared with the same handlers written natively on axum and on socketioxide's typed
//! handlers.
//!
//! Run the benchmark with `cargo bench --workspace --bench compare`. Each round measures all four servers in turn, and
//! the figures are medians of the rounds. The load comes from the same machine over the loopback interface.
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
use hitchy_tests::guests::example;
use hitchy_tests::lines::Lines;
use hitchy_tests::load::{self, Plan};
use hitchy_tests::wait::SOON;
use hitchy_tests::{Server, wrk};
use serde_json::{Value, json};
use socketioxide::SocketIo;
use socketioxide::extract::{AckSender, Data, SocketRef};

const ROUNDS: usize = 5;
const TIME: Duration = Duration::from_secs(4);
const HTTP_CONNECTIONS: usize = 32;
const SOCKETS: usize = 32;
const WINDOW: usize = 8;

#[tokio::main]
async fn main() -> Result<()> {
    if std::env::args().any(|arg| arg == "--native") {
        return serve_natively().await;
    }
    if !figures::are_wanted() {
        return Ok(());
    }
    let hitchy = Server::with("hello.wasm", example("hello")).await;
    let native = Native::start().await;
    let mut http = [Vec::new(), Vec::new()];
    let mut acks = [Vec::new(), Vec::new()];
    for round in 1..=ROUNDS {
        for (which, addr) in [hitchy.addr(), native.addr].into_iter().enumerate() {
            http[which].push(requests(addr).await?);
            acks[which].push(events(addr).await);
        }
        println!("round {round} of {ROUNDS}");
    }
    let tool = if wrk::installed() { "wrk" } else { "own load" };
    println!("\n{:<28}{:>12}{:>12}{:>8}", "", "Hitchy", "native", "share");
    row(&format!("GET /api/hello/you ({tool})"), http);
    row("event with ack", acks);
    println!(
        "per second; medians of {ROUNDS} rounds of {TIME:?}; {HTTP_CONNECTIONS} connections, {SOCKETS} sockets x {WINDOW} events"
    );
    Ok(())
}

fn row(name: &str, rates: [Vec<f64>; 2]) {
    let [hitchy, native] = rates.map(median);
    println!(
        "{name:<28}{hitchy:>12.0}{native:>12.0}{:>8.2}",
        hitchy / native
    );
}

/// Measures requests per second.
async fn requests(addr: SocketAddr) -> Result<f64> {
    let target = "/api/hello/you";
    if wrk::installed() {
        let said = wrk::run(addr, target, HTTP_CONNECTIONS, TIME).await?;
        assert_eq!((said.bad, said.socket_errors), (0, 0), "{said:?}");
        return Ok(said.rate);
    }
    let good = |answer: &hitchy_tests::http::Answer| answer.body == br#"{"hello":"you"}"#;
    let outcome = load::http(addr, target, Plan::full(HTTP_CONNECTIONS, TIME), good).await;
    assert_eq!(outcome.errors, Vec::<String>::new());
    Ok(outcome.rate())
}

/// Measures acks per second.
async fn events(addr: SocketAddr) -> f64 {
    let message = [json!({ "room": "general", "text": "hello there" })];
    let plan = Plan {
        window: WINDOW,
        ..Plan::full(SOCKETS, TIME)
    };
    let outcome = load::acks(
        addr,
        "chat:send",
        &message,
        plan,
        Arc::new(|_, ack| ack == r#"["sent"]"#),
    )
    .await;
    assert_eq!(outcome.errors, Vec::<String>::new());
    outcome.rate() * WINDOW as f64
}

/// The native server: this program, started again in a process of its own.
struct Native {
    child: Child,
    addr: SocketAddr,
}

impl Native {
    async fn start() -> Self {
        let program = std::env::current_exe().expect("a running program has a path");
        let mut child = Command::new(program)
            .arg("--native")
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let lines = Lines::default();
        lines.follow(child.stdout.take().expect("stdout is piped"));
        let listening = |_, line: &str| line.strip_prefix("listening on http://")?.parse().ok();
        let addr = lines
            .wait("the native server listens", 0, SOON, listening)
            .await;
        Self { child, addr }
    }
}

impl Drop for Native {
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
