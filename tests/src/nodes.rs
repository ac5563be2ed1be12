//! Several servers that are one, with a real Redis between them and a proxy between each of them and Redis.

use std::time::Duration;

use serde_json::{Value, json};

use crate::redis::{Redis, redis};
use crate::server::Plan;
use crate::tcp_proxy::TcpProxy;
use crate::wait::{SOON, until};
use crate::{Server, guest};

/// The password of Redis, with which the nodes sign what they say.
const PASSWORD: &str = "hunter2";
/// The prefix of the nodes' channels.
pub const PREFIX: &str = "test";
/// How soon after Redis is back nodes have to reach each other again.
pub const BACK: Duration = Duration::from_secs(5);

/// Several servers that are one.
pub struct Nodes {
    /// The Redis between them.
    pub redis: Redis,
    nodes: Vec<ClusterNode>,
}

/// One of several servers.
pub struct ClusterNode {
    /// The server.
    pub server: Server,
    /// What lies between it and Redis.
    pub proxy: TcpProxy,
}

impl Nodes {
    /// Starts `count` servers with the guest `probe`, and waits until each of them knows all of them. Returns `None` if
    /// there is no Redis on this machine.
    pub async fn start(count: usize) -> Option<Self> {
        Self::start_with(count, |plan| plan).await
    }

    /// Starts servers whose plans `change` returns: see [`Nodes::start`].
    pub async fn start_with(count: usize, change: impl Fn(Plan) -> Plan) -> Option<Self> {
        let redis = redis().await?;
        let mut nodes = Vec::new();
        for number in 0..count {
            let proxy = TcpProxy::start(redis.addr()).await;
            let server = change(plan(&proxy, number)).start().await;
            nodes.push(ClusterNode { server, proxy });
        }
        let nodes = Self { redis, nodes };
        nodes.know_each_other().await;
        Some(nodes)
    }

    /// Returns all nodes, the first one first.
    pub fn all(&self) -> &[ClusterNode] {
        &self.nodes
    }

    /// Returns the server of a node.
    pub fn server(&self, number: usize) -> &Server {
        &self.nodes[number].server
    }

    /// Takes a node out, so that the test can end it.
    pub fn take(&mut self, number: usize) -> ClusterNode {
        self.nodes.remove(number)
    }

    /// Waits until each node knows all of them.
    ///
    /// # Panics
    /// Panics if that takes longer than 10 seconds.
    pub async fn know_each_other(&self) {
        for node in &self.nodes {
            wait_for_members(&node.server, self.nodes.len()).await;
        }
    }
}

/// Returns the plan of a node with the guest `probe`. It ends its connections to Redis with `proxy`.
pub fn plan(proxy: &TcpProxy, number: usize) -> Plan {
    Server::prepare()
        .handler("probe.wasm", guest("probe"))
        .console()
        .env(
            "HITCHY_CLUSTER__REDIS",
            &format!("redis://{}", proxy.addr()),
        )
        .env("HITCHY_CLUSTER__SECRET", "OF_NODES")
        .env("OF_NODES", PASSWORD)
        .env("HITCHY_CLUSTER__PREFIX", PREFIX)
        .env("HITCHY_CLUSTER__NAME", &format!("node-{number}"))
        .env("HITCHY_LIMITS__EMITS_PER_CALL", "100000")
        .env("HITCHY_LIMITS__EMIT_BYTES_PER_CALL", "1GiB")
        .env("HITCHY_LIMITS__CPU", "30s")
        .env("HITCHY_LIMITS__DEADLINE", "30s")
}

/// Waits until a node knows that there are `count` nodes, itself included.
///
/// # Panics
/// Panics if that takes longer than 10 seconds.
pub async fn wait_for_members(server: &Server, count: usize) {
    let what = format!("{count} nodes know each other");
    until(&what, SOON, async || members(server).await == count as f64).await;
}

/// Returns how many nodes a node knows, itself included.
pub async fn members(server: &Server) -> f64 {
    counter(server, "hitchy_cluster_members").await
}

/// Returns a sample of a node's metrics.
pub async fn counter(server: &Server, series: &str) -> f64 {
    server.metrics().await.value(series)
}

/// Emits `times` events with the numbers from `from` on from a node. Returns how long it took.
///
/// # Panics
/// Panics if not all are emitted.
pub async fn emit_many(server: &Server, event: &str, from: usize, times: usize) -> Duration {
    let step = json!([{ "do": "emit-many", "event": event, "from": from, "times": times }]);
    let start = std::time::Instant::now();
    let results = server.script(&step).await;
    assert_eq!(results[0]["ok"], json!({ "sent": times }), "{results}");
    start.elapsed()
}

/// Emits one event from a node.
///
/// # Panics
/// Panics if that fails.
pub async fn emit(server: &Server, event: &str, args: Value) {
    let step = json!([{ "do": "emit", "event": event, "args": args }]);
    let results = server.script(&step).await;
    assert_eq!(results, json!([{ "ok": null }]));
}
