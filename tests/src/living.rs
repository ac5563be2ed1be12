//! The guest `living`, which tells what its instance has kept, and a client of it. The metrics tell the rest.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::clauses::Way;
use crate::http::{Connection, request};
use crate::raw::RawClient;
use crate::scrape::Scrape;
use crate::server::Plan;
use crate::wait::{SOON, until, within};
use crate::{Server, guest};

/// A server with the guest `living`, whose sidecar has these lines.
pub fn plan(sidecar: &str) -> Plan {
    Server::prepare()
        .handler("living.wasm", guest("living"))
        .handler("living.toml", sidecar)
        .console()
}

/// A size of a test, which the environment variable `name` replaces.
pub fn size(name: &str, usual: usize) -> usize {
    let given = std::env::var(name).ok();
    given.map_or(usual, |text| text.parse().expect("a number"))
}

/// A client of `/`.
pub struct LivingClient {
    /// The connection.
    pub raw: RawClient,
    asked: u64,
}

impl LivingClient {
    /// Connects to `/`.
    pub async fn connect(way: Way, addr: SocketAddr) -> Self {
        let connected = RawClient::connect(way.transport(), addr, "/");
        Self {
            raw: within("CONNECT", SOON * 6, connected).await,
            asked: 0,
        }
    }

    /// Sends a deed as the event `do` and returns its ack.
    pub async fn ask(&mut self, deed: Value) -> Value {
        self.asked += 1;
        let (id, packet) = (self.asked.to_string(), json!(["do", deed]).to_string());
        let ack = self.raw.ask(&id, &packet).await.expect("an ack");
        let ack: Value = serde_json::from_str(&ack).expect("JSON");
        ack[0].clone()
    }

    /// Lets the guest tell what it has kept.
    pub async fn nothing(&mut self) -> Value {
        self.ask(json!({ "do": "nothing" })).await
    }
}

/// Sends a deed over HTTP and returns the body of the answer.
pub async fn post(server: &Server, deed: Value) -> Value {
    server.post("/do", &deed).await.json()
}

/// Returns the number of instances of the guest that live, by the metrics.
pub fn living(metrics: &Scrape, life: &str) -> f64 {
    metrics.value(&format!(
        "hitchy_instances{{handler=\"living.wasm\",life=\"{life}\"}}"
    ))
}

/// Returns the number of instances of the guest that ended for a reason, by the metrics.
pub fn ended(metrics: &Scrape, reason: &str) -> f64 {
    metrics.value(&format!(
        "hitchy_instances_ended_total{{handler=\"living.wasm\",reason=\"{reason}\"}}"
    ))
}

/// Returns the number of requests to the guest that ended in a way, by the metrics.
pub fn calls(metrics: &Scrape, outcome: &str) -> f64 {
    metrics.value(&format!(
        "hitchy_calls_total{{handler=\"living.wasm\",kind=\"request\",outcome=\"{outcome}\"}}"
    ))
}

/// Waits until as many instances live as are wanted.
pub async fn wait_for_living(server: &Server, life: &str, wanted: f64) {
    let what = format!("{wanted} instances live");
    until(&what, SOON * 3, async || {
        living(&server.metrics().await, life) == wanted
    })
    .await;
}

/// Begins a call that runs for a minute, unless the connection is dropped before. Returns once the call runs.
pub async fn begin_long_call(server: &Server) -> Connection {
    let deed = json!({ "do": "sleep", "millis": 60_000 }).to_string();
    let mut connection = Connection::open(server.addr()).await;
    let sent = connection.send(request("POST", "/do", &[], deed.as_bytes()));
    sent.await.expect("sent");
    until("the call runs", SOON, async || {
        server.metrics().await.value("hitchy_gate_running") == 1.0
    })
    .await;
    connection
}
